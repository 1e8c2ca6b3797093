//! A real control plane: etcd, kube-apiserver and kube-controller-manager.
//!
//! The API server listens where Pods look for it: at the first address of the network of Services.
//!
//! One serves all tests of the run. A test that kills the API server, or whose objects would be
//! seen by every controller (a default class, a definition), takes one of its own, one at a time, because each
//! needs 430 MiB. Ports are counted rather than asked for: nothing else lives in this network
//! namespace, and an API server that comes back must come back on its own port.

mod credentials;
mod definition;
mod rights;

use std::fmt::{self, Display, Formatter};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU8, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;

use crate::namespace;
use crate::process::Process;
use crate::wait::{SOON, eventually};
use credentials::Credentials;
pub(crate) use credentials::User;
pub(crate) use rights::ROLE;

static SHARED: OnceCell<Arc<ControlPlane>> = OnceCell::const_new();
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
static NEXT_PORT: AtomicU16 = AtomicU16::new(10_000);
static NEXT_PLANE: AtomicU8 = AtomicU8::new(0);

/// An unused loopback address, below the ports that connections take for themselves.
pub(crate) fn unused_address() -> SocketAddr {
    let port = NEXT_PORT.fetch_add(1, Ordering::Relaxed);
    assert!(port < 32_768, "out of ports");
    (Ipv4Addr::LOCALHOST, port).into()
}

pub(crate) struct ControlPlane {
    directory: PathBuf,
    etcd: SocketAddr,
    services: ServiceNetwork,
    api_server: SocketAddr,
    credentials: Credentials,
    processes: Mutex<Processes>,
}

struct Processes {
    etcd: Process,
    /// `None` while the API server is away.
    api_server: Option<Process>,
    controller_manager: Option<Process>,
}

/// A control plane that no other test sees; it ends with this.
pub(crate) struct OwnControlPlane {
    pub(crate) plane: Arc<ControlPlane>,
    _turn: tokio::sync::MutexGuard<'static, ()>,
}

impl ControlPlane {
    /// The one that tests have in common, started by the first that asks.
    pub(crate) async fn shared() -> Arc<Self> {
        let start = || async {
            let plane = Self::start("shared").await;
            plane.install_definition().await;
            Arc::new(plane)
        };
        Arc::clone(SHARED.get_or_init(start).await)
    }

    /// One for this test alone.
    pub(crate) async fn own(name: &str) -> OwnControlPlane {
        let own = Self::own_without_definition(name).await;
        own.plane.install_definition().await;
        own
    }

    /// One for this test alone, to which GatewayPolicy is unknown.
    pub(crate) async fn own_without_definition(name: &str) -> OwnControlPlane {
        let turn = ONE_AT_A_TIME.lock().await;
        OwnControlPlane {
            plane: Arc::new(Self::start(name).await),
            _turn: turn,
        }
    }

    /// Makes GatewayPolicy known.
    pub(crate) async fn install_definition(&self) {
        definition::install(&self.client().await).await;
    }

    async fn start(name: &str) -> Self {
        let directory = namespace::scratch().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let (etcd, services) = (unused_address(), ServiceNetwork::unused());
        let api_server = services.api_server();
        let credentials = Credentials::generate(&directory, api_server);
        let processes = Processes {
            etcd: start_etcd(&directory, etcd),
            api_server: None,
            controller_manager: None,
        };
        let plane = Self {
            directory,
            etcd,
            services,
            api_server,
            credentials,
            processes: Mutex::new(processes),
        };
        eventually("etcd that accepts connections", SOON, async || {
            plane.processes().etcd.assert_running();
            let connected = TcpStream::connect(etcd).await;
            connected.map_err(|error| error.to_string())
        })
        .await;
        plane.start_api_server().await;
        rights::grant(&plane.client().await).await;
        plane.processes().controller_manager = Some(plane.spawn_controller_manager());
        plane
    }

    fn processes(&self) -> MutexGuard<'_, Processes> {
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A client with every right, on the runtime of the test that asks.
    pub(crate) async fn client(&self) -> Client {
        self.client_of(User::Admin).await
    }

    pub(crate) async fn client_of(&self, user: User) -> Client {
        let kubeconfig = Kubeconfig::read_from(self.kubeconfig(user)).unwrap();
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        Client::try_from(config.unwrap()).unwrap()
    }

    pub(crate) fn kubeconfig(&self, user: User) -> PathBuf {
        self.credentials.kubeconfig(user)
    }

