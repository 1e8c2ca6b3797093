//! The counters of each upstream.
//!
//! As with routes, a handle is held by what lives and weakly by the registry here, so that the series
//! end with the upstream. What each request counts is counted per worker; what happens seldom has one
//! copy for all.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use crate::failure::Cause;
use crate::report::traffic::Answers;

use super::Metrics;
use super::causes::{CauseCounters, LABELS};
use super::probes::ProbeCounters;

/// The counters of one upstream.
#[derive(Debug)]
pub struct UpstreamMetrics {
    label: Arc<str>,
    shards: Box<[OnceLock<Box<Shard>>]>,
    ejections: AtomicU64,
    readmissions: AtomicU64,
    retries_over_budget: AtomicU64,
    turned_away: [AtomicU64; BreakerLimit::ALL.len()],
    idle_connections_cut: AtomicU64,
    probes: ProbeCounters,
}

/// What one worker counted for one upstream; alone on its cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    attempts: AtomicU64,
    answers: AtomicU64,
    answers_micros: AtomicU64,
    retries: AtomicU64,
    opened: AtomicU64,
    closed: AtomicU64,
    reused: AtomicU64,
    failures: CauseCounters,
}

/// The sums over all workers.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) attempts: u64,
    pub(super) retries: u64,
    pub(super) opened: u64,
    pub(super) closed: u64,
    pub(super) reused: u64,
    /// In the order of [`LABELS`].
    pub(super) failures: Vec<u64>,
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
    fn new(label: Arc<str>, workers: usize) -> Self {
        Self {
            label,
            shards: (0..workers).map(|_| OnceLock::new()).collect(),
            ejections: AtomicU64::new(0),
            readmissions: AtomicU64::new(0),
            retries_over_budget: AtomicU64::new(0),
            turned_away: Default::default(),
            idle_connections_cut: AtomicU64::new(0),
            probes: ProbeCounters::default(),
        }
    }

    /// Counts an attempt, and why it failed if it did.
    pub fn attempt(&self, worker: usize, cause: Option<Cause>) {
        let shard = self.shard(worker);
        shard.attempts.fetch_add(1, Relaxed);
        if let Some(cause) = cause {
            shard.failures.add(cause);
        }
    }

    /// Counts an attempt that was answered, not with an error of the server, after so long.
    pub fn answered(&self, worker: usize, waited: Duration) {
        let shard = self.shard(worker);
        shard.attempts.fetch_add(1, Relaxed);
        shard.answers.fetch_add(1, Relaxed);
        let micros = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
        shard.answers_micros.fetch_add(micros, Relaxed);
    }

    /// Counts that an attempt failed after all, which was counted when its answer began.
    pub fn broke_off(&self, worker: usize, cause: Cause) {
        self.shard(worker).failures.add(cause);
    }

    /// Counts an attempt that was followed by another.
    pub fn retry(&self, worker: usize) {
        self.shard(worker).retries.fetch_add(1, Relaxed);
    }

    /// Counts a connection opened to an endpoint, until the guard is dropped.
    pub fn connection(self: &Arc<Self>, worker: usize) -> UpstreamConnectionGuard {
        self.shard(worker).opened.fetch_add(1, Relaxed);
        UpstreamConnectionGuard {
            upstream: Arc::clone(self),
            worker,
        }
    }

    /// Counts a request that was sent on a connection opened before.
    pub fn connection_reused(&self, worker: usize) {
        self.shard(worker).reused.fetch_add(1, Relaxed);
    }

    /// Counts an endpoint that was left out.
    pub fn ejected(&self) {
        self.ejections.fetch_add(1, Relaxed);
    }

    /// Counts one that came back.
    pub fn readmitted(&self) {
        self.readmissions.fetch_add(1, Relaxed);
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

    fn shard(&self, worker: usize) -> &Shard {
        self.shards[worker % self.shards.len()].get_or_init(Box::default)
    }

    pub(super) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        totals.failures.resize(LABELS.len(), 0);
        for shard in self.shards.iter().filter_map(OnceLock::get) {
            totals.attempts += shard.attempts.load(Relaxed);
            totals.retries += shard.retries.load(Relaxed);
            // In this order, so that no more are closed than were opened.
            totals.closed += shard.closed.load(Relaxed);
            totals.opened += shard.opened.load(Relaxed);
            totals.reused += shard.reused.load(Relaxed);
            shard.failures.add_to(&mut totals.failures);
        }
        totals
    }

    fn answers(&self) -> Answers {
        let mut answers = Answers::default();
        for shard in self.shards.iter().filter_map(OnceLock::get) {
            answers.count += shard.answers.load(Relaxed);
            answers.micros += shard.answers_micros.load(Relaxed);
        }
        answers
    }

    pub(super) fn ejections(&self) -> u64 {
        self.ejections.load(Relaxed)
    }

    pub(super) fn readmissions(&self) -> u64 {
        self.readmissions.load(Relaxed)
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

impl Metrics {
    /// The answers of each upstream so far.
    pub fn answers(&self) -> Vec<(Arc<str>, Answers)> {
        let live = self.upstreams.live().into_iter();
        live.map(|it| (Arc::clone(&it.label), it.answers()))
            .collect()
    }
}

/// A connection to an endpoint that is counted as open until this is dropped.
pub struct UpstreamConnectionGuard {
    upstream: Arc<UpstreamMetrics>,
    worker: usize,
}

impl fmt::Debug for UpstreamConnectionGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UpstreamConnectionGuard({})", self.upstream.label)
    }
}

impl Drop for UpstreamConnectionGuard {
    fn drop(&mut self) {
        let shard = self.upstream.shard(self.worker);
        shard.closed.fetch_add(1, Relaxed);
    }
}

/// All upstreams that somebody still holds.
#[derive(Debug)]
pub(super) struct Upstreams {
    workers: usize,
    known: Mutex<BTreeMap<Arc<str>, Weak<UpstreamMetrics>>>,
}

impl Upstreams {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            workers,
            known: Mutex::default(),
        }
    }

    pub(super) fn resolve(&self, label: &str) -> Arc<UpstreamMetrics> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(upstream) = known.get(label).and_then(Weak::upgrade) {
            return upstream;
        }
        let label = Arc::<str>::from(label);
        let upstream = Arc::new(UpstreamMetrics::new(Arc::clone(&label), self.workers));
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
