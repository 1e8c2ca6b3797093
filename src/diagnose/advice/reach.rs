//! Endpoints that cannot be reached: refused, silent, or without a way to them.

use std::collections::BTreeSet;

use crate::report::facts::PodFacts;

use super::situation::{Situation, capital};
use super::words::list;
use super::{Advice, Code, pods, tls};

/// Somebody is there and nothing listens.
pub(super) fn refused(it: &Situation<'_>) -> Advice {
    let state = pods::ended(it).or_else(|| pods::leaving(it));
    state
        .or_else(|| wrong_target(it))
        .or_else(|| pods::starting(it))
        .or_else(|| pods::new_version(it))
        .unwrap_or_else(|| nothing_listens(it))
}

/// No container declares the port, and at least one declares another.
fn wrong_target(it: &Situation<'_>) -> Option<Advice> {
    let (port, failing) = (it.endpoint_port()?, it.failing());
    let ready = failing.iter().all(|pod| pod.ready);
    let declared = declared(&failing);
    if !ready || declared.is_empty() || declared.iter().any(|(number, _)| *number == port) {
        return None;
    }
    let told: Vec<String> = declared
        .iter()
        .map(|(number, name)| match name {
            Some(name) => format!("{number} ({})", it.name(name)),
            None => number.to_string(),
        })
        .collect();
    let first = declared.first().map_or(0, |(number, _)| *number);
    let next = match declared.len() {
        1 => format!("Set targetPort of {} to {first}", it.service()),
        _ => format!(
            "Set targetPort of {} to the one that speaks HTTP",
            it.service()
        ),
    };
    let sentence = format!(
        "The Pods are Ready, but {} targets {port} and no container declares that port: they declare \
         {}. {next}, or have the app listen on {port}.",
        it.port(),
        list(&told).unwrap_or_default()
    );
    Some(Advice::of(Code::WrongTargetPort, sentence))
}

/// The TCP ports of the Pods' containers, with their names.
fn declared<'a>(pods: &[&'a PodFacts]) -> BTreeSet<(u16, Option<&'a str>)> {
    let containers = pods.iter().flat_map(|pod| &pod.containers);
    let ports = containers.flat_map(|container| &container.ports);
    ports
        .map(|port| (port.port, port.name.as_deref()))
        .collect()
}

fn nothing_listens(it: &Situation<'_>) -> Advice {
    let port = it.port_there();
    let failing = it.failing();
    if failing.is_empty() {
        let sentence = format!(
            "Nothing listens where {} says. Start it, or correct the port in {}.{}",
            it.who(),
            it.service(),
            it.unread()
        );
        return Advice::of(Code::NothingListens, sentence);
    }
    if declared(&failing).is_empty() {
        let sentence = format!(
            "{} targets {port}, where nothing listens, and no container declares any port: likely the \
             app listens on another one. See {}, and set targetPort of {} to that port.",
            capital(&it.port()),
            it.log(),
            it.service()
        );
        return Advice::likely(Code::WrongTargetPort, sentence);
    }
    let sentence = format!(
        "{} is declared by {} and nothing listens there: likely the app listens on 127.0.0.1 alone, or on \
         another port. Have it listen on 0.0.0.0 (and ::); {} says what it does.",
        capital(&port),
        it.who(),
        it.log()
    );
    Advice::likely(Code::NothingListens, sentence)
}

/// Nobody answers, not even with a refusal.
pub(super) fn timed_out(it: &Situation<'_>) -> Advice {
    pods::leaving(it)
        .or_else(|| tls::slow(it))
        .or_else(|| network_policy(it))
        .or_else(|| one_node(it))
        .unwrap_or_else(|| dropped(it))
}

fn network_policy(it: &Situation<'_>) -> Option<Advice> {
    let policies: Vec<String> = it
        .facts
        .network_policies
        .iter()
        .map(|name| it.name(name))
        .collect();
    let (policy, restricts) = match policies.len() {
        1 => ("NetworkPolicy", "selects these Pods and restricts"),
        _ => ("NetworkPolicies", "select these Pods and restrict"),
    };
    let policies = list(&policies)?;
    let from = match &it.facts.gateway_namespace {
        Some(namespace) => format!("namespace {}", it.name(namespace)),
        None => "the namespace of Bywash".to_owned(),
    };
    let sentence = format!(
        "{policy} {policies} {restricts} what comes in: likely what Bywash sends is dropped for that. \
         Allow ingress from {from} to TCP {}, for instance with a namespaceSelector.",
        it.port_there()
    );
    Some(Advice::likely(Code::NetworkPolicyDrops, sentence))
}

/// All Pods of one node fail, and others do not.
fn one_node(it: &Situation<'_>) -> Option<Advice> {
    let failing = it.failing();
    let node = failing.first()?.node.as_deref()?;
    let here = failing.iter().all(|pod| pod.node.as_deref() == Some(node));
    let elsewhere = it
        .pods()
        .iter()
        .any(|pod| pod.ready && pod.node.as_deref() != Some(node));
    let silent = failing.iter().any(|pod| pod.phase == "Unknown");
    if !here || !(elsewhere && failing.len() < it.pods().len() || silent) {
        return None;
    }
    let node = it.name(node);
    let sentence = format!(
        "{} on node {node} cannot be reached, others can: likely the node, or the network to it, is \
         gone. Look at it with kubectl describe node {node}, and move its Pods with kubectl drain.",
        capital(&it.who())
    );
    Some(Advice::likely(Code::NodeUnreachable, sentence))
}

fn dropped(it: &Situation<'_>) -> Advice {
    let port = it.port_there();
    let sentence = format!(
        "Packets to {} get no answer, not even a refusal: likely a firewall, a security group or a \
         policy of the network plugin drops them. Allow TCP {port} from Bywash's Pods.{}",
        it.who(),
        it.unread()
    );
    Advice::likely(Code::PacketsDropped, sentence)
}

/// There is no way to the address.
pub(super) fn unroutable(it: &Situation<'_>) -> Advice {
    pods::leaving(it).or_else(|| one_node(it)).unwrap_or_else(|| {
        let sentence = format!(
            "There is no network path to {}: the address is wrong, its node is gone, or a firewall on \
             Bywash's own node rejects it. Check the address, and the route from Bywash's node.",
            it.who()
        );
        Advice::of(Code::NoNetworkPath, sentence)
    })
}

/// It was there and acknowledges nothing any more.
pub(super) fn vanished(it: &Situation<'_>) -> Advice {
    pods::ended(it)
        .or_else(|| pods::leaving(it))
        .or_else(|| one_node(it))
        .unwrap_or_else(|| {
            let node = it.failing().first().and_then(|pod| pod.node.as_deref());
            let look = match node {
                Some(node) => format!("kubectl describe node {}", it.name(node)),
                None => "kubectl get nodes".to_owned(),
            };
            let sentence = format!(
                "Packets to {} were acknowledged no more in the middle of a request: likely the node, or \
                 the network to it, is gone, or a firewall forgot the connection. Look with {look}.",
                it.who()
            );
            Advice::likely(Code::NodeUnreachable, sentence)
        })
}
