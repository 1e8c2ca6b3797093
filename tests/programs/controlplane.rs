//! The programs of the control plane, and kubectl.

use crate::go_module::{GoModule, Program, version_of};

pub(crate) const CONTROL_PLANE: GoModule = GoModule {
    name: "controlplane",
    what: "a control plane (about 5 minutes on two cores)",
    programs: &[
        Program {
            name: "etcd",
            package: "go.etcd.io/etcd/server/v3",
            variables: |_| Some(Vec::new()),
        },
        Program {
            name: "kube-apiserver",
            package: "k8s.io/kubernetes/cmd/kube-apiserver",
            variables: kubernetes_version,
        },
        Program {
            name: "kube-controller-manager",
            package: "k8s.io/kubernetes/cmd/kube-controller-manager",
            variables: kubernetes_version,
        },
        Program {
            name: "kubectl",
            package: "k8s.io/kubernetes/cmd/kubectl",
            variables: kubernetes_version,
        },
    ],
};

/// What Kubernetes says of itself when it is asked.
fn kubernetes_version(go_mod: &str) -> Option<Vec<String>> {
    let version = version_of("k8s.io/kubernetes", go_mod)?;
    let mut numbers = version.split('.');
    let mut number = || numbers.next().unwrap_or_default();
    let (major, minor) = (number(), number());
    let parts = [
        format!("gitVersion=v{version}"),
        format!("gitMajor={major}"),
        format!("gitMinor={minor}"),
    ];
    let set = parts.map(|part| format!("k8s.io/component-base/version.{part}"));
    Some(set.to_vec())
}
