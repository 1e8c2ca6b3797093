//! Writing the sums in the form that Prometheus reads.

use std::fmt::Error;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::causes::LABELS;
use super::process::ProcessFacts;
use super::routes::{BOUNDS, RouteMetrics, STATUSES, Totals};
use super::upstreams::{BreakerLimit, UpstreamMetrics};
use super::{Metrics, Worker};

type Labels<'a> = Vec<(&'a str, &'a str)>;

fn counter<'a>(
    encoder: &mut DescriptorEncoder,
    (name, help): (&str, &str),
    samples: impl IntoIterator<Item = (Labels<'a>, u64)>,
) -> Result<(), Error> {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, value) in samples {
        if labels.is_empty() {
            metric.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        } else {
            metric
                .encode_family(&labels)?
                .encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
    }
    Ok(())
}

fn gauge(
    encoder: &mut DescriptorEncoder,
    (name, help): (&str, &str),
    value: &impl EncodeGaugeValue,
) -> Result<(), Error> {
    encoder
        .encode_descriptor(name, help, None, MetricType::Gauge)?
        .encode_gauge(value)
}

fn total(encoder: &mut DescriptorEncoder, text: (&str, &str), value: u64) -> Result<(), Error> {
    counter(encoder, text, [(Vec::new(), value)])
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), Error> {
        self.encode_routes(&mut encoder)?;
        self.encode_connections(&mut encoder)?;
        self.encode_attempts(&mut encoder)?;
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

/// The samples of one counter per upstream, without those that are zero.
fn by_upstream(
    upstreams: &[Arc<UpstreamMetrics>],
    count: fn(&UpstreamMetrics) -> u64,
) -> impl Iterator<Item = (Labels<'_>, u64)> {
    let counts = upstreams
        .iter()
        .map(move |upstream| (upstream, count(upstream)));
    counts
        .filter(|(_, count)| *count > 0)
        .map(|(upstream, count)| (vec![("upstream", upstream.label())], count))
}

/// The samples of the requests that limits did not let pass, without those that are zero.
fn turned_away(
    upstreams: &[Arc<UpstreamMetrics>],
) -> impl Iterator<Item = (Labels<'_>, u64)> + use<'_> {
    upstreams.iter().flat_map(|upstream| {
        let counts = BreakerLimit::ALL.map(|limit| (limit, upstream.turned_away_by(limit)));
        let counts = counts.into_iter().filter(|(_, count)| *count > 0);
        counts.map(|(limit, count)| {
            let labels = vec![("upstream", upstream.label()), ("limit", limit.as_str())];
            (labels, count)
        })
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

/// What was found by probes, of the upstreams that are probed.
fn encode_probes(
    encoder: &mut DescriptorEncoder,
    upstreams: &[Arc<UpstreamMetrics>],
) -> Result<(), Error> {
    let probed = || upstreams.iter().filter(|it| it.probes().are_there());
    let text = ("upstream_probes", "Probes of endpoints, by result");
    let samples = probed().flat_map(|upstream| {
        upstream.probes().by_result().map(|(result, count)| {
            let labels = vec![("upstream", upstream.label()), ("result", result)];
            (labels, count)
        })
    });
    counter(encoder, text, samples)?;
    let text = "Endpoints that are down as their probes say";
    let name = "upstream_endpoints_probed_down";
    let mut down = encoder.encode_descriptor(name, text, None, MetricType::Gauge)?;
    for upstream in probed() {
        down.encode_family(&[("upstream", upstream.label())])?
            .encode_gauge(&upstream.probes().down())?;
    }
    Ok(())
}

impl Metrics {
    fn encode_routes(&self, encoder: &mut DescriptorEncoder) -> Result<(), Error> {
        let routes = self.routes.totals();
        counter(
            encoder,
            (
                "requests",
                "Requests answered, by the status sent to the client; seldom ones by class; 499: the client left",
            ),
            by_value(&routes, "status", statuses),
        )?;
        counter(
            encoder,
            (
                "request_failures",
                "Requests that failed after all attempts, by cause",
            ),
            by_value(&routes, "cause", failures),
        )?;
        let fallbacks = routes.iter().filter(|(_, totals)| totals.fallbacks > 0);
        counter(
            encoder,
            (
                "fallback_requests",
                "Requests that were sent to the fallback Service of their route",
            ),
            fallbacks.map(|(route, totals)| (route_labels(None, route), totals.fallbacks)),
        )?;
        let mut histogram = encoder.encode_descriptor(
            "request_duration_seconds",
            "From the end of the request head to the end of the response",
            None,
            MetricType::Histogram,
        )?;
        for (route, totals) in &routes {
            let count = totals.buckets.iter().sum();
            if count == 0 {
                continue;
            }
            let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
            let buckets: Vec<_> = bounds.zip(totals.buckets).collect();
            histogram
                .encode_family(&route_labels(None, route))?
                .encode_histogram::<NoLabelSet>(totals.sum_seconds, count, &buckets, None)?;
        }
        Ok(())
    }

    fn encode_connections(&self, encoder: &mut DescriptorEncoder) -> Result<(), Error> {
        let closed = self.sum(|worker| &worker.clients_closed);
        let accepted = self.sum(|worker| &worker.clients_accepted);
        let open = accepted.saturating_sub(closed);
        gauge(
            encoder,
            ("client_connections", "Connections of clients that are open"),
            &open,
        )?;
        let text = (
            "client_connections_accepted",
            "Connections accepted from clients",
        );
        total(encoder, text, accepted)?;
        let text = (
            "client_connections_closed",
            "Connections of clients that ended",
        );
        total(encoder, text, closed)?;
        let text = (
            "tls_handshake_failures",
            "TLS handshakes of clients that did not succeed",
        );
        total(encoder, text, self.sum(|worker| &worker.tls_failures))?;
        let closed = self.sum(|worker| &worker.upstreams_closed);
        let opened = self.sum(|worker| &worker.upstreams_opened);
        let open = opened.saturating_sub(closed);
        gauge(
            encoder,
            (
                "upstream_connections",
                "Connections to endpoints that are open",
            ),
            &open,
        )?;
        let text = (
            "upstream_connections_opened",
            "Connections opened to endpoints",
        );
        total(encoder, text, opened)?;
        let text = (
            "upstream_connections_reused",
            "Requests sent on a connection opened before",
        );
        total(encoder, text, self.sum(|worker| &worker.upstreams_reused))
    }

    fn encode_attempts(&self, encoder: &mut DescriptorEncoder) -> Result<(), Error> {
        let text = (
            "upstream_attempts",
            "Attempts to have a request answered by an endpoint",
        );
        total(encoder, text, self.sum(|worker| &worker.attempts))?;
        let mut sums = vec![0; LABELS.len()];
        for Worker {
            attempt_failures, ..
        } in &self.workers
        {
            attempt_failures.add_to(&mut sums);
        }
        let failed = LABELS.iter().zip(sums).filter(|(_, count)| *count > 0);
        counter(
            encoder,
            (
                "upstream_attempt_failures",
                "Attempts that failed, by cause",
            ),
            failed.map(|(label, count)| (vec![("cause", *label)], count)),
        )?;
        let text = ("retries", "Attempts that followed a failed one");
        total(encoder, text, self.sum(|worker| &worker.retries))
    }

    fn encode_upstreams(&self, encoder: &mut DescriptorEncoder) -> Result<(), Error> {
        let upstreams = self.upstreams.live();
        let text = (
            "upstream_ejections",
            "Endpoints left out because they failed too often",
        );
        counter(
            encoder,
            text,
            by_upstream(&upstreams, UpstreamMetrics::ejections),
        )?;
        let text = ("upstream_readmissions", "Ejected endpoints that came back");
        counter(
            encoder,
            text,
            by_upstream(&upstreams, UpstreamMetrics::readmissions),
        )?;
        let text = (
            "retries_over_budget",
            "Retries that did not happen because their upstream's budget was exhausted",
        );
        let samples = by_upstream(&upstreams, UpstreamMetrics::retries_over_budget);
        counter(encoder, text, samples)?;
        let text = (
            "requests_turned_away",
            "Requests answered 503 at once because of a limit of their upstream's circuit breaker",
        );
        counter(encoder, text, turned_away(&upstreams))?;
        let text = (
            "upstream_idle_connections_cut",
            "Idle connections that endpoints closed before their time",
        );
        let samples = by_upstream(&upstreams, UpstreamMetrics::idle_connections_cut);
        counter(encoder, text, samples)?;
        let text = "Endpoints that are left out now";
        let name = "upstream_ejected_endpoints";
        let mut ejected = encoder.encode_descriptor(name, text, None, MetricType::Gauge)?;
        for upstream in upstreams.iter().filter(|upstream| upstream.ejections() > 0) {
            ejected
                .encode_family(&[("upstream", upstream.label())])?
                .encode_gauge(&upstream.ejected_now())?;
        }
        encode_probes(encoder, &upstreams)
    }

    fn encode_control(&self, encoder: &mut DescriptorEncoder) -> Result<(), Error> {
        let control = &self.control;
        let text = (
            "config_generation",
            "The generation of the configuration that is served; 0: none yet",
        );
        gauge(encoder, text, &control.generation())?;
        let text = (
            "config_last_change_timestamp_seconds",
            "When what is served changed last",
        );
        gauge(encoder, text, &control.last_change_seconds())?;
        let text = ("leader", "Whether this replica writes statuses and Events");
        gauge(encoder, text, &u64::from(control.leader()))?;
        let text = (
            "access_log_dropped_lines",
            "Lines of the access log dropped because its reader was too slow",
        );
        total(encoder, text, self.sum(|worker| &worker.log_lines_dropped))?;
        let text = (
            "failure_records_dropped",
            "Records of failures lost because they came faster than they were looked at",
        );
        total(encoder, text, control.failure_records_lost())?;
        let text = (
            "log_dropped_lines",
            "Lines of the process's own log dropped because its reader was too slow",
        );
        total(encoder, text, control.own_log_lines_dropped())?;
        let text = "Defects in objects, by severity and code";
        let mut findings = encoder.encode_descriptor("findings", text, None, MetricType::Gauge)?;
        for ((severity, code), count) in control.findings() {
            findings
                .encode_family(&[("severity", severity), ("code", code)])?
                .encode_gauge(&count)?;
        }
        Ok(())
    }

    fn encode_process(&self, encoder: &mut DescriptorEncoder) -> Result<(), Error> {
        let text = "The version of the program";
        encoder
            .encode_descriptor("build", text, None, MetricType::Info)?
            .encode_info(&[("version", env!("CARGO_PKG_VERSION"))])?;
        let text = ("workers", "Threads that serve requests");
        gauge(encoder, text, &self.workers.len())?;
        let text = ("process_start_time_seconds", "When the process started");
        gauge(encoder, text, &self.uptime_start().as_secs_f64())?;
        let Some(facts) = ProcessFacts::read() else {
            return Ok(());
        };
        let text = "Processor time used, of the process and the kernel for it";
        encoder
            .encode_descriptor("process_cpu_seconds", text, None, MetricType::Counter)?
            .encode_counter::<NoLabelSet, _, u64>(&facts.cpu_seconds, None)?;
        let text = ("process_resident_memory_bytes", "Memory held in RAM");
        gauge(encoder, text, &facts.resident_bytes)?;
        let text = ("process_open_fds", "Open file descriptors");
        gauge(encoder, text, &facts.open_fds)?;
        let text = ("process_max_fds", "File descriptors that may be open");
        gauge(encoder, text, &facts.max_fds)
    }
}
