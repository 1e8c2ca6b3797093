//! What is served right now: the snapshot joined with what lives.
//!
//! Everything that a request needs is reachable from its route without a look-up by key: the live
//! upstream, the resolved policy, the handles of the metrics. The whole is replaced at once, by one
//! pointer, whenever the snapshot changes; a long request keeps its own route, not the whole.

use std::fmt;
use std::sync::Arc;

use crate::failure::Cause;
use crate::routing::policy::Policy;
use crate::routing::snapshot::{IngressName, ServicePort};
use crate::routing::table::Table;
use crate::telemetry::metrics::{Metrics, RouteMetrics};
use crate::upstream::live::Upstream;

use super::pages::{LivePages, PageCache};
use super::tls::CertificateTable;

/// What the data plane serves.
pub struct Serving {
    pub(super) table: Table<Arc<LiveRoute>>,
    pub(super) certificates: CertificateTable,
    /// What the pages of its routes were made of, for the next one.
    pub(super) pages: PageCache,
    /// For requests that no route takes.
    pub(super) unrouted: Arc<RouteMetrics>,
}

/// A route with what lives behind it.
#[derive(Debug)]
pub(super) struct LiveRoute {
    pub(super) ingress: IngressName,
    pub(super) target: LiveTarget,
    pub(super) policy: Arc<Policy>,
    /// What clients are shown with an error.
    pub(super) pages: LivePages,
    /// What stands in for the target.
    pub(super) fallback: Option<LiveFallback>,
    /// The policy of requests that are passed on without help, where some paths are.
    pub(super) unaided: Option<Arc<Policy>>,
    /// Whether plain HTTP is sent to HTTPS.
    pub(super) redirects: bool,
    pub(super) metrics: Arc<RouteMetrics>,
}

/// Where a route leads.
#[derive(Debug)]
pub(super) enum LiveTarget {
    Upstream(Arc<Upstream>),
    /// Nowhere, though this may be meant.
    Unavailable(Cause, Option<ServicePort>),
}

impl LiveTarget {
    /// The port of a Service that is meant, whether or not requests get there.
    pub(super) fn service(&self) -> Option<&ServicePort> {
        match self {
            Self::Upstream(upstream) => Some(&upstream.id().service),
            Self::Unavailable(_, service) => service.as_ref(),
        }
    }
}

/// What stands in for the target of a route.
#[derive(Debug)]
pub(super) struct LiveFallback {
    pub(super) upstream: Arc<Upstream>,
    pub(super) policy: Arc<Policy>,
}

impl LiveRoute {
    /// The policy of requests that are passed on without help, if those of this path are.
    pub(super) fn unaided(&self, path: &str) -> Option<&Arc<Policy>> {
        let unaided = self.unaided.as_ref()?;
        let bypassed = unaided.bypass.iter().any(|rule| rule.matches(path));
        bypassed.then_some(unaided)
    }
}

impl Serving {
    /// Nothing: every request is answered 404, and no certificate is there.
    pub fn nothing(metrics: &Metrics) -> Self {
        Self {
            table: Table::default(),
            certificates: CertificateTable::default(),
            pages: PageCache::default(),
            unrouted: metrics.unrouted(),
        }
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Serving")
    }
}
