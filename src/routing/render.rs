//! The snapshot as text.
//!
//! What is served, for people: one line per route and endpoint, in the order of precedence, equal
//! texts for equal snapshots. It shows topology, so that it belongs on the debugging address and
//! nowhere else. A certificate is shown by its SHA-256 fingerprint, as `openssl x509 -fingerprint`
//! would; a key never.

use std::fmt::{self, Formatter};

use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;

use super::host::HostPattern;
use super::policy::Policy;
use super::snapshot::{
    Certificate, EndpointSource, EndpointSpec, EndpointState, Route, Snapshot, Target, Upstream,
    VirtualHost,
};

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            hosts,
            upstreams,
            default_certificate,
        } = self;
        for (pattern, host) in hosts {
            write_host(f, pattern, host)?;
        }
        for (id, Upstream { endpoints }) in upstreams {
            writeln!(f, "upstream {id}")?;
            write_endpoints(f, endpoints)?;
        }
        if let Some(certificate) = default_certificate {
            write!(f, "default ")?;
            write_certificate(f, certificate)?;
        }
        Ok(())
    }
}

fn write_host(f: &mut Formatter<'_>, pattern: &HostPattern, host: &VirtualHost) -> fmt::Result {
    let VirtualHost {
        routes,
        default,
        certificate,
        tls,
    } = host;
    writeln!(f, "host {pattern}")?;
    match (certificate, tls) {
        (Some(certificate), _) => {
            write!(f, "  ")?;
            write_certificate(f, certificate)?;
        }
        (None, true) => writeln!(f, "  default certificate")?,
        (None, false) => {}
    }
    for (rule, route) in routes {
        write!(f, "  {:?} {} ", rule.kind(), rule.path())?;
        write_route(f, route)?;
    }
    if let Some(route) = default {
        write!(f, "  otherwise ")?;
        write_route(f, route)?;
    }
    Ok(())
}

fn write_route(f: &mut Formatter<'_>, route: &Route) -> fmt::Result {
    let Route {
        ingress,
        target,
        policy,
    } = route;
    match target {
        Target::Upstream(id) => write!(f, "-> {id}")?,
        Target::Unavailable(cause) => {
            write!(f, "-> {} {}", cause.status().as_u16(), cause.reason())?
        }
    }
    write!(f, " (Ingress {}/{})", ingress.namespace, ingress.name)?;
    write_policy(f, policy)?;
    writeln!(f)
}

/// The sections that are not the built-in ones.
fn write_policy(f: &mut Formatter<'_>, policy: &Policy) -> fmt::Result {
    let Policy {
        timeouts,
        retry,
        proxy_status,
        tls_redirect,
        maintenance,
        bypass,
        outlier_detection,
        slow_start,
    } = policy;
    let builtin = Policy::default();
    let sections: [(bool, &str, &dyn fmt::Debug); 8] = [
        (*timeouts != builtin.timeouts, "timeouts", timeouts),
        (*retry != builtin.retry, "retry", retry),
        (
            *proxy_status != builtin.proxy_status,
            "proxyStatus",
            proxy_status,
        ),
        (
            *tls_redirect != builtin.tls_redirect,
            "tlsRedirect",
            tls_redirect,
        ),
        (
            *maintenance != builtin.maintenance,
            "maintenance",
            maintenance,
        ),
        (*bypass != builtin.bypass, "bypass", bypass),
        (
            *outlier_detection != builtin.outlier_detection,
            "outlierDetection",
            outlier_detection,
        ),
        (*slow_start != builtin.slow_start, "slowStart", slow_start),
    ];
    for (differs, name, section) in sections {
        if differs {
            write!(f, " {name}={section:?}")?;
        }
    }
    Ok(())
}

fn write_endpoints(f: &mut Formatter<'_>, endpoints: &EndpointSource) -> fmt::Result {
    let endpoints = match endpoints {
        EndpointSource::Name { name, port } => return writeln!(f, "  name {name}:{port}"),
        EndpointSource::Known(endpoints) => endpoints,
    };
    if endpoints.is_empty() {
        writeln!(f, "  no endpoints")?;
    }
    for endpoint in endpoints {
        let EndpointSpec {
            address,
            state,
            zone,
            pod,
        } = endpoint;
        let state = match state {
            EndpointState::Ready => "ready",
            EndpointState::Draining => "draining",
        };
        write!(f, "  {address} {state}")?;
        if let Some(pod) = pod {
            write!(f, " pod={pod}")?;
        }
        if let Some(zone) = zone {
            write!(f, " zone={zone}")?;
        }
        writeln!(f)?;
    }
    Ok(())
}

fn write_certificate(f: &mut Formatter<'_>, certificate: &Certificate) -> fmt::Result {
    let Certificate { chain, key: _ } = certificate;
    write!(f, "certificate ")?;
    if let (Some(leaf), Some(suite)) = (chain.first(), TLS13_AES_128_GCM_SHA256.tls13()) {
        let fingerprint = suite.common.hash_provider.hash(leaf);
        for (i, byte) in fingerprint.as_ref().iter().enumerate() {
            let separator = if i == 0 { "sha256=" } else { ":" };
            write!(f, "{separator}{byte:02X}")?;
        }
    }
    writeln!(f, " chain={}", chain.len())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::super::path::{PathKind, PathRule};
    use super::super::snapshot::{IngressName, UpstreamId};
    use super::*;
    use crate::failure::Cause;

    #[test]
    fn a_snapshot_reads_as_a_list_of_hosts_and_upstreams() {
        let upstream = UpstreamId {
            namespace: "shop".into(),
            service: "cart".into(),
            port: 80,
        };
        let route = |target| {
            Arc::new(Route {
                ingress: IngressName {
                    namespace: "shop".into(),
                    name: "web".into(),
                },
                target,
                policy: Arc::default(),
            })
        };
        let host = VirtualHost {
            routes: vec![(
                PathRule::new(PathKind::Prefix, "/cart"),
                route(Target::Upstream(upstream.clone())),
            )],
            default: Some(route(Target::Unavailable(Cause::UnknownUpstream))),
            certificate: None,
            tls: true,
        };
        let endpoint = EndpointSpec {
            address: "[fd00::7]:8080".parse().unwrap(),
            state: EndpointState::Draining,
            zone: Some("a".into()),
            pod: Some("cart-1".into()),
        };
        let snapshot = Snapshot {
            hosts: BTreeMap::from([(HostPattern::parse("shop.example").unwrap(), host)]),
            upstreams: BTreeMap::from([(
                upstream,
                Upstream {
                    endpoints: EndpointSource::Known(vec![endpoint]),
                },
            )]),
            default_certificate: None,
        };
        assert_eq!(
            snapshot.to_string(),
            "\
host shop.example
  default certificate
  Prefix /cart -> shop/cart:80 (Ingress shop/web)
  otherwise -> 503 UnknownUpstream (Ingress shop/web)
upstream shop/cart:80
  [fd00::7]:8080 draining pod=cart-1 zone=a
"
        );
    }
}
