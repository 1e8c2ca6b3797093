//! Helm itself, in the two versions that are in use, and the program that documents charts.

use crate::go_module::{GoModule, Program, version_of};

pub(crate) const HELM: GoModule = GoModule {
    name: "helm",
    what: "Helm (about 3 minutes on two cores)",
    programs: &[
        Program {
            name: "helm",
            package: "helm.sh/helm/v4/cmd/helm",
            variables: |go_mod| {
                let version = version_of("helm.sh/helm/v4", go_mod)?;
                Some(vec![format!(
                    "helm.sh/helm/v4/internal/version.version=v{version}"
                )])
            },
        },
        Program {
            name: "helm3",
            package: "helm.sh/helm/v3/cmd/helm",
            variables: helm_3,
        },
        Program {
            name: "helm-docs",
            package: "github.com/norwoodj/helm-docs/cmd/helm-docs",
            variables: |_| Some(Vec::new()),
        },
    ],
};

/// It does not find out by itself for which Kubernetes it is built.
fn helm_3(go_mod: &str) -> Option<Vec<String>> {
    let version = version_of("helm.sh/helm/v3", go_mod)?;
    let minor = version_of("k8s.io/client-go", go_mod)?.split('.').nth(1)?;
    let set = "helm.sh/helm/v3";
    Some(vec![
        format!("{set}/internal/version.version=v{version}"),
        format!("{set}/pkg/chartutil.k8sVersionMajor=1"),
        format!("{set}/pkg/chartutil.k8sVersionMinor={minor}"),
        format!("{set}/pkg/lint/rules.k8sVersionMajor=1"),
        format!("{set}/pkg/lint/rules.k8sVersionMinor={minor}"),
    ])
}