    /// Where Pods find the API server: the Service `kubernetes`.
    pub(crate) fn api_server(&self) -> SocketAddr {
        self.api_server
    }

    fn authority(&self) -> PathBuf {
        self.directory.join("ca.crt")
    }

    /// SIGKILL for the API server alone; etcd keeps the data.
    pub(crate) fn kill_api_server(&self) {
        let mut killed = self.processes().api_server.take();
        killed.as_mut().expect("an API server to kill").kill();
    }

    /// Starts the API server on the same port and data, and waits until it is ready.
    pub(crate) async fn start_api_server(&self) {
        let started = self.spawn_api_server();
        self.processes().api_server = Some(started);
        let client = self.client().await;
        eventually("API server that is ready", SOON, async || {
            if let Some(process) = &mut self.processes().api_server {
                process.assert_running();
            }
            let ready = http::Request::get("/readyz").body(Vec::new()).unwrap();
            let answer = client.request_text(ready).await;
            answer.map_err(|error| error.to_string())
        })
        .await;
    }

    fn spawn_api_server(&self) -> Process {
        let file = |name: &str| self.directory.join(name).display().to_string();
        let mut command = Command::new(namespace::binaries().path("kube-apiserver"));
        command
            .arg(format!("--etcd-servers=http://{}", self.etcd))
            .arg(format!("--bind-address={}", self.api_server.ip()))
            .arg("--advertise-address=10.244.255.254")
            .arg("--endpoint-reconciler-type=none")
            .arg(format!("--secure-port={}", self.api_server.port()))
            .arg(format!("--tls-cert-file={}", file("server.crt")))
            .arg(format!("--tls-private-key-file={}", file("server.key")))
            .arg(format!("--token-auth-file={}", file("tokens.csv")))
            .arg("--authorization-mode=RBAC")
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            .arg(format!("--service-account-key-file={}", file("sa.pub")))
            .arg(format!(
                "--service-account-signing-key-file={}",
                file("sa.key")
            ))
            .arg(format!("--service-cluster-ip-range={}", self.services));
        Process::start("kube-apiserver", &mut command, &self.directory)
    }

    /// All controllers but the two that look after nodes, of which there are none behind ours.
    fn spawn_controller_manager(&self) -> Process {
        let kubeconfig = self.kubeconfig(User::Admin).display().to_string();
        let mut command = Command::new(namespace::binaries().path("kube-controller-manager"));
        command
            .arg(format!("--kubeconfig={kubeconfig}"))
            .arg("--controllers=*,-node-lifecycle-controller,-node-ipam-controller")
            .arg(format!("--root-ca-file={}", self.authority().display()))
            .arg("--leader-elect=false")
            .arg("--secure-port=0")
            .arg("--kube-api-qps=500")
            .arg("--kube-api-burst=1000");
        Process::start("kube-controller-manager", &mut command, &self.directory)
    }
}

/// The addresses of a plane's Services: no two planes have one in common.
#[derive(Clone, Copy)]
struct ServiceNetwork(u8);

impl ServiceNetwork {
    fn unused() -> Self {
        let number = NEXT_PLANE.fetch_add(1, Ordering::Relaxed);
        assert!(number < 255, "out of networks for Services");
        Self(number)
    }

    fn first(self) -> u32 {
        let [a, b] = namespace::SERVICES;
        u32::from(Ipv4Addr::new(a, b, 0, 0)) + (u32::from(self.0) << 12)
    }

    /// The API server gives this address to the Service `kubernetes`.
    fn api_server(self) -> SocketAddr {
        (Ipv4Addr::from(self.first() + 1), 443).into()
    }
}

impl Display for ServiceNetwork {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "{}/20", Ipv4Addr::from(self.first()))
    }
}

fn start_etcd(directory: &std::path::Path, address: SocketAddr) -> Process {
    let peer = unused_address();
    let mut command = Command::new(namespace::binaries().path("etcd"));
    command
        .arg("--unsafe-no-fsync")
        .arg(format!("--data-dir={}", directory.join("etcd").display()))
        .arg(format!("--listen-client-urls=http://{address}"))
        .arg(format!("--advertise-client-urls=http://{address}"))
        .arg(format!("--listen-peer-urls=http://{peer}"))
        .arg(format!("--initial-advertise-peer-urls=http://{peer}"))
        .arg(format!("--initial-cluster=default=http://{peer}"))
        .arg("--log-level=warn");
    Process::start("etcd", &mut command, directory)
}
