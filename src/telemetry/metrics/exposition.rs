//! Writing the sums in the form that Prometheus reads.

use std::fmt::Error;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, MetricEncoder, NoLabelSet,
};

use super::Metrics;
use super::catalogue::{self, Metric};
use super::causes::LABELS;
use super::process::ProcessFacts;
use super::routes::{BOUNDS, RouteMetrics, STATUSES, Totals};

mod control;
mod upstreams;

type Labels<'a> = Vec<(&'a str, &'a str)>;

fn describe<'s>(
    encoder: &'s mut DescriptorEncoder,
    metric: &'s Metric,
) -> Result<MetricEncoder<'s>, Error> {
    encoder.encode_descriptor(
        metric.stem(),
        metric.meaning,
        metric.unit.as_ref(),
        metric.kind.encoded(),
    )
}

fn counters<'a>(
    encoder: &mut DescriptorEncoder,
    metric: &Metric,
    samples: impl IntoIterator<Item = (Labels<'a>, u64)>,
) -> Result<(), Error> {
    let mut metric = describe(encoder, metric)?;
    for (labels, value) in samples {
        metric
            .encode_family(&labels)?
            .encode_counter::<NoLabelSet, _, u64>(&value, None)?;
    }
    Ok(())
}

fn gauges<'a>(
    encoder: &mut DescriptorEncoder,
    metric: &Metric,
    samples: impl IntoIterator<Item = (Labels<'a>, impl EncodeGaugeValue)>,
) -> Result<(), Error> {
    let mut metric = describe(encoder, metric)?;
    for (labels, value) in samples {
        metric.encode_family(&labels)?.encode_gauge(&value)?;
    }
    Ok(())
}

fn gauge(
    encoder: &mut DescriptorEncoder,
    metric: &Metric,
    value: &impl EncodeGaugeValue,
) -> Result<(), Error> {
    describe(encoder, metric)?.encode_gauge(value)
}

fn total(
    encoder: &mut DescriptorEncoder,
    metric: &Metric,
    value: &impl EncodeCounterValue,
) -> Result<(), Error> {
    describe(encoder, metric)?.encode_counter::<NoLabelSet, _, u64>(value, None)
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), Error> {
        self.encode_routes(&mut encoder)?;
        self.encode_clients(&mut encoder)?;
        self.encode_upstreams(&mut encoder)?;
        self.encode_control(&mut encoder)?;
        self.encode_process(&mut encoder)
    }
}

/// The labels of one sample of a route, its own first.
fn route_labels<'a>(own: Option<(&'a str, &'a str)>, route: &'a RouteMetrics) -> Labels<'a> {
    let labels = route.labels();
    let mut all = Vec::with_capacity(4);
    all.extend(own);
    all.push(("ingress_namespace", &*labels.ingress_namespace));
    all.push(("ingress", &*labels.ingress));
    all.push(("upstream", &*labels.upstream));
    all
}

/// The samples of one counter per route and value, without those that are zero.
fn by_value<'a>(
    routes: &'a [(Arc<RouteMetrics>, Totals)],
    label: &'static str,
    counts: impl Fn(&'a Totals) -> Vec<(&'static str, u64)> + 'a,
) -> impl Iterator<Item = (Labels<'a>, u64)> {
    routes.iter().flat_map(move |(route, totals)| {
        let counts = counts(totals).into_iter().filter(|(_, count)| *count > 0);
        counts.map(move |(value, count)| (route_labels(Some((label, value)), route), count))
    })
}

fn statuses(totals: &Totals) -> Vec<(&'static str, u64)> {
    let names = STATUSES.iter().map(|(_, name)| *name);
    names.zip(totals.statuses).collect()
}

fn failures(totals: &Totals) -> Vec<(&'static str, u64)> {
    let counts = totals.failures.iter().copied();
    LABELS.iter().copied().zip(counts).collect()
}

impl Metrics {
    fn encode_routes(&self, encoder: &mut DescriptorEncoder) -> Result<(), Error> {
        let routes = self.routes.totals();
        let samples = by_value(&routes, "status", statuses);
        counters(encoder, &catalogue::REQUESTS, samples)?;
        let samples = by_value(&routes, "cause", failures);
        counters(encoder, &catalogue::REQUEST_FAILURES, samples)?;
        let fallbacks = routes.iter().filter(|(_, totals)| totals.fallbacks > 0);
        let samples = fallbacks.map(|(route, it)| (route_labels(None, route), it.fallbacks));
        counters(encoder, &catalogue::FALLBACK_REQUESTS, samples)?;
        let mut histogram = describe(encoder, &catalogue::REQUEST_DURATION)?;
        for (route, totals) in &routes {
            let count = totals.buckets.iter().sum();
            if count == 0 {
                continue;
            }
            let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
            let buckets: Vec<_> = bounds.zip(totals.buckets).collect();
            histogram
                .encode_family(&route_labels(None, route))?
                .encode_histogram::<NoLabelSet>(totals.sum_seconds(), count, &buckets, None)?;
        }
        Ok(())
    }

    fn encode_clients(&self, encoder: &mut DescriptorEncoder) -> Result<(), Error> {
        let closed = self.sum(|worker| &worker.clients_closed);
        let accepted = self.sum(|worker| &worker.clients_accepted);
        let open = accepted.saturating_sub(closed);
        gauge(encoder, &catalogue::CLIENT_CONNECTIONS, &open)?;
        total(encoder, &catalogue::CLIENT_CONNECTIONS_ACCEPTED, &accepted)?;
        total(encoder, &catalogue::CLIENT_CONNECTIONS_CLOSED, &closed)?;
        let failed = self.sum(|worker| &worker.tls_failures);
        total(encoder, &catalogue::TLS_HANDSHAKE_FAILURES, &failed)
    }

    fn encode_process(&self, encoder: &mut DescriptorEncoder) -> Result<(), Error> {
        describe(encoder, &catalogue::BUILD)?
            .encode_info(&[("version", env!("CARGO_PKG_VERSION"))])?;
        gauge(encoder, &catalogue::WORKERS, &self.workers.len())?;
        let started = self.uptime_start().as_secs_f64();
        gauge(encoder, &catalogue::PROCESS_START, &started)?;
        let Some(facts) = ProcessFacts::read() else {
            return Ok(());
        };
        total(encoder, &catalogue::PROCESS_CPU, &facts.cpu_seconds)?;
        gauge(encoder, &catalogue::PROCESS_MEMORY, &facts.resident_bytes)?;
        gauge(encoder, &catalogue::PROCESS_OPEN_FDS, &facts.open_fds)?;
        gauge(encoder, &catalogue::PROCESS_MAX_FDS, &facts.max_fds)
    }
}
