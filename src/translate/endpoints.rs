//! The endpoints of a Service's port, from all of its EndpointSlices.
//!
//! <https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/>

use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};

use crate::api::metadata::WEIGHT;
use crate::report::{Code, Kind};
use crate::routing::snapshot::{EndpointSpec, EndpointState, PodRef};

use super::findings::Findings;
use super::names;
use super::service::{Protocol, spoken};

/// Which endpoints are meant.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// The name of the port; empty where the Service has a single one without a name.
    pub(super) port_name: &'a str,
    /// Whether IPv6 is the Service's first family.
    pub(super) ipv6_first: bool,
    /// What is going to be spoken.
    pub(super) protocol: Protocol,
}

/// The usable endpoints of one port: those of the Service's first address family, and those of the
/// other only where the first has none. Sorted by address, each address once.
pub(super) fn endpoints(
    slices: &[&EndpointSlice],
    wanted: Wanted<'_>,
    findings: &mut Findings,
) -> Vec<EndpointSpec> {
    let mut v4 = Vec::new();
    let mut v6 = Vec::new();
    for slice in slices {
        let endpoints = match slice.address_type.as_str() {
            "IPv4" => &mut v4,
            "IPv6" => &mut v6,
            other => {
                let why =
                    format!("addressType {other} is not supported: its endpoints are left out");
                warn(slice, Code::UnsupportedEndpoints, why, findings);
                continue;
            }
        };
        read_slice(slice, wanted, endpoints, findings);
    }
    let (first, second) = if wanted.ipv6_first {
        (v6, v4)
    } else {
        (v4, v6)
    };
    let mut endpoints = if first.is_empty() { second } else { first };
    endpoints.sort();
    endpoints.dedup_by_key(|endpoint| endpoint.address);
    endpoints
}

fn read_slice(
    slice: &EndpointSlice,
    wanted: Wanted<'_>,
    out: &mut Vec<EndpointSpec>,
    findings: &mut Findings,
) {
    let EndpointSlice {
        address_type,
        endpoints,
        metadata: _,
        ports,
    } = slice;
    let weight = weight(slice).unwrap_or_else(|why| {
        warn(slice, Code::InvalidWeight, why, findings);
        1
    });
    for port in ports.as_deref().unwrap_or_default() {
        let Some(port) = read_port(slice, port, wanted, findings) else {
            continue;
        };
        for endpoint in endpoints {
            match read_endpoint(endpoint, (port, weight), address_type) {
                Ok(endpoint) => out.extend(endpoint),
                Err(why) => warn(slice, Code::UnsupportedEndpoints, why, findings),
            }
        }
    }
}

/// The number of a port of this name, if it can be spoken to.
fn read_port(
    slice: &EndpointSlice,
    port: &EndpointPort,
    wanted: Wanted<'_>,
    findings: &mut Findings,
) -> Option<u16> {
    let EndpointPort {
        app_protocol,
        name,
        port,
        protocol,
    } = port;
    let port_name = wanted.port_name;
    let tcp = protocol.as_deref().is_none_or(|it| it == "TCP");
    if !tcp || name.as_deref().unwrap_or_default() != port_name {
        return None;
    }
    let app_protocol = app_protocol.as_deref().unwrap_or_default();
    let objection = match (spoken(app_protocol), wanted.protocol) {
        (None, _) => Some("is not spoken to upstreams"),
        // TLS is never left out by mistake; where it is wanted, it is spoken.
        (Some(Protocol::Tls), Protocol::Plain) => Some(
            "asks for TLS, which neither the appProtocol of the Service nor the upstreamTls of a \
             policy does",
        ),
        (Some(_), _) => None,
    };
    if let Some(objection) = objection {
        let why = format!("appProtocol '{app_protocol}' {objection}: these endpoints are left out");
        warn(slice, Code::UnsupportedProtocol, why, findings);
        return None;
    }
    let number = port.and_then(|number| u16::try_from(number).ok());
    if number.is_none_or(|number| number == 0) {
        let why = format!("the port '{port_name}' has no number: its endpoints are left out");
        warn(slice, Code::UnsupportedEndpoints, why, findings);
        return None;
    }
    number
}

/// An endpoint that takes requests, or nothing where it takes none.
fn read_endpoint(
    endpoint: &Endpoint,
    (port, weight): (u16, u16),
    address_type: &str,
) -> Result<Option<EndpointSpec>, String> {
    let Endpoint {
        addresses,
        conditions,
        deprecated_topology: _,
        hints: _,
        hostname: _,
        node_name: _,
        target_ref,
        zone,
    } = endpoint;
    let Some(state) = state(conditions.as_ref()) else {
        return Ok(None);
    };
    // No meaning is defined for further addresses (EndpointSlice API, `endpoints[].addresses`).
    let address = addresses.first().map(String::as_str).unwrap_or_default();
    let parsed = address.parse::<IpAddr>().ok();
    let ip = parsed
        .filter(|ip| ip.is_ipv6() == (address_type == "IPv6"))
        .ok_or_else(|| format!("'{address}' is not an {address_type} address"))?;
    Ok(Some(EndpointSpec {
        address: SocketAddr::new(ip, port),
        state,
        weight,
        zone: zone.as_deref().map(Into::into),
        pod: target_ref.as_ref().and_then(pod),
    }))
}

/// The Pod that is referred to.
fn pod(target: &ObjectReference) -> Option<PodRef> {
    let ObjectReference {
        api_version: _,
        field_path: _,
        kind,
        name,
        namespace: _,
        resource_version: _,
        uid,
    } = target;
    let name = name.as_deref().filter(|_| kind.as_deref() == Some("Pod"))?;
    Some(PodRef {
        name: name.into(),
        uid: uid.as_deref().map(Into::into),
    })
}

/// What the endpoints of a slice weigh.
fn weight(slice: &EndpointSlice) -> Result<u16, String> {
    let annotations = slice.metadata.annotations.as_ref();
    let Some(text) = annotations.and_then(|all| all.get(WEIGHT)) else {
        return Ok(1);
    };
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let weight = text
        .parse()
        .ok()
        .filter(|weight| digits && (1..=100).contains(weight));
    weight.ok_or_else(|| {
        format!(
            "the annotation {WEIGHT} is '{text}', not a number from 1 to 100: its endpoints weigh 1"
        )
    })
}

/// What the conditions allow: unset `ready` means ready, and unset `serving` means the same as `ready`.
fn state(conditions: Option<&EndpointConditions>) -> Option<EndpointState> {
    let Some(EndpointConditions {
        ready,
        serving,
        terminating,
    }) = conditions
    else {
        return Some(EndpointState::Ready);
    };
    if ready.unwrap_or(true) {
        return Some(EndpointState::Ready);
    }
    let draining = serving.unwrap_or(false) && terminating.unwrap_or(false);
    draining.then_some(EndpointState::Draining)
}

fn warn(slice: &EndpointSlice, code: Code, message: String, findings: &mut Findings) {
    let object = names::reference(Kind::EndpointSlice, names::key(slice));
    findings.add(&object, code, message);
}
