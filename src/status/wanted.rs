//! What is wanted: pure functions of objects and findings.
//!
//! An Ingress of ours gets the published addresses, all of them and no other: the list is one value
//! to Kubernetes, owned by whoever wrote it last. On any other Ingress we only ever take back what is
//! still ours, which `managedFields` tells: another controller that has written the list since has
//! taken it over, and is left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{LoadBalancerIngress, Service};
use k8s_openapi::api::networking::v1::{Ingress, IngressLoadBalancerIngress, IngressPortStatus};

use super::{Publish, PublishAddress};
use crate::diagnose::judge::{Judged, worst};
use crate::failure::Trouble;
use crate::report::{Code, Finding, Kind, ObjectRef};
use crate::stores::ownership;

/// The ports of an address that clients use.
const PUBLISHED_PORTS: [i32; 2] = [80, 443];

/// The addresses that Ingresses should have.
pub(super) type Addresses = Vec<IngressLoadBalancerIngress>;

/// A change to the addresses of an Ingress.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum AddressChange {
    /// It should have these.
    Publish(Arc<Addresses>),
    /// It has some that we wrote and should have none of ours.
    Withdraw,
}

/// The published addresses; absent where they are not known (yet), which changes nothing anywhere.
/// `find` looks a Service up by namespace and name; `nodes` are the addresses of nodes.
pub(super) fn addresses(
    publish: &Publish,
    find: impl FnOnce(&str, &str) -> Option<Arc<Service>>,
    nodes: &[IpAddr],
) -> Option<Addresses> {
    let addresses = match publish {
        Publish::Nothing => return None,
        Publish::Addresses(listed) => listed.iter().map(listed_address).collect(),
        Publish::Service { namespace, name } => of_service(&*find(namespace, name)?),
        Publish::Nodes => nodes.iter().map(|ip| by_ip(&ip.to_string())).collect(),
    };
    (!addresses.is_empty()).then_some(addresses)
}

/// What has to change, by Ingress.
pub(super) fn address_changes(
    (ours, judged): (&BTreeSet<ObjectRef>, &Judged),
    ingresses: &[Arc<Ingress>],
    addresses: Option<Addresses>,
    field_manager: &str,
) -> BTreeMap<ObjectRef, AddressChange> {
    let addresses = addresses.map(Arc::new);
    let change = |ingress: &Ingress, key: &ObjectRef| {
        if !ours.contains(key) {
            return written_by(ingress, field_manager).then_some(AddressChange::Withdraw);
        }
        let addresses = addresses.as_ref()?;
        let wanted = match judged.said.ingresses.get(key).and_then(worst) {
            Some(trouble) => Arc::new(with_error(addresses, trouble)),
            None => Arc::clone(addresses),
        };
        (current(ingress) != wanted.as_slice()).then_some(AddressChange::Publish(wanted))
    };
    ingresses
        .iter()
        .filter_map(|ingress| {
            let key = key(ingress);
            change(ingress, &key).map(|change| (key, change))
        })
        .collect()
}

/// The addresses with what requests are answered there.
fn with_error(addresses: &Addresses, trouble: Trouble) -> Addresses {
    let ports = PUBLISHED_PORTS.map(|port| IngressPortStatus {
        error: Some(trouble.port_error().to_owned()),
        port,
        protocol: "TCP".to_owned(),
    });
    let with_error = |address: &IngressLoadBalancerIngress| IngressLoadBalancerIngress {
        ports: Some(ports.to_vec()),
        ..address.clone()
    };
    addresses.iter().map(with_error).collect()
}

/// What an Event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) message: String,
    /// Whether something is wrong.
    pub(super) warns: bool,
}

/// Of the Event that says that trouble is over.
const RECOVERED: &str = "Recovered";

