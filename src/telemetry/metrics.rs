//! Metrics, counted per worker and summed when they are read.
//!
//! A counter that every core increments is a cache line that every core fights for, so each worker
//! has its own copy of each counter, padded apart, and `exposition` adds them up. What belongs to a
//! route is reached through a [`RouteMetrics`] handle that is resolved once, when the snapshot is
//! joined with what lives: the path of a request hashes no labels and takes no lock.
//!
//! Refused: `prometheus_client`'s own `Family` (a lock and a hash per request) and labels for hosts,
//! paths, addresses or ids (strangers choose those, and each value is a time series for ever).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::registry::Registry;

use crate::report::outcome::Outcome;

pub mod catalogue;
mod causes;
mod control;
mod exemplars;
mod exposition;
mod plain;
mod probes;
mod process;
mod routes;
mod spans;
mod states;
mod upstreams;

pub use control::{CertificateEnd, Control, Counts};
pub use probes::ProbeCounters;
pub use routes::{RouteLabels, RouteMetrics, Traffic};
pub use spans::SpanCounters;
pub use states::{EndpointCounts, UpstreamState};
pub use upstreams::{BreakerLimit, UpstreamConnectionGuard, UpstreamMetrics};

use exemplars::Exemplars;
use routes::Routes;
use states::States;
use upstreams::Upstreams;

/// The counters of one process.
pub struct Metrics {
    workers: Box<[Worker]>,
    routes: Routes,
    upstreams: Upstreams,
    states: States,
    spans: SpanCounters,
    control: Control,
    exemplars: Exemplars,
    started: SystemTime,
}

/// The counters that one worker increments; alone on its cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Worker {
    clients_accepted: AtomicU64,
    clients_closed: AtomicU64,
    tls_failures: AtomicU64,
    log_lines_dropped: AtomicU64,
}

fn add_one(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Metrics {
    /// Counters for this many workers (at least one).
    ///
    /// Whoever is not a worker counts as worker 0; a number beyond the last wraps around.
    pub fn new(workers: usize) -> Arc<Self> {
        let workers = workers.max(1);
        Arc::new(Self {
            workers: (0..workers).map(|_| Worker::default()).collect(),
            routes: Routes::new(workers),
            upstreams: Upstreams::new(workers),
            states: States::default(),
            spans: SpanCounters::default(),
            control: Control::default(),
            exemplars: Exemplars::default(),
            started: SystemTime::now(),
        })
    }

    /// The handle for the requests of a route: the same one for the same labels as long as anybody
    /// holds it, so that counters survive a new snapshot and go with the route.
    pub fn route(&self, labels: &RouteLabels) -> Arc<RouteMetrics> {
        self.routes.resolve(labels)
    }

    /// The handle for requests that no route matched.
    pub fn unrouted(&self) -> Arc<RouteMetrics> {
        self.routes.resolve(&RouteLabels::default())
    }

    /// The handle for what happens in an upstream, `namespace/service:port`: the same one as long as
    /// anybody holds it.
    pub fn upstream(&self, label: &str) -> Arc<UpstreamMetrics> {
        self.upstreams.resolve(label)
    }

    /// What upstreams are like is asked there at each scrape; once for all.
    pub fn read_states(&self, look: impl Fn() -> Vec<UpstreamState> + Send + Sync + 'static) {
        self.states.come_from(look);
    }

    /// What becomes of spans.
    pub fn spans(&self) -> &SpanCounters {
        &self.spans
    }

    /// What the control plane tells.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Counts an accepted connection of a client, until the guard is dropped.
    pub fn client_connection(self: &Arc<Self>, worker: usize) -> ConnectionGuard {
        add_one(&self.worker(worker).clients_accepted);
        ConnectionGuard {
            metrics: Arc::clone(self),
            worker,
        }
    }

    /// Counts a TLS handshake of a client that did not succeed.
    pub fn tls_handshake_failed(&self, worker: usize) {
        add_one(&self.worker(worker).tls_failures);
    }

    /// Counts a line of the access log that did not fit.
    pub fn log_line_dropped(&self, worker: usize) {
        add_one(&self.worker(worker).log_lines_dropped);
    }

    /// Keeps the id of a request that failed as the exemplar of those like it.
    pub fn exemplify(&self, outcome: &Outcome) {
        self.exemplars.take(outcome);
    }

    /// The text that a Prometheus server scrapes (OpenMetrics 1.0), with exemplars.
    ///
    /// # Errors
    /// Never in practice: writing to a text cannot fail, but formatting says that it might.
    pub fn encode(self: &Arc<Self>) -> Result<String, fmt::Error> {
        let text = self.encode_bare()?;
        Ok(self.exemplars.add_to(&text))
    }

    /// The same in Prometheus' own text format, which was before OpenMetrics and has no exemplars.
    ///
    /// # Errors
    /// Never in practice, as above.
    pub fn encode_plain(self: &Arc<Self>) -> Result<String, fmt::Error> {
        Ok(plain::of(&self.encode_bare()?))
    }

    fn encode_bare(self: &Arc<Self>) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix(catalogue::PREFIX);
        registry.register_collector(Box::new(Arc::clone(self)));
        let mut text = String::with_capacity(16 * 1024);
        prometheus_client::encoding::text::encode(&mut text, &registry)?;
        Ok(text)
    }

    fn worker(&self, worker: usize) -> &Worker {
        &self.workers[worker % self.workers.len()]
    }

    fn sum(&self, counter: fn(&Worker) -> &AtomicU64) -> u64 {
        let values = self.workers.iter().map(counter);
        values.map(|value| value.load(Ordering::Relaxed)).sum()
    }

    fn uptime_start(&self) -> Duration {
        self.started.duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Metrics({} workers)", self.workers.len())
    }
}

/// A connection of a client that is counted as open until this is dropped.
pub struct ConnectionGuard {
    metrics: Arc<Metrics>,
    worker: usize,
}

impl fmt::Debug for ConnectionGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionGuard(worker {})", self.worker)
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        add_one(&self.metrics.worker(self.worker).clients_closed);
    }
}

#[cfg(test)]
mod tests;
