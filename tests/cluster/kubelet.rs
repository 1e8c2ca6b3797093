//! A node for a tenant's Pods: what a scheduler with one choice, a kubelet, a container runtime, kube-proxy and
//! a cloud with load balancers do in a cluster.
//!
//! It takes the Pods of its namespace that nobody has placed; those that a test has bound itself are left alone.
//! Their command lines run as they are written, in network and mount namespaces of their own. It honours
//! probes, hooks that sleep, grace times and restart policies, and tells in the Pods' status what comes of
//! them: everything else (Deployments, EndpointSlices, budgets) is the real controllers' work. Not there:
//! init containers, the network of the host, `kubectl exec`, `logs` and `port-forward`, limits and users.

mod container;
mod environment;
mod hosts;
mod image;
mod name_server;
mod pod;
mod probe;
mod process;
mod sandbox;
mod status;
mod volumes;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::{Node as NodeObject, Pod, Service};
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use crate::kube_proxy::{self, Front};
use crate::namespace;
use crate::tenant::Tenant;
use crate::wait::{SOON, eventually};

/// What a node plays.
#[derive(Clone, Copy)]
pub(crate) struct Playing {
    /// For the Pods and Services of all namespaces: for a control plane of one's own.
    pub(crate) everywhere: bool,
    /// Services of type LoadBalancer get an address.
    pub(crate) load_balancer: bool,
}

/// It ends, with all that runs on it, when it is dropped.
pub(crate) struct Node {
    host: Arc<Host>,
    _tasks: JoinSet<()>,
}

/// What the parts of a node know of it.
struct Host {
    client: Client,
    /// None: all.
    namespace: Option<String>,
    /// As the tenant and its namespace are called.
    name: String,
    address: Ipv4Addr,
    api_server: SocketAddr,
    directory: PathBuf,
}

/// Why a container cannot be started, as its status says it.
#[derive(Debug)]
struct Refused {
    reason: &'static str,
    message: String,
}

impl Refused {
    fn new(reason: &'static str, message: String) -> Self {
        Self { reason, message }
    }

    fn config(message: String) -> Self {
        Self::new("CreateContainerConfigError", message)
    }
}

impl Node {
    /// For the tenant's namespace, with load balancers.
    pub(crate) async fn start(tenant: &Tenant) -> Self {
        let playing = Playing {
            everywhere: false,
            load_balancer: true,
        };
        Self::start_as(tenant, playing).await
    }

    pub(crate) async fn start_as(tenant: &Tenant, playing: Playing) -> Self {
        let host = Arc::new(Host {
            client: tenant.client.clone(),
            namespace: Some(tenant.name.clone()).filter(|_| !playing.everywhere),
            name: tenant.name.clone(),
            address: tenant.pod_ip(),
            api_server: tenant.plane.api_server(),
            directory: namespace::scratch().join("pods"),
        });
        host.register().await;
        let mut tasks = JoinSet::new();
        tasks.spawn(run_pods(Arc::clone(&host)));
        tasks.spawn(name_server::run(host.client.clone(), host.address));
        let front = Front {
            node: host.address,
            load_balancer: playing.load_balancer,
        };
        tasks.spawn(kube_proxy::run(host.api(), host.api(), front));
        Self {
            host,
            _tasks: tasks,
        }
    }

    /// Its own, at which Pods may have ports as well.
    pub(crate) fn address(&self) -> Ipv4Addr {
        self.host.address
    }

    /// Where clients in the cluster find a Service of the tenant's namespace.
    pub(crate) async fn service(&self, name: &str, port: u16) -> SocketAddr {
        let service = self.services().get(name).await.expect("a Service");
        let address = service.spec.and_then(|spec| spec.cluster_ip);
        let address = address.and_then(|it| it.parse::<Ipv4Addr>().ok());
        (address.expect("an address"), port).into()
    }

    /// Where clients outside of it find one that has a port on every node.
    pub(crate) async fn node_port(&self, name: &str, port: &str) -> SocketAddr {
        let service = self.services().get(name).await.expect("a Service");
        let ports = service.spec.and_then(|spec| spec.ports).unwrap_or_default();
        let named = ports
            .into_iter()
            .find(|it| it.name.as_deref() == Some(port));
        let number = named.and_then(|it| u16::try_from(it.node_port?).ok());
        (self.host.address, number.expect("a port of the node")).into()
    }

    /// Where clients outside of it find one of type LoadBalancer.
    pub(crate) async fn load_balancer(&self, name: &str) -> Ipv4Addr {
        eventually(&format!("load balancer for {name}"), SOON, async || {
            let service = self.services().get_status(name).await;
            let status = service.map_err(|error| error.to_string())?.status;
            let points = status
                .and_then(|it| it.load_balancer?.ingress)
                .unwrap_or_default();
            let address = points
                .first()
                .and_then(|point| point.ip.as_ref()?.parse().ok());
            address.ok_or_else(|| format!("{points:?}"))
        })
        .await
    }

