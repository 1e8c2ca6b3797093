//! Rules for the addresses of a Service: its own, those that lead to it, those that may ask it.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::ServiceSpec;

use super::service::Written;
use super::{Faults, addresses, items, step};

/// Written where a Service has no address of its own.
const NONE: &str = "None";

const POLICIES: [&str; 3] = ["PreferDualStack", "RequireDualStack", "SingleStack"];

const FAMILIES: [&str; 2] = ["IPv4", "IPv6"];

/// The older form of `loadBalancerSourceRanges`.
const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";

/// The addresses of a Service, in whichever field they are written.
fn cluster_ips(spec: &ServiceSpec) -> Vec<&str> {
    let several = items(spec.cluster_ips.as_ref());
    match cluster_ip(spec) {
        Some(one) if several.is_empty() => vec![one],
        _ => several.iter().map(String::as_str).collect(),
    }
}

fn cluster_ip(spec: &ServiceSpec) -> Option<&str> {
    spec.cluster_ip.as_deref().filter(|it| !it.is_empty())
}

/// Whether a Service has no address of its own.
pub(super) fn is_headless(spec: &ServiceSpec) -> bool {
    cluster_ips(spec) == [NONE]
}

/// Looks at all of them.
pub(super) fn check(written: &Written<'_>, faults: &mut Faults) {
    match written.kind() {
        "ExternalName" => without_any(written.spec, faults),
        kind => {
            if is_headless(written.spec) && matches!(kind, "LoadBalancer" | "NodePort") {
                let message = format!("a Service of type {kind} has an address: remove None");
                faults.refuse_at("clusterIPs/0", message);
            }
            own(written.spec, faults);
            families(written.spec, faults);
        }
    }
    faults.each(
        "externalIPs",
        items(written.spec.external_ips.as_ref()),
        |faults, it| match addresses::parse(it) {
            Some(address) => addresses::of_endpoint(faults, address),
            None => faults.form(it, addresses::address),
        },
    );
    source_ranges(written, faults);
}

/// A name in the DNS has no addresses.
fn without_any(spec: &ServiceSpec, faults: &mut Faults) {
    let there = [
        ("clusterIPs", !cluster_ips(spec).is_empty()),
        ("ipFamilies", !items(spec.ip_families.as_ref()).is_empty()),
        ("ipFamilyPolicy", spec.ip_family_policy.is_some()),
    ];
    for (field, _) in there.into_iter().filter(|(_, is_there)| *is_there) {
        faults.refuse_at(field, "a Service of type ExternalName has none: remove it");
    }
}

fn own(spec: &ServiceSpec, faults: &mut Faults) {
    let all = cluster_ips(spec);
    match cluster_ip(spec) {
        Some(one) if all.first() != Some(&one) => {
            faults.refuse_at(
                "clusterIPs",
                format!("the first is not clusterIP, {one}: write it first"),
            );
        }
        None if !all.is_empty() => {
            faults.refuse_at(
                "clusterIPs",
                "clusterIP is missing: write the first one there too",
            );
        }
        _ => {}
    }
    if all.first() == Some(&NONE) {
        if all.len() > 1 {
            faults.refuse_at("clusterIPs", "None stands alone: remove the others");
        }
        return;
    }
    faults.each("clusterIPs", &all, |faults, it| {
        faults.form(it, addresses::address)
    });
    let parsed: Vec<IpAddr> = all.iter().filter_map(|it| addresses::parse(it)).collect();
    if parsed.len() != all.len() {
        return;
    }
    let one_of_each = match parsed.as_slice() {
        [] | [_] => true,
        [one, other] => one.is_ipv4() != other.is_ipv4(),
        _ => false,
    };
    if !one_of_each {
        let message = "there are at most one IPv4 and one IPv6 address: remove the others";
        faults.refuse_at("clusterIPs", message);
    }
    let families = items(spec.ip_families.as_ref());
    for (index, (address, family)) in parsed.iter().zip(families).enumerate() {
        let is_of_family = match family.as_str() {
            "IPv4" => address.is_ipv4(),
            "IPv6" => address.is_ipv6(),
            _ => true,
        };
        if !is_of_family {
            let message = format!("this is no {family} address, as ipFamilies[{index}] says");
            faults.refuse_at(format!("clusterIPs/{index}"), message);
        }
    }
}

fn families(spec: &ServiceSpec, faults: &mut Faults) {
    let list = items(spec.ip_families.as_ref());
    faults.at("ipFamilies", |faults| {
        for (index, family) in list.iter().enumerate() {
            faults.one_of(&index.to_string(), Some(family), &FAMILIES);
            if list[..index].contains(family) {
                faults.refuse_at(index, "this stands twice in the list: remove one of them");
            }
        }
    });
    let policy = spec.ip_family_policy.as_deref();
    faults.one_of("ipFamilyPolicy", policy, &POLICIES);
    let is_bare = is_headless(spec) && spec.selector.as_ref().is_none_or(|it| it.is_empty());
    let is_single = policy.map_or(!is_bare, |it| it == "SingleStack");
    if is_single && (cluster_ips(spec).len() == 2 || list.len() == 2) {
        let message = "two addresses or families need PreferDualStack or RequireDualStack: write one of \
                       them, or remove the second";
        faults.refuse_at("ipFamilyPolicy", message);
    }
}

fn source_ranges(written: &Written<'_>, faults: &mut Faults) {
    let ranges = items(written.spec.load_balancer_source_ranges.as_ref());
    let annotations = written.metadata.annotations.as_ref();
    let old = annotations.and_then(|it| it.get(SOURCE_RANGES));
    let elsewhere = (written.kind() != "LoadBalancer").then(|| {
        let kind = written.kind();
        format!("only the type LoadBalancer has this, and the type is {kind}: remove it")
    });
    if !ranges.is_empty() {
        if let Some(message) = elsewhere {
            faults.refuse_at("loadBalancerSourceRanges", message);
        }
        faults.each("loadBalancerSourceRanges", ranges, |faults, it| {
            faults.form(it, addresses::network);
        });
    } else if let Some(old) = old {
        let mut outside = Faults::default();
        outside.at(
            format!("metadata/annotations/{}", step(SOURCE_RANGES)),
            |faults| {
                elsewhere
                    .into_iter()
                    .for_each(|message| faults.refuse(message));
                let listed = old.trim().split(',').filter(|_| !old.trim().is_empty());
                listed.for_each(|range| faults.form(range, addresses::network));
            },
        );
        faults.found.append(&mut outside.found);
    }
}
