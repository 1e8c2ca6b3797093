//! Joining a snapshot with what lives.
//!
//! Runs in the control plane, off the workers: it may allocate, hash and sign. What did not change
//! is taken over from the time before.

use std::sync::Arc;

use crate::failure::Cause;
use crate::routing::host::HostPattern;
use crate::routing::policy::{Policy, ResponseValidation, TlsRedirect};
use crate::routing::snapshot::{Route, Snapshot, Target, VirtualHost};
use crate::telemetry::metrics::{Metrics, RouteLabels};
use crate::upstream::registry::Attached;

use super::pages::{LivePages, PageCache};
use super::serving::{LiveFallback, LiveRoute, LiveTarget, Serving};
use super::tls::CertificateTable;

/// What the snapshot serves, with the upstreams that were attached for it. `before` is what was
/// served until now.
pub fn compile(
    snapshot: &Snapshot,
    attached: &Attached,
    before: &Serving,
    metrics: &Arc<Metrics>,
) -> Serving {
    let mut serving = Serving::nothing(metrics);
    serving.certificates = CertificateTable::compile(snapshot, &before.certificates);
    let mut pages = PageCache::default();
    for (pattern, host) in &snapshot.hosts {
        // Redirecting to a certificate that no client trusts would take the host down.
        let presentable = host.certificate.is_some() || snapshot.default_certificate.is_some();
        let mut join = Join {
            attached,
            metrics,
            host: pattern.to_string().into(),
            pages: (&mut pages, &before.pages),
            tls: host.tls && presentable,
        };
        join.host(&mut serving, pattern, host);
    }
    serving.pages = pages;
    serving
}

/// Makes the routes of one host live.
struct Join<'a> {
    attached: &'a Attached,
    metrics: &'a Arc<Metrics>,
    /// As the rules write it.
    host: Arc<str>,
    /// Those of this time, and of the time before.
    pages: (&'a mut PageCache, &'a PageCache),
    /// Whether the host can be reached over HTTPS.
    tls: bool,
}

impl Join<'_> {
    fn host(&mut self, serving: &mut Serving, pattern: &HostPattern, host: &VirtualHost) {
        let mut live = |route: &Arc<Route>| Arc::new(self.route(route));
        let rules = host
            .routes
            .iter()
            .map(|(path, route)| (path.clone(), live(route)))
            .collect();
        serving
            .table
            .insert(pattern, rules, host.default.as_ref().map(&mut live));
    }

    fn route(&mut self, route: &Route) -> LiveRoute {
        let target = match &route.target {
            Target::Unavailable { cause, service } => {
                LiveTarget::Unavailable(*cause, service.clone())
            }
            Target::Upstream(id) => match self.attached.get(id) {
                Some(live) => LiveTarget::Upstream(Arc::clone(live)),
                None => {
                    let meant = Some(id.service.clone());
                    LiveTarget::Unavailable(Cause::UnknownUpstream, meant)
                }
            },
        };
        let upstream = target.service().map(ToString::to_string);
        let labels = RouteLabels {
            ingress_namespace: Arc::clone(&route.ingress.namespace),
            ingress: Arc::clone(&route.ingress.name),
            upstream: upstream.unwrap_or_default().into(),
            host: Arc::clone(&self.host),
        };
        let fallback = route.fallback.as_ref().and_then(|fallback| {
            let upstream = self.attached.get(&fallback.upstream)?;
            Some(LiveFallback {
                upstream: Arc::clone(upstream),
                policy: Arc::clone(&fallback.policy),
            })
        });
        LiveRoute {
            ingress: route.ingress.clone(),
            target,
            fallback,
            pages: LivePages::new(&route.policy.error_pages, self.pages.0, self.pages.1),
            policy: Arc::clone(&route.policy),
            unaided: unaided(&route.policy),
            redirects: self.tls && route.policy.tls_redirect == TlsRedirect::On,
            metrics: self.metrics.route(&labels),
        }
    }
}

/// The same policy without another attempt, where it has paths that get none.
fn unaided(policy: &Policy) -> Option<Arc<Policy>> {
    if policy.bypass.is_empty() {
        return None;
    }
    let mut unaided = policy.clone();
    unaided.retry.attempts = 1;
    unaided.response_validation = ResponseValidation::default();
    Some(Arc::new(unaided))
}
