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
use super::policy::upstream::{Trust, UpstreamPolicy, UpstreamTls};
use super::snapshot::{
    Certificate, EndpointSource, EndpointSpec, EndpointState, Fallback, PodRef, Route, Snapshot,
    Target, Upstream, VirtualHost,
};

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            hosts,
            upstreams,
            default_certificate,
            // A fingerprint says more.
            expiries: _,
        } = self;
        for (pattern, host) in hosts {
            write_host(f, pattern, host)?;
        }
        for (id, Upstream { endpoints }) in upstreams {
            write!(f, "upstream {id}")?;
            if id.policy.has_fallback {
                write!(f, " with a fallback")?;
            }
            write_upstream_policy(f, &id.policy)?;
            writeln!(f)?;
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
        fallback,
    } = route;
    match target {
        Target::Upstream(id) => write!(f, "-> {id}")?,
        // What is meant stands in findings and metrics.
        Target::Unavailable { cause, service: _ } => {
            write!(f, "-> {} {}", cause.status().as_u16(), cause.reason())?
        }
    }
    write!(f, " (Ingress {}/{})", ingress.namespace, ingress.name)?;
    write_policy(f, policy)?;
    if let Target::Upstream(id) = target {
        write_upstream_policy(f, &id.policy)?;
    }
    if let Some(Fallback { upstream, policy }) = fallback {
        write!(f, " fallback={upstream}")?;
        write_policy(f, policy)?;
        write_upstream_policy(f, &upstream.policy)?;
    }
    writeln!(f)
}

/// What of a policy is not built in, as `section=values`.
#[derive(Clone, Copy, Debug)]
pub struct Changes<'p>(pub &'p Policy);

impl fmt::Display for Changes<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_policy(f, self.0)?;
        write_upstream_policy(f, &self.0.upstream)
    }
}

/// The sections that are not the built-in ones.
fn write_policy(f: &mut Formatter<'_>, policy: &Policy) -> fmt::Result {
    let Policy {
        timeouts,
        retry,
        proxy_status,
        tls_redirect,
        maintenance,
        error_pages,
        response_validation,
        bypass,
        // Said by the statuses of these policies.
        origin: _,
        // Said with the target, whose identity it is.
        upstream: _,
    } = policy;
    let builtin = Policy::default();
    write_section(f, "timeouts", timeouts, &builtin.timeouts)?;
    write_section(f, "retry", retry, &builtin.retry)?;
    write_section(f, "proxyStatus", proxy_status, &builtin.proxy_status)?;
    write_section(f, "tlsRedirect", tls_redirect, &builtin.tls_redirect)?;
    write_section(f, "maintenance", maintenance, &builtin.maintenance)?;
    write_section(f, "errorPages", error_pages, &builtin.error_pages)?;
    write_section(
        f,
        "responseValidation",
        response_validation,
        &builtin.response_validation,
    )?;
    write_section(f, "bypass", bypass, &builtin.bypass)
}

fn write_upstream_policy(f: &mut Formatter<'_>, policy: &UpstreamPolicy) -> fmt::Result {
    let UpstreamPolicy {
        outlier_detection,
        panic_threshold,
        slow_start,
        health_check,
        circuit_breaker,
        connection_pool,
        load_balancing,
        tls,
        // Said by the route.
        has_fallback: _,
    } = policy;
    let builtin = UpstreamPolicy::default();
    write_section(
        f,
        "outlierDetection",
        outlier_detection,
        &builtin.outlier_detection,
    )?;
    write_section(
        f,
        "panicThreshold",
        panic_threshold,
        &builtin.panic_threshold,
    )?;
    write_section(f, "slowStart", slow_start, &builtin.slow_start)?;
    write_section(f, "healthCheck", health_check, &builtin.health_check)?;
    write_section(
        f,
        "circuitBreaker",
        circuit_breaker,
        &builtin.circuit_breaker,
    )?;
    write_section(
        f,
        "connectionPool",
        connection_pool,
        &builtin.connection_pool,
    )?;
    write_section(f, "loadBalancing", load_balancing, &builtin.load_balancing)?;
    match tls {
        None => Ok(()),
        Some(UpstreamTls { server_name, trust }) => match trust {
            Trust::System => write!(f, " tls={server_name} (system roots)"),
            Trust::Certificates(roots) => {
                write!(f, " tls={server_name} ({} of a ConfigMap ", roots.len())?;
                write_fingerprint(f, roots.iter().map(Vec::as_slice))?;
                f.write_str(")")
            }
        },
    }
}

