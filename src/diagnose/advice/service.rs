//! Services that lead nowhere.

use std::net::Ipv4Addr;

use crate::failure::Cause;
use crate::report::facts::ServiceFacts;
use crate::routing::host::Hostname;

use super::situation::{Situation, capital};
use super::words::list;
use super::{Advice, Code, pods};

pub(super) fn explain(it: &Situation<'_>) -> Advice {
    match it.problem.cause {
        Cause::UnknownUpstream => unknown(it),
        Cause::UnsupportedProtocol => protocol(it),
        Cause::DnsError | Cause::DnsTimeout => name(it),
        Cause::AddressProhibited => {
            let sentence = format!(
                "Bywash never connects to {}: addresses of loopback, link-local ones, the API server's \
                 and its own are out of bounds. Correct the EndpointSlice or the external name of {}.",
                it.who(),
                it.service()
            );
            Advice::of(Code::AddressForbidden, sentence)
        }
        _ => no_endpoint(it),
    }
}

fn unknown(it: &Situation<'_>) -> Advice {
    let Some(service) = &it.facts.service else {
        let sentence = format!(
            "{} does not exist. Create it, or correct its name in the Ingress{}.",
            capital(&it.service()),
            it.unread()
        );
        return Advice::of(Code::ServiceMissing, sentence);
    };
    let ports = ports(it, service);
    // With ports of its own it is found out first that it has not this one.
    let is_open = service.ports.is_empty() && it.port_number().is_some();
    let has_it = is_open || it.service_port().is_some();
    if let Some(name) = service.external_name.as_deref().filter(|_| has_it) {
        if Hostname::try_new(name).is_err() || name.parse::<Ipv4Addr>().is_ok() {
            return no_name(it, name);
        }
        let sentence = format!(
            "{} is of type ExternalName, which is followed only with --allow-external-name. Start Bywash \
             with it where all who may write Services are trusted, or use an EndpointSlice.",
            capital(&it.service())
        );
        return Advice::of(Code::ExternalNameForbidden, sentence);
    }
    let plural = if ports.len() == 1 { "" } else { "s" };
    let has = list(&ports).map_or("no port".to_owned(), |ports| {
        format!("port{plural} {ports}")
    });
    let wanted = it.port_number();
    let wanted = wanted.map_or("that port".to_owned(), |port| format!("port {port}"));
    let sentence = format!(
        "{} cannot be used at {wanted}: it has {has}. Name one of its ports in the Ingress; findings on \
         the Ingress say more.",
        capital(&it.service())
    );
    Advice::of(Code::PortMissing, sentence)
}

fn no_name(it: &Situation<'_>, name: &str) -> Advice {
    let sentence = format!(
        "The external name {} of {} is not a DNS name. Correct spec.externalName.",
        it.name(name),
        it.service()
    );
    Advice::of(Code::NameNotResolved, sentence)
}

/// `80 (http)`.
fn ports(it: &Situation<'_>, service: &ServiceFacts) -> Vec<String> {
    let ports = service.ports.iter();
    ports
        .map(|port| match port.name.as_deref() {
            Some(name) if !name.is_empty() => format!("{} ({})", port.port, it.name(name)),
            _ => port.port.to_string(),
        })
        .collect()
}

fn protocol(it: &Situation<'_>) -> Advice {
    let protocol = it
        .service_port()
        .and_then(|port| port.app_protocol.as_deref());
    let asks = match protocol {
        Some(protocol) => format!("has appProtocol: {}", it.name(protocol)),
        None => "asks for a protocol".to_owned(),
    };
    let sentence = format!(
        "{} of {} {asks}, which Bywash does not speak to endpoints: it speaks http, https, \
         kubernetes.io/ws and kubernetes.io/wss. Set one of these, and have the app take HTTP/1.1 there.",
        capital(&it.port()),
        it.service()
    );
    Advice::of(Code::ProtocolNotSpoken, sentence)
}

fn name(it: &Situation<'_>) -> Advice {
    let service = it.facts.service.as_ref();
    let name = service.and_then(|service| service.external_name.as_deref());
    let name = name
        .map(|name| format!(" {}", it.name(name)))
        .unwrap_or_default();
    let sentence = match it.problem.cause {
        Cause::DnsTimeout => format!(
            "The DNS servers did not resolve the external name{name} of {} in time: likely they are overloaded, or a \
             NetworkPolicy keeps Bywash from them. Check CoreDNS, and that Bywash may send to port 53.",
            it.service()
        ),
        _ => format!(
            "The external name{name} of {} does not resolve. Correct spec.externalName, or add the name \
             to DNS; try it with nslookup from a Pod.",
            it.service()
        ),
    };
    match it.problem.cause {
        Cause::DnsTimeout => Advice::likely(Code::NameNotResolved, sentence),
        _ => Advice::of(Code::NameNotResolved, sentence),
    }
}