/// By object and reason.
pub(super) type Notes = BTreeMap<(ObjectRef, &'static str), Note>;

/// The Events there should be: one for each defect of an object, one for each cause for which requests
/// of an Ingress fail, and that they do no more. Where a defect has the same reason, it says more.
pub(super) fn notes(findings: &[Finding], judged: &Judged) -> Notes {
    let mut notes = Notes::new();
    for (ingress, said) in &judged.said.ingresses {
        let mut note = |reason, message: &str, warns| {
            let message = shorten(message, LONGEST_NOTE);
            notes.insert((ingress.clone(), reason), Note { message, warns });
        };
        // Of trouble that another replica told of there is an Event already.
        let verdicts = said
            .verdicts
            .iter()
            .filter(|it| it.is_trouble() && it.is_explained());
        verdicts.for_each(|it| note(it.reason, &it.message, true));
        if let Some(recovered) = &said.recovered {
            note(RECOVERED, recovered, false);
        }
    }
    let defects = defects(findings).into_iter();
    notes.extend(defects.map(|((object, code), message)| {
        let warns = true;
        ((object, code.as_str()), Note { message, warns })
    }));
    notes
}

/// What is wrong with one object in one way, all in one.
fn defects(findings: &[Finding]) -> BTreeMap<(ObjectRef, Code), String> {
    let mut messages: BTreeMap<(ObjectRef, Code), BTreeSet<&str>> = BTreeMap::new();
    for finding in findings {
        if let Some(object) = &finding.object {
            let key = (object.clone(), finding.code);
            messages.entry(key).or_default().insert(&finding.message);
        }
    }
    messages
        .into_iter()
        .map(|(key, messages)| (key, note(&messages)))
        .collect()
}

/// The longest note, in bytes (`message` of an Event).
const LONGEST_NOTE: usize = 1024;

/// As many messages as fit, whole ones where possible, and how many more there are.
fn note(messages: &BTreeSet<&str>) -> String {
    let mut note = String::new();
    for (index, message) in messages.iter().enumerate() {
        let left = messages.len() - index;
        let more = if left > 1 {
            format!("; and {} more", left - 1)
        } else {
            String::new()
        };
        let separator = if index > 0 { "; " } else { "" };
        if note.len() + separator.len() + message.len() + more.len() > LONGEST_NOTE {
            if index == 0 {
                return shorten(message, LONGEST_NOTE - more.len()) + &more;
            }
            return format!("{note}; and {left} more");
        }
        note = note + separator + message;
    }
    note
}

/// At most so many bytes. Leaves the middle out: a message begins with what is wrong and ends with what to
/// do.
pub(super) fn shorten(message: &str, longest: usize) -> String {
    const GAP: &str = " … ";
    if message.len() <= longest {
        return message.to_owned();
    }
    let half = (longest - GAP.len()) / 2;
    let head = &message[..message.floor_char_boundary(half)];
    let tail = &message[message.ceil_char_boundary(message.len() - half)..];
    format!("{head}{GAP}{tail}")
}

fn key(ingress: &Ingress) -> ObjectRef {
    ObjectRef {
        kind: Kind::Ingress,
        namespace: ingress
            .metadata
            .namespace
            .as_deref()
            .unwrap_or_default()
            .into(),
        name: ingress.metadata.name.as_deref().unwrap_or_default().into(),
    }
}

fn current(ingress: &Ingress) -> &[IngressLoadBalancerIngress] {
    let status = ingress.status.as_ref();
    let balancer = status.and_then(|status| status.load_balancer.as_ref());
    balancer
        .and_then(|balancer| balancer.ingress.as_deref())
        .unwrap_or_default()
}

/// Whether there are addresses and they are of this manager.
fn written_by(ingress: &Ingress, field_manager: &str) -> bool {
    !current(ingress).is_empty() && ownership::has_status(&ingress.metadata, field_manager)
}

fn listed_address(address: &PublishAddress) -> IngressLoadBalancerIngress {
    match address {
        PublishAddress::Ip(ip) => by_ip(&ip.to_string()),
        PublishAddress::Name(name) => by_name(name),
    }
}

/// A Service of type LoadBalancer has the addresses that its balancer was given, and until then none:
/// the others would be reachable only from inside the cluster. Every other type has at least its
/// `clusterIP`, because an Ingress without an address counts as unfinished for ever.
fn of_service(service: &Service) -> Addresses {
    let Some(spec) = &service.spec else {
        return Vec::new();
    };
    let external = spec.external_ips.iter().flatten().map(|ip| by_ip(ip));
    if spec.type_.as_deref() == Some("LoadBalancer") {
        let balancer = service
            .status
            .as_ref()
            .and_then(|status| status.load_balancer.as_ref());
        let points = balancer.and_then(|balancer| balancer.ingress.as_deref());
        let points = points.unwrap_or_default().iter().filter_map(of_balancer);
        return distinct(points.chain(external));
    }
    if let (Some("ExternalName"), Some(name)) = (spec.type_.as_deref(), &spec.external_name) {
        return vec![by_name(name)];
    }
    let external = distinct(external);
    if !external.is_empty() {
        return external;
    }
    let cluster = spec.cluster_ips.iter().flatten().chain(&spec.cluster_ip);
    distinct(
        cluster
            .filter(|ip| !ip.is_empty() && *ip != "None")
            .map(|ip| by_ip(ip)),
    )
}

fn of_balancer(point: &LoadBalancerIngress) -> Option<IngressLoadBalancerIngress> {
    (point.ip.is_some() || point.hostname.is_some()).then(|| IngressLoadBalancerIngress {
        hostname: point.hostname.clone(),
        ip: point.ip.clone(),
        ports: None,
    })
}

fn by_ip(ip: &str) -> IngressLoadBalancerIngress {
    IngressLoadBalancerIngress {
        ip: Some(ip.to_owned()),
        ..IngressLoadBalancerIngress::default()
    }
}

fn by_name(name: &str) -> IngressLoadBalancerIngress {
    IngressLoadBalancerIngress {
        hostname: Some(name.to_owned()),
        ..IngressLoadBalancerIngress::default()
    }
}

fn distinct(addresses: impl Iterator<Item = IngressLoadBalancerIngress>) -> Addresses {
    let mut kept = Addresses::new();
    for address in addresses {
        if !kept.contains(&address) {
            kept.push(address);
        }
    }
    kept
}

#[cfg(test)]
mod tests;
