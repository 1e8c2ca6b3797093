//! The counters of each upstream: what seldom happens there, so that one copy serves all workers.
//!
//! As with routes, a handle is held by what lives and weakly by the registry here, so that the series
//! end with the upstream.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::probes::ProbeCounters;

/// The counters of one upstream.
#[derive(Debug)]
pub struct UpstreamMetrics {
    label: Arc<str>,
    ejections: AtomicU64,
    readmissions: AtomicU64,
    /// Ejections that were over, by a readmission or because the endpoint was removed.
    ended: AtomicU64,
    retries_over_budget: AtomicU64,
    turned_away: [AtomicU64; BreakerLimit::ALL.len()],
    idle_connections_cut: AtomicU64,
    probes: ProbeCounters,
}

/// A limit of a circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BreakerLimit {
    /// No connection came free in time.
    Connections,
    /// Too many requests wait for a connection.
    Pending,
    /// Too many requests are under way.
    Requests,
}

impl BreakerLimit {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Connections, Self::Pending, Self::Requests];

    /// The field of the policy.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "maxConnections",
            Self::Pending => "maxPendingRequests",
            Self::Requests => "maxRequests",
        }
    }

    /// Its place in [`Self::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }
}

impl UpstreamMetrics {
    /// Counts an endpoint that was left out.
    pub fn ejected(&self) {
        self.ejections.fetch_add(1, Relaxed);
    }

    /// Counts one that came back.
    pub fn readmitted(&self) {
        self.readmissions.fetch_add(1, Relaxed);
        self.ended.fetch_add(1, Relaxed);
    }

    /// Counts one that was removed while it was left out.
    pub fn removed_while_ejected(&self) {
        self.ended.fetch_add(1, Relaxed);
    }

    /// Counts a retry that the budget did not allow.
    pub fn retry_over_budget(&self) {
        self.retries_over_budget.fetch_add(1, Relaxed);
    }

    /// Counts a request that a limit did not let pass.
    pub fn turned_away(&self, limit: BreakerLimit) {
        self.turned_away[limit.index()].fetch_add(1, Relaxed);
    }

    /// Counts an idle connection that its endpoint closed.
    pub fn idle_connection_cut(&self) {
        self.idle_connections_cut.fetch_add(1, Relaxed);
    }

    /// The probes of its endpoints.
    pub fn probes(&self) -> &ProbeCounters {
        &self.probes
    }

    /// `namespace/service:port`.
    pub fn label(&self) -> &str {
        &self.label
    }

    pub(super) fn ejections(&self) -> u64 {
        self.ejections.load(Relaxed)
    }

    pub(super) fn readmissions(&self) -> u64 {
        self.readmissions.load(Relaxed)
    }

    pub(super) fn ejected_now(&self) -> u64 {
        self.ejections().saturating_sub(self.ended.load(Relaxed))
    }

    pub(super) fn retries_over_budget(&self) -> u64 {
        self.retries_over_budget.load(Relaxed)
    }

    pub(super) fn turned_away_by(&self, limit: BreakerLimit) -> u64 {
        self.turned_away[limit.index()].load(Relaxed)
    }

    pub(super) fn idle_connections_cut(&self) -> u64 {
        self.idle_connections_cut.load(Relaxed)
    }
}

/// All upstreams that somebody still holds.
#[derive(Debug, Default)]
pub(super) struct Upstreams {
    known: Mutex<BTreeMap<Arc<str>, Weak<UpstreamMetrics>>>,
}

impl Upstreams {
    pub(super) fn resolve(&self, label: &str) -> Arc<UpstreamMetrics> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(upstream) = known.get(label).and_then(Weak::upgrade) {
            return upstream;
        }
        let label = Arc::<str>::from(label);
        let upstream = Arc::new(UpstreamMetrics {
            label: Arc::clone(&label),
            ejections: AtomicU64::new(0),
            readmissions: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            retries_over_budget: AtomicU64::new(0),
            turned_away: Default::default(),
            idle_connections_cut: AtomicU64::new(0),
            probes: ProbeCounters::default(),
        });
        known.insert(label, Arc::downgrade(&upstream));
        upstream
    }

    /// Those still held, in the order of their labels; forgets the others.
    pub(super) fn live(&self) -> Vec<Arc<UpstreamMetrics>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, upstream| upstream.strong_count() > 0);
        known.values().filter_map(Weak::upgrade).collect()
    }
}