    fn services(&self) -> Api<Service> {
        Api::namespaced(self.host.client.clone(), &self.host.name)
    }

    /// What the container of a Pod has printed.
    pub(crate) fn log(&self, pod: &Pod, container: &str) -> String {
        std::fs::read_to_string(self.host.log(pod, container)).unwrap_or_default()
    }
}

impl Host {
    fn api<K>(&self) -> Api<K>
    where
        K: crate::tenant::Kind,
    {
        match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    fn log(&self, pod: &Pod, container: &str) -> PathBuf {
        let namespace = pod.namespace().unwrap_or_default();
        let file = format!("{namespace}-{}-{container}.log", pod.name_any());
        namespace::scratch().join(file)
    }

    async fn services(&self, namespace: &str) -> Result<Vec<Service>, Refused> {
        let api = Api::<Service>::namespaced(self.client.clone(), namespace);
        let listed = api.list(&ListParams::default()).await;
        let listed = listed.map_err(|error| Refused::config(error.to_string()))?;
        Ok(listed.items)
    }

    /// The tenant's Node, with what a kubelet says of itself.
    async fn register(&self) {
        let api = Api::<NodeObject>::all(self.client.clone());
        let labels = json!({"metadata": {"labels": {
            "kubernetes.io/os": "linux", "kubernetes.io/hostname": self.name,
        }}, "spec": {"taints": null}});
        let status = json!({"status": {
            "addresses": [
                {"type": "InternalIP", "address": self.address},
                {"type": "Hostname", "address": self.name},
            ],
            "capacity": {"cpu": "2", "memory": "8Gi", "pods": "110"},
            "allocatable": {"cpu": "2", "memory": "8Gi", "pods": "110"},
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "KubeletReady",
                "lastTransitionTime": status::now(), "lastHeartbeatTime": status::now(),
            }],
        }});
        let new = PatchParams::default();
        api.patch(&self.name, &new, &Patch::Merge(labels))
            .await
            .expect("a Node");
        api.patch_status(&self.name, &new, &Patch::Merge(status))
            .await
            .expect("a Node");
    }
}

/// The Pods that run here, by their UIDs.
#[derive(Default)]
struct Running {
    pods: HashMap<String, (watch::Sender<Pod>, AbortHandle)>,
    lives: JoinSet<()>,
    /// While all are being told anew.
    told: Option<Vec<String>>,
}

async fn run_pods(host: Arc<Host>) {
    let mut running = Running::default();
    let events = watcher(host.api::<Pod>(), watcher::Config::default()).default_backoff();
    let mut events = pin!(events);
    loop {
        // What fails is tried again by the watcher.
        match events.try_next().await {
            Ok(Some(event)) => running.hear(&host, event),
            Ok(None) => return,
            Err(_) => {}
        }
    }
}

impl Running {
    fn hear(&mut self, host: &Arc<Host>, event: Event<Pod>) {
        while self.lives.try_join_next().is_some() {}
        match event {
            Event::Init => self.told = Some(Vec::new()),
            Event::InitApply(pod) => {
                self.told.get_or_insert_default().extend(pod.uid());
                self.apply(host, pod);
            }
            Event::InitDone => {
                let told = self.told.take().unwrap_or_default();
                self.keep(|uid| told.iter().any(|it| it == uid));
            }
            Event::Apply(pod) => self.apply(host, pod),
            Event::Delete(pod) => self.keep(|uid| pod.uid().as_deref() != Some(uid)),
        }
    }

    fn apply(&mut self, host: &Arc<Host>, pod: Pod) {
        let uid = pod.uid().unwrap_or_default();
        if let Some((heard, _)) = self.pods.get(&uid) {
            heard.send_replace(pod);
            return;
        }
        let placed = pod
            .spec
            .as_ref()
            .is_none_or(|spec| spec.node_name.is_some());
        if placed || pod.metadata.deletion_timestamp.is_some() {
            return;
        }
        let (heard, hears) = watch::channel(pod);
        let life = self.lives.spawn(pod::live(Arc::clone(host), hears));
        self.pods.insert(uid, (heard, life));
    }

    /// What is not kept is gone: nothing of it may run on.
    fn keep(&mut self, wanted: impl Fn(&str) -> bool) {
        self.pods.retain(|uid, (_, life)| {
            let keep = wanted(uid);
            if !keep {
                life.abort();
            }
            keep
        });
    }
}
