//! The port of a Service that a backend names.

use std::net::Ipv4Addr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::networking::v1::ServiceBackendPort;

use crate::failure::Cause;
use crate::report::Code;
use crate::routing::host::Hostname;

/// A Service's port that can be spoken to.
pub(super) struct Port<'a> {
    /// Its number in the Service.
    pub(super) number: u16,
    pub(super) protocol: Protocol,
    pub(super) place: Place<'a>,
}

/// What is spoken at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP/1.1, and nothing more is said.
    Plain,
    /// HTTP/1.1 in TLS.
    Tls,
}

/// Where the endpoints of a port are found.
pub(super) enum Place<'a> {
    /// In EndpointSlices.
    Slices {
        /// The port's name there; empty where the Service has a single port without a name.
        port_name: &'a str,
        /// Whether IPv6 is the Service's first family.
        ipv6_first: bool,
    },
    /// Behind a DNS name.
    Name(Arc<str>),
}

/// Why a port cannot be used.
pub(super) struct Unusable {
    pub(super) code: Code,
    pub(super) cause: Cause,
    /// Continues a sentence that began with the Service.
    pub(super) why: String,
}

impl Unusable {
    fn unknown(code: Code, why: String) -> Self {
        let cause = Cause::UnknownUpstream;
        Self { code, cause, why }
    }

    fn protocol(why: String) -> Self {
        Self {
            code: Code::UnsupportedProtocol,
            cause: Cause::UnsupportedProtocol,
            why,
        }
    }
}

/// Finds the port that a backend names.
pub(super) fn port<'a>(
    service: &'a Service,
    wanted: &ServiceBackendPort,
    allow_external_name: bool,
) -> Result<Port<'a>, Unusable> {
    let Some(spec) = &service.spec else {
        return Err(Unusable::unknown(
            Code::PortNotFound,
            "has no spec".to_owned(),
        ));
    };
    if spec.type_.as_deref() == Some("ExternalName") {
        return external(spec, wanted, allow_external_name);
    }
    let found = find(spec, wanted)?;
    let (number, protocol) = speakable(found)?;
    let family = spec.ip_families.as_ref().and_then(|it| it.first());
    Ok(Port {
        number,
        protocol,
        place: Place::Slices {
            port_name: found.name.as_deref().unwrap_or_default(),
            ipv6_first: family.is_some_and(|it| it == "IPv6"),
        },
    })
}

/// The number of the port that a backend names, if that can be told, whether or not it can be used.
pub(super) fn meant(service: Option<&Service>, wanted: &ServiceBackendPort) -> Option<u16> {
    let spec = service.and_then(|service| service.spec.as_ref());
    let found = spec.and_then(|spec| find(spec, wanted).ok());
    let number = found.map(|port| port.port).or(wanted.number)?;
    u16::try_from(number).ok()
}

/// An external Service may have no ports at all: a number then means the port at the name itself.
fn external<'a>(
    spec: &'a ServiceSpec,
    wanted: &ServiceBackendPort,
    allowed: bool,
) -> Result<Port<'a>, Unusable> {
    if !allowed {
        return Err(Unusable::unknown(
            Code::ExternalNameForbidden,
            "is of type ExternalName, which is followed only with --allow-external-name".to_owned(),
        ));
    }
    let name = spec.external_name.as_deref().unwrap_or_default();
    // Kubernetes takes an address there for a DNS name of digits, which resolves to nothing.
    let host = Hostname::try_new(name).ok();
    let host = host.filter(|_| name.parse::<Ipv4Addr>().is_err());
    let host = host.ok_or_else(|| {
        let why = format!("has the external name '{name}', which is not a DNS name");
        Unusable::unknown(Code::InvalidExternalName, why)
    })?;
    let no_ports = spec.ports.as_ref().is_none_or(Vec::is_empty);
    let (number, protocol) = match wanted.number {
        Some(number) if no_ports => (port_number(number)?, Protocol::Plain),
        _ => speakable(find(spec, wanted)?)?,
    };
    let place = Place::Name(host.as_str().into());
    Ok(Port {
        number,
        protocol,
        place,
    })
}

