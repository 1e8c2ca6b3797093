//! The counters of each route.
//!
//! A route's handle is held by what is served; which there are the [registry] knows. Each worker's part is
//! made when that worker sees its first request of the route: thousands of quiet routes cost next to nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::failure::Cause;

use super::Metrics;
use super::causes::{CauseCounters, LABELS};

mod registry;

pub(super) use registry::Routes;

/// What tells the requests of one route from those of others.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteLabels {
    /// The namespace of the Ingress; empty where no route matched.
    pub ingress_namespace: Arc<str>,
    /// The Ingress; empty where no route matched.
    pub ingress: Arc<str>,
    /// The upstream, `namespace/service:port`; empty where the route names no Service.
    pub upstream: Arc<str>,
    /// The host of the rule, which is no label: strangers to metrics choose it, and there may be many.
    pub host: Arc<str>,
}

/// How the requests of one route ended so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// All of them.
    pub requests: u64,
    /// Those that failed after all attempts, by cause; none where none did.
    pub failures: Vec<(Cause, u64)>,
    /// Those that were sent to what stands in.
    pub fallbacks: u64,
    /// Those that were answered without anybody being asked, as redirects to HTTPS are.
    pub unasked: u64,
}

impl RouteLabels {
    /// Whether both are one series: hosts are no label.
    fn is_shown_as(&self, other: &Self) -> bool {
        (&self.ingress_namespace, &self.ingress, &self.upstream)
            == (&other.ingress_namespace, &other.ingress, &other.upstream)
    }

    /// Those of the series: less than or equal to those of each route that is part of it.
    fn of_series(&self) -> Self {
        Self {
            host: Arc::default(),
            ..self.clone()
        }
    }
}

/// The statuses that are counted by themselves; others count in their class.
#[rustfmt::skip]
pub(super) const STATUSES: [(u16, &str); 46] = [
    (101, "101"), (200, "200"), (201, "201"), (202, "202"), (204, "204"), (206, "206"),
    (301, "301"), (302, "302"), (303, "303"), (304, "304"), (307, "307"), (308, "308"),
    (400, "400"), (401, "401"), (403, "403"), (404, "404"), (405, "405"), (406, "406"),
    (408, "408"), (409, "409"), (410, "410"), (411, "411"), (412, "412"), (413, "413"),
    (414, "414"), (415, "415"), (416, "416"), (417, "417"), (421, "421"), (422, "422"),
    (425, "425"), (428, "428"), (429, "429"), (431, "431"), (499, "499"), (500, "500"),
    (501, "501"), (502, "502"), (503, "503"), (504, "504"),
    (0, "other"), (1, "1xx"), (2, "2xx"), (3, "3xx"), (4, "4xx"), (5, "5xx"),
];

const CLASSES: usize = STATUSES.len() - 6;

/// The index into [`STATUSES`] of each status code up to 599.
const STATUS_INDEX: [u8; 600] = {
    let mut table = [0_u8; 600];
    let mut code = 0;
    while code < 600 {
        let class = if code < 100 { 0 } else { code / 100 };
        table[code] = (CLASSES + class) as u8;
        code += 1;
    }
    let mut index = 0;
    while index < CLASSES {
        table[STATUSES[index].0 as usize] = index as u8;
        index += 1;
    }
    table
};

/// The upper bounds of the histogram's buckets, in seconds; one more bucket has no bound.
pub(super) const BOUNDS: [f64; 14] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

const BUCKETS: usize = BOUNDS.len() + 1;

/// The index of the bucket for this duration.
pub(super) fn bucket(duration: Duration) -> usize {
    let seconds = duration.as_secs_f64();
    BOUNDS.partition_point(|bound| *bound < seconds)
}

/// What one worker counted for one route; alone on its cache lines.
#[derive(Debug)]
#[repr(align(128))]
struct Shard {
    statuses: [AtomicU64; STATUSES.len()],
    buckets: [AtomicU64; BUCKETS],
    sum_micros: AtomicU64,
    fallbacks: AtomicU64,
    unasked: AtomicU64,
    failures: CauseCounters,
}

impl Default for Shard {
    fn default() -> Self {
        Self {
            statuses: [const { AtomicU64::new(0) }; STATUSES.len()],
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
            sum_micros: AtomicU64::new(0),
            fallbacks: AtomicU64::new(0),
            unasked: AtomicU64::new(0),
            failures: CauseCounters::default(),
        }
    }
}

/// The counters of one route.
#[derive(Debug)]
pub struct RouteMetrics {
    labels: RouteLabels,
    shards: Box<[OnceLock<Box<Shard>>]>,
}

/// The sums over all workers.
#[derive(Clone, Debug)]
pub(super) struct Totals {
    pub(super) statuses: [u64; STATUSES.len()],
    /// Not cumulative.
    pub(super) buckets: [u64; BUCKETS],
    /// Whole numbers: sums of floats depend on their order, and might go back by a hair.
    sum_micros: u64,
    pub(super) fallbacks: u64,
    /// In the order of [`LABELS`].
    pub(super) failures: Vec<u64>,
}

