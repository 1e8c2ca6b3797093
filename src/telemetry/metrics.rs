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

pub mod catalogue;
mod causes;
mod control;
mod exposition;
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

    /// The text that a Prometheus server scrapes (OpenMetrics 1.0).
    ///
    /// # Errors
    /// Never in practice: writing to a text cannot fail, but formatting says that it might.
    pub fn encode(self: &Arc<Self>) -> Result<String, fmt::Error> {
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
mod tests {
    use super::*;
    use crate::failure::Cause;

    fn shop() -> RouteLabels {
        RouteLabels {
            ingress_namespace: "shop".into(),
            ingress: "cart".into(),
            upstream: "shop/cart:80".into(),
            host: "shop.example".into(),
        }
    }

    #[track_caller]
    fn assert_has(text: &str, line: &str) {
        assert!(
            text.lines().any(|l| l == line),
            "no line {line:?} in\n{text}"
        );
    }

    #[test]
    fn the_counts_of_all_workers_are_summed() {
        let metrics = Metrics::new(2);
        let route = metrics.route(&shop());
        route.record(0, 200, None, Duration::from_millis(3));
        route.record(1, 200, None, Duration::from_millis(30));
        route.record(
            1,
            502,
            Some(Cause::ConnectionRefused),
            Duration::from_secs(100),
        );
        let text = metrics.encode().unwrap();
        let labels = r#"ingress_namespace="shop",ingress="cart",upstream="shop/cart:80""#;
        assert_has(
            &text,
            &format!("bywash_requests_total{{status=\"200\",{labels}}} 2"),
        );
        assert_has(
            &text,
            &format!("bywash_requests_total{{status=\"502\",{labels}}} 1"),
        );
        assert_has(
            &text,
            &format!("bywash_request_failures_total{{cause=\"connection_refused\",{labels}}} 1"),
        );
        let duration = "bywash_request_duration_seconds";
        assert_has(&text, &format!("{duration}_count{{{labels}}} 3"));
        assert_has(
            &text,
            &format!("{duration}_bucket{{le=\"0.005\",{labels}}} 1"),
        );
        assert_has(
            &text,
            &format!("{duration}_bucket{{le=\"0.05\",{labels}}} 2"),
        );
        assert_has(
            &text,
            &format!("{duration}_bucket{{le=\"60.0\",{labels}}} 2"),
        );
        assert_has(
            &text,
            &format!("{duration}_bucket{{le=\"+Inf\",{labels}}} 3"),
        );
        assert_has(&text, &format!("{duration}_sum{{{labels}}} 100.033"));
    }

    #[test]
    fn a_status_outside_the_list_counts_in_its_class() {
        let metrics = Metrics::new(1);
        let route = metrics.route(&shop());
        route.record(0, 599, None, Duration::ZERO);
        route.record(0, 7, None, Duration::ZERO);
        let text = metrics.encode().unwrap();
        assert!(
            text.contains("status=\"5xx\"") && text.contains("status=\"other\""),
            "{text}"
        );
    }

    #[test]
    fn a_connection_is_open_until_its_guard_is_dropped() {
        let metrics = Metrics::new(1);
        let first = metrics.client_connection(0);
        let _second = metrics.client_connection(5);
        let upstream = metrics.upstream("shop/cart:80");
        let _open = upstream.connection(0);
        drop(upstream.connection(3));
        upstream.connection_reused(0);
        drop(first);
        let text = metrics.encode().unwrap();
        assert_has(&text, "bywash_client_connections 1");
        assert_has(&text, "bywash_client_connections_accepted_total 2");
        assert_has(&text, "bywash_client_connections_closed_total 1");
        let labels = r#"{upstream="shop/cart:80"}"#;
        for line in [
            "bywash_upstream_connections{} 1",
            "bywash_upstream_connections_opened_total{} 2",
            "bywash_upstream_connections_reused_total{} 1",
        ] {
            assert_has(&text, &line.replace("{}", labels));
        }
    }

    #[test]
    fn counters_survive_a_new_snapshot_and_go_with_their_route() {
        let metrics = Metrics::new(1);
        let old = metrics.route(&shop());
        old.record(0, 200, None, Duration::ZERO);
        let new = metrics.route(&shop());
        drop(old);
        new.record(0, 200, None, Duration::ZERO);
        assert!(
            metrics
                .encode()
                .unwrap()
                .contains("upstream=\"shop/cart:80\"} 2\n")
        );
        drop(new);
        assert!(!metrics.encode().unwrap().contains("shop/cart"));
    }

    #[test]
    fn attempts_are_counted_by_cause() {
        let metrics = Metrics::new(1);
        let upstream = metrics.upstream("shop/cart:80");
        upstream.attempt(0, None);
        upstream.attempt(1, Some(Cause::ConnectionReset));
        upstream.attempt(0, Some(Cause::RetriedStatus(502)));
        upstream.retry(0);
        let text = metrics.encode().unwrap();
        let labels = r#"upstream="shop/cart:80""#;
        assert_has(
            &text,
            &format!("bywash_upstream_attempts_total{{{labels}}} 3"),
        );
        let label = Cause::ConnectionReset.label();
        assert_has(
            &text,
            &format!("bywash_upstream_attempt_failures_total{{{labels},cause=\"{label}\"}} 1"),
        );
        assert_has(&text, &format!("bywash_retries_total{{{labels}}} 1"));
    }

    #[test]
    fn what_happens_in_an_upstream_is_counted_until_it_is_gone() {
        let metrics = Metrics::new(1);
        let upstream = metrics.upstream("shop/cart:80");
        assert!(!metrics.encode().unwrap().contains("shop/cart"));
        for _ in 0..3 {
            upstream.ejected();
        }
        upstream.readmitted();
        upstream.retry_over_budget();
        upstream.idle_connection_cut();
        let text = metrics.encode().unwrap();
        let labels = r#"{upstream="shop/cart:80"}"#;
        for line in [
            "bywash_upstream_ejections_total{} 3",
            "bywash_upstream_readmissions_total{} 1",
            "bywash_retries_over_budget_total{} 1",
            "bywash_upstream_idle_connections_cut_total{} 1",
        ] {
            assert_has(&text, &line.replace("{}", labels));
        }
        drop(upstream);
        assert!(!metrics.encode().unwrap().contains("shop/cart"));
    }

    #[test]
    fn every_name_begins_with_bywash_and_no_label_is_one_that_a_service_monitor_overwrites() {
        let metrics = Metrics::new(1);
        let route = metrics.route(&shop());
        let upstream = metrics.upstream("shop/cart:80");
        for cause in Cause::all() {
            route.record(
                0,
                cause.status().as_u16(),
                Some(cause),
                Duration::from_millis(1),
            );
            upstream.attempt(0, Some(cause));
        }
        metrics.control().set_findings([("error", "InvalidHost")]);
        let text = metrics.encode().unwrap();
        let samples: Vec<_> = text.lines().filter(|l| !l.starts_with('#')).collect();
        assert!(samples.len() > 100);
        for sample in samples {
            assert!(sample.starts_with("bywash_"), "{sample}");
            for label in [
                "namespace",
                "service",
                "pod",
                "container",
                "endpoint",
                "node",
                "job",
                "instance",
            ] {
                assert!(!sample.contains(&format!("{{{label}=")), "{sample}");
                assert!(!sample.contains(&format!(",{label}=")), "{sample}");
            }
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
