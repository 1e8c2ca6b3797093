//! The addresses of the nodes on which ready replicas run: what is published where clients reach the nodes
//! themselves (`hostPort`).
//!
//! Which Pods are replicas of this installation is known from what they tell (`reports`), whatever a chart
//! calls or labels them; whether they are ready, and where, from the Pods. Nodes are looked up by name, as
//! few as there are replicas: to watch them all would need the right to, and most of what it brings is of
//! no use here. Where nothing that belongs to no namespace is read, the addresses that the kubelet gave the
//! Pod's host take their place.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::pin::pin;
use std::time::Duration;

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::warn;

use super::cluster::Connection;
use super::reports::Others;

/// After which the server ends a watch, and it is resumed, in seconds.
const WATCH_SECONDS: u32 = 110;

/// After which the addresses of a node are looked up again; they hardly ever change.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// After which one that could not be read is.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// The nodes of one installation's replicas.
#[derive(Clone)]
pub struct Nodes {
    watches: Client,
    requests: Client,
    namespace: String,
    replica: String,
    by_name: bool,
}

/// Where a Pod is, and whether it is ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Place {
    node: String,
    host: Vec<IpAddr>,
    ready: bool,
}

/// What is known of nodes.
#[derive(Debug, Default)]
struct Known {
    /// Their addresses, and since when.
    nodes: HashMap<String, (Vec<IpAddr>, Instant)>,
    /// Whether it was said that one cannot be read.
    troubled: bool,
}

impl Nodes {
    /// Those on which this replica and others of its namespace run. They are looked up by their names, or
    /// not at all.
    pub fn new(connection: &Connection, namespace: String, replica: String, by_name: bool) -> Self {
        Self {
            watches: connection.streams(),
            requests: connection.requests(),
            namespace,
            replica,
            by_name,
        }
    }

    /// Shows their addresses, for as long as this is polled. Those of a node that cannot be read stay as they
    /// were.
    pub async fn watch(
        self,
        mut others: watch::Receiver<Others>,
        addresses: watch::Sender<Vec<IpAddr>>,
    ) {
        let api = Api::<Pod>::namespaced(self.watches.clone(), &self.namespace);
        let config = watcher::Config::default().timeout(WATCH_SECONDS);
        let events = watcher(api, config).default_backoff();
        let mut events = pin!(events);
        let mut pods = Pods::default();
        let mut known = Known::default();
        let mut ticks = interval(TRY_AGAIN);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = events.try_next() => match event {
                    Ok(Some(event)) => pods.apply(event),
                    Ok(None) => return,
                    Err(error) => {
                        warn!(%error, "the Pods of this installation cannot be watched: the addresses \
                                       that are published stay as they are");
                        continue;
                    }
                },
                changed = others.changed() => if changed.is_err() {
                    return;
                },
                _ = ticks.tick() => {}
            }
            if !pods.synced {
                continue;
            }
            let replicas: BTreeSet<String> = others.borrow_and_update().keys().cloned().collect();
            let ready = pods.ready(|pod| pod == self.replica || replicas.contains(pod));
            if let Some(found) = self.find(ready, &mut known).await {
                addresses.send_if_modified(|shown| {
                    let news = *shown != found;
                    *shown = found;
                    news
                });
            }
        }
    }

    /// The addresses of these places, each once; absent where some are not known.
    async fn find(&self, places: Vec<&Place>, known: &mut Known) -> Option<Vec<IpAddr>> {
        if !self.by_name {
            let all: BTreeSet<IpAddr> = places.into_iter().flat_map(|it| it.host.clone()).collect();
            return Some(all.into_iter().collect());
        }
        let names: BTreeSet<&str> = places.iter().map(|place| &*place.node).collect();
        known.nodes.retain(|node, _| names.contains(&**node));
        let mut all = BTreeSet::new();
        for name in names {
            let now = Instant::now();
            let fresh = |(_, at): &(_, Instant)| now < *at + LOOK_AGAIN;
            if !known.nodes.get(name).is_some_and(fresh) {
                known.take(name, self.look_up(name).await);
            }
            all.extend(&known.nodes.get(name)?.0);
        }
        Some(all.into_iter().collect())
    }

    /// None where the node is gone.
    async fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, kube::Error> {
        let node = Api::<Node>::all(self.requests.clone())
            .get_opt(name)
            .await?;
        Ok(node.as_ref().map(of_node).unwrap_or_default())
    }
}

impl Known {
    fn take(&mut self, name: &str, found: Result<Vec<IpAddr>, kube::Error>) {
        match found {
            Ok(found) => {
                self.troubled = false;
                self.nodes.insert(name.to_owned(), (found, Instant::now()));
            }
            Err(error) => {
                if !std::mem::replace(&mut self.troubled, true) {
                    warn!(%error, node = name, "the addresses of a node cannot be read: grant \"get\" on \
                                                nodes to this service account; those that are published \
                                                stay as they are");
                }
            }
        }
    }
}

/// The Pods of the namespace.
#[derive(Debug, Default)]
struct Pods {
    current: BTreeMap<String, Place>,
    incoming: BTreeMap<String, Place>,
    synced: bool,
}

impl Pods {
    fn apply(&mut self, event: Event<Pod>) {
        match event {
            Event::Init => self.incoming.clear(),
            Event::InitApply(pod) => drop(self.incoming.insert(name(&pod), Place::of(&pod))),
            Event::InitDone => {
                self.current = std::mem::take(&mut self.incoming);
                self.synced = true;
            }
            Event::Apply(pod) => drop(self.current.insert(name(&pod), Place::of(&pod))),
            Event::Delete(pod) => drop(self.current.remove(&name(&pod))),
        }
    }

    fn ready(&self, is_replica: impl Fn(&str) -> bool) -> Vec<&Place> {
        let pods = self.current.iter();
        let ready = pods.filter(|(pod, place)| place.ready && is_replica(pod));
        ready.map(|(_, place)| place).collect()
    }
}

impl Place {
    /// A Pod that ends is left out before its last request has.
    fn of(pod: &Pod) -> Self {
        let spec = pod.spec.as_ref();
        let status = pod.status.as_ref();
        let conditions = status.and_then(|status| status.conditions.as_deref());
        let mut conditions = conditions.unwrap_or_default().iter();
        let ready = conditions.any(|it| it.type_ == "Ready" && it.status == "True");
        let hosts = status.and_then(|status| status.host_ips.as_deref());
        let hosts = hosts.unwrap_or_default().iter().map(|host| &*host.ip);
        Self {
            node: spec
                .and_then(|spec| spec.node_name.clone())
                .unwrap_or_default(),
            host: hosts.filter_map(|ip| ip.parse().ok()).collect(),
            ready: ready && pod.metadata.deletion_timestamp.is_none(),
        }
    }
}

fn name(pod: &Pod) -> String {
    pod.metadata.name.clone().unwrap_or_default()
}

/// What a node is reached by from outside of the cluster, else within.
fn of_node(node: &Node) -> Vec<IpAddr> {
    let status = node.status.as_ref();
    let addresses = status.and_then(|status| status.addresses.as_deref());
    let addresses = addresses.unwrap_or_default();
    let of_type = |wanted: &str| -> Vec<IpAddr> {
        let of_type = addresses.iter().filter(|it| it.type_ == wanted);
        of_type.filter_map(|it| it.address.parse().ok()).collect()
    };
    let external = of_type("ExternalIP");
    match external.is_empty() {
        true => of_type("InternalIP"),
        false => external,
    }
}

impl std::fmt::Debug for Nodes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nodes")
            .field("namespace", &self.namespace)
            .field("by_name", &self.by_name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
