//! The sections of a resolved policy, for whoever compares what is in force.

use crate::routing::policy::upstream::{Trust, UpstreamPolicy, UpstreamTls};
use crate::routing::policy::{ErrorPages, Policy};

use super::section_values::{Describe as _, describe_pages};

/// Each section with all its values, in the words of the spec.
pub fn effective(policy: &Policy, upstream: &UpstreamPolicy) -> Vec<(&'static str, String)> {
    let Policy {
        timeouts,
        retry,
        proxy_status,
        tls_redirect,
        maintenance,
        error_pages,
        response_validation,
        bypass,
        // Whose they are changes nothing for clients.
        origin: _,
        // The one that is in force is the upstream's own.
        upstream: _,
    } = policy;
    let UpstreamPolicy {
        outlier_detection,
        panic_threshold,
        slow_start,
        health_check,
        circuit_breaker,
        connection_pool,
        load_balancing,
        tls,
        // Said with the route.
        has_fallback: _,
    } = upstream;
    vec![
        ("timeouts", timeouts.describe()),
        ("retry", retry.describe()),
        ("outlierDetection", outlier_detection.describe()),
        ("panicThreshold", panic_threshold.describe()),
        ("slowStart", slow_start.describe()),
        ("healthCheck", health_check.describe()),
        ("circuitBreaker", circuit_breaker.describe()),
        ("connectionPool", connection_pool.describe()),
        ("loadBalancing", load_balancing.describe()),
        (
            "upstreamTls",
            tls.as_ref().map_or_else(|| "off".to_owned(), describe_tls),
        ),
        ("errorPages", describe_all(error_pages)),
        ("responseValidation", response_validation.describe()),
        ("bypass", bypass.describe()),
        ("maintenance", maintenance.describe()),
        ("proxyStatus", proxy_status.describe()),
        ("tlsRedirect", tls_redirect.describe()),
    ]
}

fn describe_tls(UpstreamTls { server_name, trust }: &UpstreamTls) -> String {
    match trust {
        Trust::System => format!("serverName={server_name} roots=system"),
        Trust::Certificates(roots) => {
            format!(
                "serverName={server_name} roots={} of a ConfigMap",
                roots.len()
            )
        }
    }
}

fn describe_all(pages: &[ErrorPages]) -> String {
    if pages.is_empty() {
        return "the built-in pages".to_owned();
    }
    let entries = pages.iter().map(|it| {
        let of = if it.pages.is_some() {
            "a ConfigMap"
        } else {
            "the built-in pages"
        };
        describe_pages(&it.statuses, it.source, of)
    });
    entries.collect::<Vec<_>>().join("; ")
}