fn write_section<T: fmt::Debug + PartialEq>(
    f: &mut Formatter<'_>,
    name: &str,
    section: &T,
    builtin: &T,
) -> fmt::Result {
    if section == builtin {
        return Ok(());
    }
    write!(f, " {name}={section:?}")
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
            weight,
            zone,
            pod,
        } = endpoint;
        let state = match state {
            EndpointState::Ready => "ready",
            EndpointState::Draining => "draining",
        };
        write!(f, "  {address} {state}")?;
        if *weight != 1 {
            write!(f, " weight={weight}")?;
        }
        if let Some(PodRef { name, uid }) = pod {
            write!(f, " pod={name}")?;
            if let Some(uid) = uid {
                write!(f, " uid={uid}")?;
            }
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
    write_fingerprint(f, chain.first().map(|leaf| &**leaf))?;
    writeln!(f, " chain={}", chain.len())
}

/// Of one certificate, or of several, one after the other.
fn write_fingerprint<'a>(
    f: &mut Formatter<'_>,
    certificates: impl IntoIterator<Item = &'a [u8]>,
) -> fmt::Result {
    let Some(suite) = TLS13_AES_128_GCM_SHA256.tls13() else {
        return Ok(());
    };
    let mut hash = suite.common.hash_provider.start();
    for certificate in certificates {
        hash.update(certificate);
    }
    for (i, byte) in hash.finish().as_ref().iter().enumerate() {
        let separator = if i == 0 { "sha256=" } else { ":" };
        write!(f, "{separator}{byte:02X}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::super::path::{PathKind, PathRule};
    use super::super::snapshot::{IngressName, ServicePort, UpstreamId};
    use super::*;
    use crate::failure::Cause;

    #[test]
    fn a_snapshot_reads_as_a_list_of_hosts_and_upstreams() {
        let upstream = UpstreamId {
            service: ServicePort {
                namespace: "shop".into(),
                name: "cart".into(),
                port: 80,
            },
            policy: Arc::default(),
        };
        let route = |target| {
            Arc::new(Route {
                ingress: IngressName {
                    namespace: "shop".into(),
                    name: "web".into(),
                },
                target,
                policy: Arc::default(),
                fallback: None,
            })
        };
        let host = VirtualHost {
            routes: vec![(
                PathRule::new(PathKind::Prefix, "/cart"),
                route(Target::Upstream(upstream.clone())),
            )],
            default: Some(route(Target::Unavailable {
                cause: Cause::UnknownUpstream,
                service: None,
            })),
            certificate: None,
            tls: true,
        };
        let endpoint = EndpointSpec {
            address: "[fd00::7]:8080".parse().unwrap(),
            state: EndpointState::Draining,
            weight: 1,
            zone: Some("a".into()),
            pod: Some(PodRef {
                name: "cart-1".into(),
                uid: Some("c0ffee".into()),
            }),
        };
        let snapshot = Snapshot {
            hosts: BTreeMap::from([(HostPattern::parse("shop.example").unwrap(), host)]),
            upstreams: BTreeMap::from([(
                upstream,
                Upstream {
                    endpoints: EndpointSource::Known(vec![endpoint]),
                },
            )]),
            ..Snapshot::default()
        };
        assert_eq!(
            snapshot.to_string(),
            "\
host shop.example
  default certificate
  Prefix /cart -> shop/cart:80 (Ingress shop/web)
  otherwise -> 503 UnknownUpstream (Ingress shop/web)
upstream shop/cart:80
  [fd00::7]:8080 draining pod=cart-1 uid=c0ffee zone=a
"
        );
    }
}
