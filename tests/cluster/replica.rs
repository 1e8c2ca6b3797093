//! One replica of `bywash run`: the real program, started as a child.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use http::StatusCode;
use kube::{Resource, ResourceExt};
use rustls_pki_types::CertificateDer;

use crate::client::{self, Reply, request};
use crate::control_plane::{User, unused_address};
use crate::namespace;
use crate::process::Process;
use crate::tenant::Tenant;
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
        let account = (&*tenant.kubeconfig(user), &*tenant.name);
        Self::start_by(account, tenant, pod, more)
    }

    /// Starts one that finds these variables in its environment.
    pub(crate) fn start_under(environment: &[(&str, &str)], tenant: &Tenant, pod: &str) -> Self {
        let account = (&*tenant.kubeconfig(User::Bywash), &*tenant.name);
        Self::start_with(environment, account, (tenant, pod), &[])
    }

    /// By whoever the kubeconfig is of, with this namespace of its own.
    pub(crate) fn start_by(
        account: (&Path, &str),
        tenant: &Tenant,
        pod: &str,
        more: &[&str],
    ) -> Self {
        Self::start_with(&[], account, (tenant, pod), more)
    }

    fn start_with(
        environment: &[(&str, &str)],
        (kubeconfig, own): (&Path, &str),
        (tenant, pod): (&Tenant, &str),
        more: &[&str],
    ) -> Self {
        let [http, https, metrics, admin] = std::array::from_fn(|_| unused_address());
        let mut command = Command::new(env!("CARGO_BIN_EXE_bywash"));
        command
            .env_clear()
            .envs(environment.iter().copied())
            .arg("run")
            .arg(format!("--kubeconfig={}", kubeconfig.display()))
            .arg(format!("--http-address={http}"))
            .arg(format!("--https-address={https}"))
            .arg(format!("--metrics-address={metrics}"))
            .arg(format!("--admin-address={admin}"))
            .arg(format!("--ingress-class={}", tenant.name))
            .arg(format!("--controller-name={}", tenant.controller_name()))
            .arg(format!("--lease-namespace={own}"))
            .arg(format!("--instance={pod}"))
            .arg("--workers=2")
            .args(more);
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
    pub(crate) async fn processed<K>(&self, object: &K)
    where
        K: Resource<DynamicType = ()>,
    {
        let version = object.resource_version().unwrap();
        self.wait_for(object, &format!("resourceVersion={version}"))
            .await;
    }

    /// Waits until this replica has seen that the object is gone.
    pub(crate) async fn processed_deletion<K>(&self, object: &K)
    where
        K: Resource<DynamicType = ()>,
    {
        self.wait_for(object, "absent=true").await;
    }

    async fn wait_for<K>(&self, object: &K, state: &str)
    where
        K: Resource<DynamicType = ()>,
    {
        let (kind, name) = (K::kind(&()), object.name_any());
        let namespace = object.namespace().unwrap_or_default();
        let path = format!(
            "/debug/processed?kind={kind}&namespace={namespace}&name={name}&{state}&timeout={}",
            SOON.as_secs()
        );
        let reply = client::send(self.admin, request("localhost", &path)).await;
        let reply = reply.unwrap_or_else(|error| panic!("{path}: {error:#}"));
        assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.body);
    }

    pub(crate) async fn processed_all<K>(&self, objects: &[K])
    where
        K: Resource<DynamicType = ()>,
    {
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

    /// The pods that answer this many requests one after the other.
    pub(crate) async fn pods(&self, host: &str, requests: usize) -> BTreeSet<String> {
        let mut pods = BTreeSet::new();
        for _ in 0..requests {
            pods.insert(self.get(host, "/").await.pod().to_owned());
        }
        pods
    }

    /// The status of the answer to one request.
    pub(crate) async fn status(&self, host: &str, path: &str) -> StatusCode {
        self.get(host, path).await.status
    }

    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    pub(crate) fn terminate(&self) {
        self.process.terminate();
    }

    /// It does nothing more, and its connections stay.
    pub(crate) fn hang(&self) {
        self.process.signal("STOP");
    }

    /// It does what it was about to do when it hung.
    pub(crate) fn go_on(&self) {
        self.process.signal("CONT");
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
