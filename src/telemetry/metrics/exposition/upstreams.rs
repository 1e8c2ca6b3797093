//! The upstreams: what was counted, and what they are like at the moment.

use std::fmt::Error;
use std::sync::Arc;

use prometheus_client::encoding::DescriptorEncoder;

use super::super::Metrics;
use super::super::catalogue::{self, Metric};
use super::super::causes::LABELS;
use super::super::states::UpstreamState;
use super::super::upstreams::{BreakerLimit, Totals, UpstreamMetrics};
use super::{Labels, counters, gauges};

type Counted = (Arc<UpstreamMetrics>, Totals);

/// The samples of one counter per upstream, without those that are zero.
fn by_upstream(
    upstreams: &[Counted],
    count: impl Fn(&Counted) -> u64,
) -> impl Iterator<Item = (Labels<'_>, u64)> {
    let counts = upstreams
        .iter()
        .map(move |upstream| (upstream, count(upstream)));
    counts
        .filter(|(_, count)| *count > 0)
        .map(|((upstream, _), count)| (vec![("upstream", upstream.label())], count))
}

/// The same for a counter with a label more.
fn by_value<'u, I: IntoIterator<Item = (&'static str, u64)>>(
    upstreams: &'u [Counted],
    label: &'static str,
    counts: impl Fn(&'u Counted) -> I,
) -> impl Iterator<Item = (Labels<'u>, u64)> {
    upstreams.iter().flat_map(move |upstream| {
        let counts = counts(upstream).into_iter().filter(|(_, count)| *count > 0);
        counts.map(move |(value, count)| {
            let labels = vec![("upstream", upstream.0.label()), (label, value)];
            (labels, count)
        })
    })
}

/// The samples of one gauge per upstream.
fn now(
    states: &[UpstreamState],
    value: impl Fn(&UpstreamState) -> u64,
) -> impl Iterator<Item = (Labels<'_>, u64)> {
    states
        .iter()
        .map(move |state| (vec![("upstream", &*state.label)], value(state)))
}

impl Metrics {
    pub(super) fn encode_upstreams(&self, encoder: &mut DescriptorEncoder) -> Result<(), Error> {
        let live = self.upstreams.live().into_iter();
        let upstreams: Vec<Counted> = live
            .map(|upstream| {
                let totals = upstream.totals();
                (upstream, totals)
            })
            .collect();
        let states = self.states.now();
        encode_attempts(encoder, &upstreams)?;
        encode_connections(encoder, &upstreams, &states)?;
        encode_health(encoder, &upstreams, &states)?;
        encode_breakers(encoder, &upstreams, &states)
    }
}

fn encode_attempts(encoder: &mut DescriptorEncoder, upstreams: &[Counted]) -> Result<(), Error> {
    let samples = by_upstream(upstreams, |(_, totals)| totals.attempts);
    counters(encoder, &catalogue::ATTEMPTS, samples)?;
    let failures = |(_, totals): &Counted| {
        let labels = LABELS.iter().copied();
        labels.zip(totals.failures.clone()).collect::<Vec<_>>()
    };
    let samples = by_value(upstreams, "cause", failures);
    counters(encoder, &catalogue::ATTEMPT_FAILURES, samples)?;
    let samples = by_upstream(upstreams, |(_, totals)| totals.retries);
    counters(encoder, &catalogue::RETRIES, samples)?;
    let samples = by_upstream(upstreams, |(upstream, _)| upstream.retries_over_budget());
    counters(encoder, &catalogue::RETRIES_OVER_BUDGET, samples)
}

fn encode_connections(
    encoder: &mut DescriptorEncoder,
    upstreams: &[Counted],
    states: &[UpstreamState],
) -> Result<(), Error> {
    let used = upstreams.iter().filter(|(_, totals)| totals.opened > 0);
    let samples = used.map(|(upstream, totals)| {
        let open = totals.opened.saturating_sub(totals.closed);
        (vec![("upstream", upstream.label())], open)
    });
    gauges(encoder, &catalogue::CONNECTIONS, samples)?;
    let samples = now(states, |state| state.idle_connections);
    gauges(encoder, &catalogue::IDLE_CONNECTIONS, samples)?;
    let mut count = |metric: &Metric, of: fn(&Counted) -> u64| {
        counters(encoder, metric, by_upstream(upstreams, of))
    };
    count(&catalogue::CONNECTIONS_OPENED, |(_, totals)| totals.opened)?;
    count(&catalogue::CONNECTIONS_REUSED, |(_, totals)| totals.reused)?;
    count(&catalogue::IDLE_CONNECTIONS_CUT, |(upstream, _)| {
        upstream.idle_connections_cut()
    })
}

fn encode_health(
    encoder: &mut DescriptorEncoder,
    upstreams: &[Counted],
    states: &[UpstreamState],
) -> Result<(), Error> {
    let samples = states.iter().flat_map(|upstream| {
        let counts = upstream.endpoints.by_state().into_iter();
        counts.map(|(state, count)| {
            let labels = vec![("upstream", &*upstream.label), ("state", state)];
            (labels, count)
        })
    });
    gauges(encoder, &catalogue::ENDPOINTS, samples)?;
    let samples = now(states, |state| state.usable);
    gauges(encoder, &catalogue::USABLE, samples)?;
    let samples = by_upstream(upstreams, |(upstream, _)| upstream.ejections());
    counters(encoder, &catalogue::EJECTIONS, samples)?;
    let samples = by_upstream(upstreams, |(upstream, _)| upstream.readmissions());
    counters(encoder, &catalogue::READMISSIONS, samples)?;
    let probed = upstreams.iter().filter(|(it, _)| it.probes().are_there());
    let samples = probed.flat_map(|(upstream, _)| {
        let results = upstream.probes().by_result().into_iter();
        results.map(|(result, count)| {
            let labels = vec![("upstream", upstream.label()), ("result", result)];
            (labels, count)
        })
    });
    counters(encoder, &catalogue::PROBES, samples)
}

fn encode_breakers(
    encoder: &mut DescriptorEncoder,
    upstreams: &[Counted],
    states: &[UpstreamState],
) -> Result<(), Error> {
    let turned_away = |(upstream, _): &Counted| {
        BreakerLimit::ALL.map(|limit| (limit.as_str(), upstream.turned_away_by(limit)))
    };
    let samples = by_value(upstreams, "limit", turned_away);
    counters(encoder, &catalogue::TURNED_AWAY, samples)?;
    let samples = states.iter().flat_map(|upstream| {
        let open = upstream.breaker.iter();
        open.flat_map(|open| {
            BreakerLimit::ALL.into_iter().map(|limit| {
                let labels = vec![("upstream", &*upstream.label), ("limit", limit.as_str())];
                (labels, u64::from(open.contains(&limit)))
            })
        })
    });
    gauges(encoder, &catalogue::BREAKER_OPEN, samples)
}
