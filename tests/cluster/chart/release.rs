//! One release of a chart in a tenant's namespace.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::control_plane::User;
use crate::namespace;
use crate::tenant::Tenant;

/// The versions of Helm in use.
pub(crate) const NEWER: &str = "helm";
pub(crate) const OLDER: &str = "helm3";

pub(crate) struct Helm {
    program: PathBuf,
    kubeconfig: PathBuf,
    namespace: String,
}

pub(crate) fn chart(name: &str) -> String {
    let charts = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts");
    charts.join(name).display().to_string()
}

impl Helm {
    pub(crate) fn of(version: &str, tenant: &Tenant) -> Self {
        Self {
            program: namespace::helm().with_file_name(version),
            kubeconfig: tenant.kubeconfig(User::Admin),
            namespace: tenant.name.clone(),
        }
    }

    /// What a command prints, or what it complains of.
    pub(crate) async fn try_run(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .args(["--namespace", &self.namespace])
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HELM_CACHE_HOME", namespace::scratch());
        let output = tokio::process::Command::from(command)
            .output()
            .await
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        match output.status.success() {
            true => Ok(text(output.stdout)),
            false => Err(text(output.stdout) + &text(output.stderr)),
        }
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> String {
        let done = self.try_run(arguments).await;
        done.unwrap_or_else(|said| panic!("helm {arguments:?}: {said}"))
    }

    /// `helm install` or `helm upgrade` of `bywash` with these values.
    pub(crate) async fn apply(
        &self,
        verb: &str,
        release: &str,
        values: &Value,
        more: &[&str],
    ) -> String {
        let done = self.try_apply(verb, release, values, more).await;
        done.unwrap_or_else(|said| panic!("helm {verb} {release}: {said}"))
    }

    /// The same, which may be refused.
    pub(crate) async fn try_apply(
        &self,
        verb: &str,
        release: &str,
        values: &Value,
        more: &[&str],
    ) -> Result<String, String> {
        let file = namespace::scratch().join(format!("{}-{release}.yaml", self.namespace));
        std::fs::write(&file, values.to_string()).unwrap();
        let (chart, file) = (chart("bywash"), file.display().to_string());
        let mut arguments = vec![verb, release, &chart, "--values", &file];
        arguments.extend(more);
        self.try_run(&arguments).await
    }
}

/// Values with which the release collides with no other test's.
pub(crate) fn values(tenant: &Tenant) -> Value {
    json!({
        "fullnameOverride": tenant.name,
        "controller": {
            "ingressClassResource": {
                "name": format!("{}-chart", tenant.name),
                "controllerValue": format!("example.com/{}", tenant.name),
            },
            "extraArgs": {"workers": 1},
        },
    })
}