fn no_endpoint(it: &Situation<'_>) -> Advice {
    let ready = it.facts.endpoints.ready;
    if ready > 0
        && let Some(advice) = port_name(it)
    {
        return advice;
    }
    let Some(service) = &it.facts.service else {
        return nothing(it);
    };
    match (&it.facts.pods, &service.selector) {
        (Some(pods), Some(selector)) if pods.is_empty() => no_match(it, selector),
        (Some(_), Some(_)) => port_name(it)
            .or_else(|| pods::ended(it))
            .unwrap_or_else(|| unready(it)),
        (_, None) if service.external_name.is_none() => {
            let sentence = format!(
                "{} has no selector, and no EndpointSlice gives it a usable endpoint. Add an \
                 EndpointSlice with the label kubernetes.io/service-name, or a selector.",
                capital(&it.service())
            );
            Advice::of(Code::NoEndpoint, sentence)
        }
        _ => nothing(it),
    }
}

/// The Service's port leads to a name that no container has.
fn port_name(it: &Situation<'_>) -> Option<Advice> {
    let port = it.service_port()?;
    let wanted = port.target_port.as_str();
    if wanted.parse::<u16>().is_ok() || it.pods().is_empty() {
        return None;
    }
    let containers = it.pods().iter().flat_map(|pod| &pod.containers);
    let ports: Vec<_> = containers.flat_map(|container| &container.ports).collect();
    if ports
        .iter()
        .any(|port| port.name.as_deref() == Some(wanted))
    {
        return None;
    }
    let mut told: Vec<String> = ports
        .iter()
        .map(|port| match port.name.as_deref() {
            Some(name) => format!("{} ({})", it.name(name), port.port),
            None => port.port.to_string(),
        })
        .collect();
    told.sort();
    told.dedup();
    let have = list(&told).map_or("no port".to_owned(), |told| format!("{told} only"));
    let sentence = format!(
        "{} leads to the port named {}, and no container has a port of that name: they declare {have}. \
         Set targetPort of {} to one of these, or name the container's port so.",
        capital(&it.port()),
        it.name(wanted),
        it.service()
    );
    Some(Advice::of(Code::PortNameMismatch, sentence))
}

fn no_match(it: &Situation<'_>, selector: &str) -> Advice {
    let near: Vec<String> = it
        .facts
        .near_labels
        .iter()
        .map(|label| it.name(label))
        .collect();
    let near = match list(&near) {
        Some(near) => format!("other Pods there have {near}. Correct"),
        None => "its Deployment is scaled to none, or the labels differ. Start Pods, or correct"
            .to_owned(),
    };
    let sentence = format!(
        "No Pod has the labels that {} selects ({}): {near} spec.selector or the labels of the Pods: \
         kubectl get pods{} --show-labels.",
        it.service(),
        it.name(selector),
        it.in_namespace()
    );
    Advice::of(Code::NoPodMatches, sentence)
}

fn unready(it: &Situation<'_>) -> Advice {
    let all = it.pods().len();
    let leaving = it.pods().iter().filter(|pod| pod.deleted.is_some()).count();
    let ready = it
        .pods()
        .iter()
        .filter(|pod| pod.ready && pod.deleted.is_none())
        .count();
    if ready > 0 {
        return nothing(it);
    }
    let pods = match all {
        1 => "The only Pod".to_owned(),
        _ => format!("None of the {all} Pods"),
    };
    let is = match (all, leaving) {
        (1, 0) => "is not Ready".to_owned(),
        (1, _) => "is being deleted".to_owned(),
        (_, 0) => "is Ready".to_owned(),
        _ => format!("is Ready, and {leaving} of them are being deleted"),
    };
    let probed = it
        .pods()
        .iter()
        .flat_map(|pod| &pod.containers)
        .any(|it| it.probed);
    let next = match (it.one_pod(), probed) {
        (Some(pod), true) => format!(
            "See what the readiness probe says: kubectl describe pod{} {pod}",
            it.in_namespace()
        ),
        (Some(pod), false) => format!("See why: kubectl describe pod{} {pod}", it.in_namespace()),
        (None, _) => "See why with kubectl describe pod".to_owned(),
    };
    let sentence = format!(
        "{pods} of {} {is}, so that there is no endpoint. {next}.",
        it.service()
    );
    Advice::of(Code::AllPodsUnready, sentence)
}

fn nothing(it: &Situation<'_>) -> Advice {
    let counted = &it.facts.endpoints;
    let sentence = format!(
        "{} has no usable endpoint ({} not ready, {} terminating). Start its Pods, or see why they are \
         not Ready: kubectl get endpointslices,pods{}.{}",
        capital(&it.service()),
        counted.unready,
        counted.terminating,
        it.in_namespace(),
        it.unread()
    );
    Advice::of(Code::NoEndpoint, sentence)
}
