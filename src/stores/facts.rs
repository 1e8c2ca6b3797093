//! What a cluster, or a directory, has about the Service behind failing requests: asked for on demand.
//!
//! Services and EndpointSlices are known already. Pods and NetworkPolicies are not watched, because
//! only what fails is ever looked at, and a watch on all Pods of a cluster would cost more than all
//! else; they are read when somebody asks, at most [`MAX_PODS`] of them, within a few seconds. How often
//! is for whoever asks to bound. What cannot be read is left out, and named.

mod network_policy;
mod pod;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::ListParams;
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

use super::Source;
use super::cluster::Connection;
use crate::report::facts::{EndpointFacts, Facts, MAX_PODS, PortFacts, ServiceFacts, Unread};
use network_policy::Wanted;

/// For each list that is asked for, its connection included.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most NetworkPolicies of a namespace that are looked at.
const MAX_POLICIES: u32 = 200;

/// Reads facts.
#[derive(Clone, Debug)]
pub struct FactReader {
    source: Source,
    cluster: Option<Cluster>,
}

/// Where Pods are.
#[derive(Clone)]
struct Cluster {
    client: Client,
    /// The namespace of this process.
    own: String,
}

impl FactReader {
    /// Of a cluster.
    pub fn of_cluster(source: Source, connection: &Connection) -> Self {
        let cluster = Some(Cluster {
            client: connection.requests(),
            own: connection.namespace().to_owned(),
        });
        Self { source, cluster }
    }

    /// Of a directory, where there are no Pods.
    pub fn of_directory(source: Source) -> Self {
        Self {
            source,
            cluster: None,
        }
    }

    /// What there is about a Service.
    pub async fn read(&self, namespace: &str, name: &str) -> Facts {
        let service = self.source.service(namespace, name);
        let slices = self.source.slices(namespace, name);
        let mut facts = Facts {
            at: Timestamp::now(),
            gateway_namespace: self.cluster.as_ref().map(|cluster| cluster.own.clone()),
            service: service.as_deref().map(of_service),
            endpoints: of_slices(&slices),
            ..Facts::default()
        };
        let selector = service.as_deref().and_then(selector);
        if let (Some(cluster), Some(selector)) = (&self.cluster, selector) {
            let ports = ports(&slices);
            cluster
                .read((namespace, &selector), &ports, &mut facts)
                .await;
        }
        facts
    }
}

impl Cluster {
    /// Pods by the selector, and what restricts them.
    async fn read(
        &self,
        (namespace, selector): (&str, &BTreeMap<String, String>),
        ports: &[u16],
        facts: &mut Facts,
    ) {
        let most = u32::try_from(MAX_PODS).unwrap_or(u32::MAX);
        let (pods, policies) = tokio::join!(
            self.list::<Pod>(
                namespace,
                ListParams::default().labels(&text(selector)).limit(most)
            ),
            self.list::<NetworkPolicy>(namespace, ListParams::default().limit(MAX_POLICIES)),
        );
        let pods = match pods {
            Ok((pods, more)) => {
                facts.more_pods = more;
                pods
            }
            Err(unread) => {
                facts.unread.push(unread);
                return;
            }
        };
        match policies {
            // One of those that were not read may admit us.
            Ok((_, true)) => facts.unread.push(unread::<NetworkPolicy>(false)),
            Ok((policies, false)) => {
                let wanted = Wanted {
                    namespace: &self.own,
                    ports,
                };
                facts.network_policies = network_policy::restricting(&policies, &pods, &wanted);
            }
            Err(unread) => facts.unread.push(unread),
        }
        if pods.is_empty() {
            let others = self.list::<Pod>(namespace, ListParams::default().limit(most));
            if let Ok((others, _)) = others.await {
                facts.near_labels = pod::near_labels(&others, selector);
            }
        }
        facts.pods = Some(pods.iter().map(pod::facts).collect());
    }

    /// A list, and whether there is more of it.
    async fn list<K>(&self, namespace: &str, params: ListParams) -> Result<(Vec<K>, bool), Unread>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Debug,
    {
        let api = Api::<K>::namespaced(self.client.clone(), namespace);
        match tokio::time::timeout(PATIENCE, api.list(&params)).await {
            Ok(Ok(list)) => {
                let more = list.metadata.continue_.is_some_and(|rest| !rest.is_empty());
                Ok((list.items, more))
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, resource = %K::plural(&()), "facts cannot be read");
                let forbidden = matches!(&error, kube::Error::Api(status) if status.code == 403);
                Err(unread::<K>(forbidden))
            }
            Err(_) => Err(unread::<K>(false)),
        }
    }
}

impl Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}

fn unread<K: Resource<DynamicType = ()>>(forbidden: bool) -> Unread {
    Unread {
        resource: K::plural(&()).into_owned(),
        forbidden,
    }
}

fn selector(service: &Service) -> Option<BTreeMap<String, String>> {
    let spec = service.spec.as_ref()?;
    let followed = spec.type_.as_deref() != Some("ExternalName");
    let selector = spec.selector.clone().filter(|_| followed);
    selector.filter(|selector| !selector.is_empty())
}

/// `app=cart,tier=web`, as a label selector.
fn text(selector: &BTreeMap<String, String>) -> String {
    let pairs = selector.iter().map(|(key, value)| format!("{key}={value}"));
    pairs.collect::<Vec<_>>().join(",")
}

fn of_service(service: &Service) -> ServiceFacts {
    let spec = service.spec.clone().unwrap_or_default();
    let external = spec.type_.as_deref() == Some("ExternalName");
    let ports = spec.ports.iter().flatten();
    ServiceFacts {
        external_name: spec.external_name.clone().filter(|_| external),
        selector: selector(service).map(|selector| text(&selector)),
        ports: ports
            .map(|port| PortFacts {
                name: port.name.clone(),
                port: number(port.port),
                target_port: match &port.target_port {
                    Some(IntOrString::String(name)) => name.clone(),
                    Some(IntOrString::Int(number)) => number.to_string(),
                    None => port.port.to_string(),
                },
                app_protocol: port.app_protocol.clone(),
            })
            .collect(),
    }
}

fn of_slices(slices: &[Arc<EndpointSlice>]) -> EndpointFacts {
    let mut facts = EndpointFacts::default();
    let mut ports = BTreeSet::new();
    for slice in slices {
        let names = slice.ports.iter().flatten();
        ports.extend(names.map(|port| port.name.clone().unwrap_or_default()));
        for endpoint in &slice.endpoints {
            let conditions = endpoint.conditions.clone().unwrap_or_default();
            // Nothing said means yes, and that it stays.
            match (conditions.terminating, conditions.ready) {
                (Some(true), _) => facts.terminating += 1,
                (_, Some(false)) => facts.unready += 1,
                _ => facts.ready += 1,
            }
        }
    }
    facts.ports = ports.into_iter().collect();
    facts
}

/// The numbers of the endpoints' ports.
fn ports(slices: &[Arc<EndpointSlice>]) -> Vec<u16> {
    let ports = slices.iter().flat_map(|slice| slice.ports.iter().flatten());
    ports.filter_map(|port| port.port).map(number).collect()
}

/// Kubernetes has checked it.
fn number(port: i32) -> u16 {
    u16::try_from(port).unwrap_or_default()
}

#[cfg(test)]
mod tests;