impl RouteMetrics {
    /// Counts a request that ended: the status sent (499 if the client had left), why it failed if
    /// it did, and the time from the end of its head to the end of the response.
    pub fn record(&self, worker: usize, status: u16, cause: Option<Cause>, duration: Duration) {
        let shard = self.shard(worker);
        let index = STATUS_INDEX.get(usize::from(status)).copied();
        let index = index.unwrap_or(STATUS_INDEX[0]);
        shard.statuses[usize::from(index)].fetch_add(1, Ordering::Relaxed);
        shard.buckets[bucket(duration)].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        shard.sum_micros.fetch_add(micros, Ordering::Relaxed);
        if let Some(cause) = cause {
            shard.failures.add(cause);
        }
    }

    /// Counts a request that was sent to what stands in for the route's upstream.
    pub fn fell_back(&self, worker: usize) {
        self.shard(worker).fallbacks.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that was recorded, and answered without anybody being asked: it says nothing of
    /// the route's upstream.
    pub fn unasked(&self, worker: usize) {
        self.shard(worker).unasked.fetch_add(1, Ordering::Relaxed);
    }

    /// The upstream, `namespace/service:port`; empty where the route names no Service.
    pub fn upstream(&self) -> &str {
        &self.labels.upstream
    }

    fn shard(&self, worker: usize) -> &Shard {
        self.shards[worker % self.shards.len()].get_or_init(Box::default)
    }

    pub(super) fn labels(&self) -> &RouteLabels {
        &self.labels
    }

    fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for shard in self.shards.iter().filter_map(OnceLock::get) {
            add_all(&mut totals.statuses, &shard.statuses);
            add_all(&mut totals.buckets, &shard.buckets);
            totals.sum_micros += shard.sum_micros.load(Ordering::Relaxed);
            totals.fallbacks += shard.fallbacks.load(Ordering::Relaxed);
            shard.failures.add_to(&mut totals.failures);
        }
        totals
    }
}

impl RouteMetrics {
    /// How its requests ended so far.
    fn traffic(&self) -> Traffic {
        let mut traffic = Traffic::default();
        let mut failures = Vec::new();
        for shard in self.shards.iter().filter_map(OnceLock::get) {
            let statuses = shard.statuses.iter();
            traffic.requests += statuses.map(|it| it.load(Ordering::Relaxed)).sum::<u64>();
            traffic.fallbacks += shard.fallbacks.load(Ordering::Relaxed);
            traffic.unasked += shard.unasked.load(Ordering::Relaxed);
            if shard.failures.any() {
                failures.resize(LABELS.len(), 0);
                shard.failures.add_to(&mut failures);
            }
        }
        let failed = failures.into_iter().enumerate();
        let failed = failed.filter(|(_, count)| *count > 0);
        traffic.failures = failed
            .filter_map(|(index, count)| Some((Cause::labelled(LABELS[index])?, count)))
            .collect();
        traffic
    }
}

impl Metrics {
    /// How the requests of each route ended so far; without those that no route matched.
    pub fn traffic(&self) -> Vec<(RouteLabels, Traffic)> {
        let mut traffic = self.routes.traffic();
        traffic.retain(|(labels, _)| !labels.ingress.is_empty());
        traffic
    }
}

impl Default for Totals {
    fn default() -> Self {
        Self {
            statuses: [0; STATUSES.len()],
            buckets: [0; BUCKETS],
            sum_micros: 0,
            fallbacks: 0,
            failures: vec![0; LABELS.len()],
        }
    }
}

impl Totals {
    /// The time that the requests took together.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a sum of durations is a float in the end"
    )]
    pub(super) fn sum_seconds(&self) -> f64 {
        self.sum_micros as f64 / 1e6
    }

    fn add(&mut self, other: &Self) {
        let add = |sums: &mut [u64], more: &[u64]| {
            sums.iter_mut()
                .zip(more)
                .for_each(|(sum, more)| *sum += more);
        };
        add(&mut self.statuses, &other.statuses);
        add(&mut self.buckets, &other.buckets);
        add(&mut self.failures, &other.failures);
        self.sum_micros += other.sum_micros;
        self.fallbacks += other.fallbacks;
    }
}

fn add_all(sums: &mut [u64], counters: &[AtomicU64]) {
    for (sum, counter) in sums.iter_mut().zip(counters) {
        *sum += counter.load(Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_that_differ_in_their_host_are_one_series_and_can_be_told_apart_all_the_same() {
        let metrics = Metrics::new(1);
        let shop = RouteLabels {
            ingress_namespace: "shop".into(),
            ingress: "cart".into(),
            upstream: "shop/cart:80".into(),
            host: "shop.example".into(),
        };
        let other = RouteLabels {
            host: "other.example".into(),
            ..shop.clone()
        };
        let routes = [metrics.route(&shop), metrics.route(&other)];
        routes[0].record(0, 200, None, Duration::ZERO);
        routes[1].record(0, 502, Some(Cause::ConnectionRefused), Duration::ZERO);
        routes[1].record(0, 200, None, Duration::ZERO);
        let text = metrics.encode().unwrap();
        let labels = r#"ingress_namespace="shop",ingress="cart",upstream="shop/cart:80""#;
        let line = format!(r#"bywash_requests_total{{status="200",{labels}}} 2"#);
        assert!(text.lines().any(|it| it == line), "{text}");
        let traffic = metrics.traffic();
        let failures = vec![(Cause::ConnectionRefused, 1)];
        let counts = |requests, failures| Traffic {
            requests,
            failures,
            ..Traffic::default()
        };
        assert_eq!(
            traffic,
            [(other, counts(2, failures)), (shop, counts(1, Vec::new()))]
        );
    }
}
