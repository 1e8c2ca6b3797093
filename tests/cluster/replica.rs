//! One replica of `bywash run`: the real program, started as a child.

use std::net::SocketAddr;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use http::StatusCode;
use kube::ResourceExt;
use rustls_pki_types::CertificateDer;

use crate::client::{self, Reply, request};
use crate::control_plane::{User, unused_address};
use crate::namespace;
use crate::process::Process;
use crate::tenant::{Kind, Tenant};
use crate::wait::{SOON, eventually};

pub(crate) struct Replica {
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
    pub(crate) metrics: SocketAddr,
    pub(crate) admin: SocketAddr,
    process: Process,
}

impl Replica {
    /// Starts a replica with the rights of an installation; it need not be ready yet.
    pub(crate) fn start(tenant: &Tenant, pod: &str, more: &[&str]) -> Self {
        Self::start_as(User::Bywash, tenant, pod, more)
    }

    pub(crate) fn start_as(user: User, tenant: &Tenant, pod: &str, more: &[&str]) -> Self {
        let [http, https, metrics, admin] = std::array::from_fn(|_| unused_address());
        let mut command = Command::new(env!("CARGO_BIN_EXE_bywash"));
        command
            .arg("run")
            .arg(format!(
                "--kubeconfig={}",
                tenant.kubeconfig(user).display()
            ))
            .arg(format!("--http-address={http}"))
            .arg(format!("--https-address={https}"))
            .arg(format!("--metrics-address={metrics}"))
            .arg(format!("--admin-address={admin}"))
            .arg(format!("--ingress-class={}", tenant.name))
            .arg(format!("--controller-name={}", tenant.controller_name()))
            .arg("--workers=2")
            .args(more)
            .env("POD_NAME", pod)
            .env("POD_NAMESPACE", &tenant.name);
        let log = format!("{}-{pod}", tenant.name);
        Self {
            http,
            https,
            metrics,
            admin,
            process: Process::start(&log, &mut command, &namespace::scratch()),
        }
    }

    /// Waits until `/readyz` says so.
    pub(crate) async fn ready(&mut self) {
        let metrics = self.metrics;
        eventually("controller that is ready", SOON, async || {
            self.process.assert_running();
            let reply = client::send(metrics, request("localhost", "/readyz")).await;
            let reply = reply.map_err(|error| format!("{error:#}"))?;
            match reply.status {
                StatusCode::OK => Ok(()),
                status => Err(format!("{status} {}", reply.body)),
            }
        })
        .await;
    }

    /// One request to the probes and metrics.
    pub(crate) async fn probe(&self, path: &str) -> anyhow::Result<Reply> {
        client::send(self.metrics, request("localhost", path)).await
    }

    /// Waits until this replica serves the object as it is in this version.
    pub(crate) async fn processed<K: Kind>(&self, object: &K) {
        let (kind, name) = (K::kind(&()), object.name_any());
        let namespace = object.namespace().unwrap_or_default();
        let version = object.resource_version().unwrap();
        let path = format!(
            "/debug/processed?kind={kind}&namespace={namespace}&name={name}&resourceVersion={version}"
        );
        let asked = client::send(self.admin, request("localhost", &path));
        let reply = tokio::time::timeout(SOON, asked).await;
        let reply = reply.unwrap_or_else(|_| panic!("{kind} {name} never processed"));
        let reply = reply.unwrap_or_else(|error| panic!("{path}: {error:#}"));
        assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.body);
    }

    pub(crate) async fn processed_all<K: Kind>(&self, objects: &[K]) {
        for object in objects {
            self.processed(object).await;
        }
    }

    pub(crate) async fn get(&self, host: &str, path: &str) -> Reply {
        let reply = client::send(self.http, request(host, path)).await;
        reply.unwrap_or_else(|error| panic!("GET http://{host}{path}: {error:#}"))
    }

    pub(crate) async fn get_tls(&self, host: &str, path: &str) -> (CertificateDer<'static>, Reply) {
        let reply = client::send_tls(self.https, host, path).await;
        reply.unwrap_or_else(|error| panic!("GET https://{host}{path}: {error:#}"))
    }

    /// Waits until the path is answered with this status: for what has no version to wait for.
    pub(crate) async fn answers(&self, status: StatusCode, host: &str, path: &str) -> Reply {
        let what = format!("{status} for http://{host}{path}");
        eventually(&what, SOON, async || {
            let reply = client::send(self.http, request(host, path)).await;
            let reply = reply.map_err(|error| format!("{error:#}"))?;
            let as_wanted = reply.status == status;
            as_wanted.then_some(reply).ok_or("another".into())
        })
        .await
    }

    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    pub(crate) fn terminate(&self) {
        self.process.terminate();
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    pub(crate) async fn exited(&mut self, within: Duration) -> ExitStatus {
        eventually("controller that has ended", within, async || {
            self.process.exit().ok_or("still running".to_owned())
        })
        .await
    }
}