/// The port by name or number; among several of a number the one for TCP.
fn find<'a>(
    spec: &'a ServiceSpec,
    wanted: &ServiceBackendPort,
) -> Result<&'a ServicePort, Unusable> {
    let ServiceBackendPort { name, number } = wanted;
    let ports = spec.ports.as_deref().unwrap_or_default();
    let name = name.as_deref().filter(|name| !name.is_empty());
    let matches = |port: &&ServicePort| match name {
        Some(name) => port.name.as_deref() == Some(name),
        None => Some(port.port) == *number,
    };
    let tcp = ports.iter().filter(|port| is_tcp(port)).find(matches);
    tcp.or_else(|| ports.iter().find(matches)).ok_or_else(|| {
        let wanted = match (name, number) {
            (Some(name), _) => format!("no port named '{name}'"),
            (None, Some(number)) => format!("no port {number}"),
            (None, None) => "no port that the backend could mean, since it names none".to_owned(),
        };
        Unusable::unknown(Code::PortNotFound, format!("has {wanted}"))
    })
}

fn is_tcp(port: &ServicePort) -> bool {
    port.protocol.as_deref().is_none_or(|it| it == "TCP")
}

/// The number of a port and what is spoken there, if HTTP/1.1 over TCP is what its Service expects.
fn speakable(port: &ServicePort) -> Result<(u16, Protocol), Unusable> {
    let ServicePort {
        app_protocol,
        name: _,
        node_port: _,
        port: number,
        protocol,
        target_port: _,
    } = port;
    if !is_tcp(port) {
        let protocol = protocol.as_deref().unwrap_or_default();
        let why = format!("has {protocol} at port {number}, not TCP");
        return Err(Unusable::protocol(why));
    }
    let app_protocol = app_protocol.as_deref().unwrap_or_default();
    let Some(spoken) = spoken(app_protocol) else {
        let why = format!(
            "has appProtocol '{app_protocol}' at port {number}, which is not spoken to upstreams: \
             'http', 'https', 'kubernetes.io/ws' and 'kubernetes.io/wss' are"
        );
        return Err(Unusable::protocol(why));
    };
    Ok((port_number(*number)?, spoken))
}

/// What an `appProtocol` means, if it is HTTP/1.1; WebSockets begin as such
/// (<https://kubernetes.io/docs/concepts/services-networking/service/#application-protocol>).
pub(super) fn spoken(app_protocol: &str) -> Option<Protocol> {
    match app_protocol {
        "" | "kubernetes.io/ws" => Some(Protocol::Plain),
        "kubernetes.io/wss" => Some(Protocol::Tls),
        name if name.eq_ignore_ascii_case("http") => Some(Protocol::Plain),
        name if name.eq_ignore_ascii_case("https") => Some(Protocol::Tls),
        _ => None,
    }
}

fn port_number(number: i32) -> Result<u16, Unusable> {
    let valid = u16::try_from(number).ok().filter(|number| *number != 0);
    valid.ok_or_else(|| {
        let why = format!("has no port {number}: it is not a port number");
        Unusable::unknown(Code::PortNotFound, why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_backend_means_is_known_as_far_as_it_can_be_told() {
        let h2c = ServicePort {
            name: Some("api".to_owned()),
            port: 80,
            app_protocol: Some("h2c".to_owned()),
            ..ServicePort::default()
        };
        let service = Service {
            spec: Some(ServiceSpec {
                ports: Some(vec![h2c]),
                ..ServiceSpec::default()
            }),
            ..Service::default()
        };
        let named = |name: &str| ServiceBackendPort {
            name: Some(name.to_owned()),
            number: None,
        };
        let numbered = ServiceBackendPort {
            name: None,
            number: Some(99),
        };
        assert_eq!(meant(Some(&service), &named("api")), Some(80));
        assert_eq!(meant(Some(&service), &numbered), Some(99));
        assert_eq!(meant(None, &numbered), Some(99));
        assert_eq!(meant(Some(&service), &named("web")), None);
    }
}
