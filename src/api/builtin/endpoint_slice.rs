//! Rules for an EndpointSlice.

use std::collections::BTreeSet;
use std::net::IpAddr;

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointHints, EndpointPort, EndpointSlice};

use crate::api::validation::Violation;

use super::service::PROTOCOLS;
use super::{Faults, addresses, items, metadata, names};

/// The most endpoints of a slice.
const ENDPOINTS: usize = 1_000;

/// The most addresses of an endpoint.
const ADDRESSES: usize = 100;

/// The most ports of a slice.
const PORTS: usize = 20_000;

/// The most zones that an endpoint is meant for, and nodes.
const HINTS: usize = 8;

const ADDRESS_TYPES: [&str; 3] = ["FQDN", "IPv4", "IPv6"];

/// What an API server would refuse an EndpointSlice for.
pub fn endpoint_slice(slice: &EndpointSlice) -> Vec<Violation> {
    let EndpointSlice {
        address_type,
        endpoints,
        metadata,
        ports: all_ports,
    } = slice;
    let mut faults = Faults::default();
    metadata::namespaced(metadata, names::subdomain, &mut faults);
    match address_type.is_empty() {
        true => faults.missing("addressType", "one of IPv4, IPv6, FQDN"),
        false => faults.one_of("addressType", Some(address_type), &ADDRESS_TYPES),
    }
    ports(items(all_ports.as_ref()), &mut faults);
    let endpoints = endpoints.as_slice();
    if endpoints.len() > ENDPOINTS {
        faults.refuse_at("endpoints", "this list must have at most 1000 items");
    } else {
        faults.each("endpoints", endpoints, |faults, it| {
            endpoint(it, address_type, faults);
        });
    }
    faults.found
}

fn ports(ports: &[EndpointPort], faults: &mut Faults) {
    if ports.len() > PORTS {
        return faults.refuse_at("ports", "this list must have at most 20000 items");
    }
    let mut known = BTreeSet::new();
    faults.each("ports", ports, |faults, port| {
        let name = port.name.as_deref().unwrap_or_default();
        if !name.is_empty() {
            faults.text("name", Some(name), names::label);
        }
        if !known.insert(name.to_owned()) {
            let message = format!("another port is called '{name}' too: name each differently");
            faults.refuse_at("name", message);
        }
        faults.one_of("protocol", port.protocol.as_deref(), &PROTOCOLS);
        faults.text(
            "appProtocol",
            port.app_protocol.as_deref(),
            names::qualified,
        );
    });
}

fn endpoint(endpoint: &Endpoint, address_type: &str, faults: &mut Faults) {
    match endpoint.addresses.len() {
        0 => faults.missing("addresses", "a list with an address"),
        1..=ADDRESSES => {}
        _ => faults.refuse_at("addresses", "this list must have at most 100 items"),
    }
    faults.each("addresses", &endpoint.addresses, |faults, it| {
        address(it, address_type, faults);
    });
    faults.text("nodeName", endpoint.node_name.as_deref(), names::subdomain);
    faults.text("hostname", endpoint.hostname.as_deref(), names::label);
    if let Some(EndpointHints {
        for_zones,
        for_nodes,
    }) = &endpoint.hints
    {
        faults.at("hints", |faults| {
            let zones = items(for_zones.as_ref()).iter().map(|it| it.name.as_str());
            hints(("forZones", names::label_value), zones.collect(), faults);
            let nodes = items(for_nodes.as_ref()).iter().map(|it| it.name.as_str());
            hints(("forNodes", names::subdomain), nodes.collect(), faults);
        });
    }
}

fn address(address: &str, address_type: &str, faults: &mut Faults) {
    if address_type == "FQDN" {
        return faults.form(address, names::full_name);
    }
    let wants_v4 = match address_type {
        "IPv4" => true,
        "IPv6" => false,
        _ => return,
    };
    match addresses::parse(address) {
        None => faults.form(address, addresses::address),
        Some(parsed) => {
            if parsed.is_ipv4() != wants_v4 {
                let message = format!("this is no {address_type} address, as addressType says");
                faults.refuse(message);
            }
            if matches!(parsed, IpAddr::V6(it) if !wants_v4 && it.to_string() != address) {
                faults.refuse(format!("write the address in its short form: {parsed}"));
            }
            addresses::of_endpoint(faults, parsed);
        }
    }
}

fn hints((field, form): (&str, super::Form), known: Vec<&str>, faults: &mut Faults) {
    if known.len() > HINTS {
        return faults.refuse_at(field, "this list must have at most 8 items");
    }
    let mut seen = BTreeSet::new();
    faults.each(field, &known, |faults, name| {
        if !seen.insert(*name) {
            faults.refuse_at("name", "this stands twice in the list: remove one of them");
        }
        faults.text("name", Some(name), form);
    });
}
