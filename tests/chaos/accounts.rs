//! Whether clients, endpoints, access log and metrics tell the same story.

use std::collections::{BTreeMap, HashMap};

use crate::gateway::Metrics;
use crate::ledger::{Ended, Outcome, Seen};
use crate::log::Entry;

type Counts = BTreeMap<String, f64>;

/// Where they differ.
pub(crate) fn violations(seen: &Seen, entries: &[Entry], metrics: &Metrics) -> Vec<String> {
    let mut violations = Vec::new();
    let mut logged = HashMap::new();
    for entry in entries {
        if logged.insert(&*entry.id, entry).is_some() {
            violations.push(format!("{} stands in the access log twice", entry.id));
        }
    }
    for outcome in &seen.outcomes {
        let id = &*outcome.order.id;
        match logged.remove(id) {
            None => violations.push(format!("{id} is not in the access log: {outcome:?}")),
            Some(entry) => {
                let told =
                    difference(outcome, entry).or_else(|| disagreement(outcome, entry, seen));
                violations.extend(told.map(|what| format!("{what}: {outcome:?}, {entry:?}")));
            }
        }
    }
    violations.extend(
        logged
            .keys()
            .map(|id| format!("{id} was logged and never sent")),
    );
    for (what, told, counted) in totals(entries, metrics) {
        if told != counted {
            violations.push(format!("{what}: {told:?} in the log, {counted:?} counted"));
        }
    }
    violations
}

/// Between what a client saw and what the log says.
fn difference(outcome: &Outcome, entry: &Entry) -> Option<&'static str> {
    let last = entry.attempts.last();
    let served = last.filter(|last| last.cause.is_none() || last.breaks_off());
    match &outcome.ended {
        _ if entry.method != outcome.order.method.as_str() => Some("another method"),
        Ended::Whole(answer) | Ended::Changed(answer) | Ended::Broken(answer)
            if answer.status != entry.status =>
        {
            Some("another status")
        }
        Ended::Whole(answer) | Ended::Changed(answer) | Ended::Broken(answer)
            if answer.endpoint != served.map(|it| it.endpoint) =>
        {
            Some("another endpoint")
        }
        Ended::Whole(answer) | Ended::Changed(answer)
            if answer.endpoint.is_some() && entry.cause.is_some() =>
        {
            Some("a broken body was taken for whole")
        }
        Ended::Whole(answer) if answer.endpoint.is_none() && entry.cause.is_none() => {
            Some("a failure without a cause")
        }
        Ended::Broken(_) | Ended::Unanswered(_) if entry.cause.is_none() => {
            Some("a failure that was not noticed")
        }
        _ => None,
    }
}

/// Between what a client or the log says and what an endpoint did.
fn disagreement(outcome: &Outcome, entry: &Entry, seen: &Seen) -> Option<&'static str> {
    let executions = seen.executions.of(&entry.id);
    let answer = outcome.ended.answer()?;
    let by = answer.endpoint?;
    let mut here = executions.iter().filter(|it| it.endpoint == by);
    let last = here.next_back();
    match last {
        None => Some("an answer without a request"),
        Some(last) if last.truncated && !matches!(outcome.ended, Ended::Broken(_)) => {
            Some("half of a body was taken for whole")
        }
        Some(_) => None,
    }
}

/// What is counted, in the log and by the metrics.
fn totals(entries: &[Entry], metrics: &Metrics) -> [(&'static str, Counts, Counts); 5] {
    let attempts = || {
        let all = entries.iter().flat_map(|entry| &entry.attempts);
        all.filter(|attempt| !attempt.is_unfinished())
    };
    let number = |name: &str, of: usize| count(vec![name.to_owned(); of].into_iter());
    let counted = |name: &str, label: &str| metrics.by(name, label).into_iter().collect();
    let sum = |name: &str, metric: &str| {
        let sum = metrics.sum(metric);
        let counted = (sum > 0.0).then(|| (name.to_owned(), sum));
        counted.into_iter().collect()
    };
    [
        (
            "requests",
            count(entries.iter().map(|entry| entry.status.to_string())),
            counted("bywash_requests_total", "status"),
        ),
        (
            "failed requests",
            count(entries.iter().filter_map(|entry| entry.cause.clone())),
            counted("bywash_request_failures_total", "cause"),
        ),
        (
            "attempts",
            number("all", attempts().count()),
            sum("all", "bywash_upstream_attempts_total"),
        ),
        (
            "failed attempts",
            count(attempts().filter_map(|attempt| attempt.cause.clone())),
            counted("bywash_upstream_attempt_failures_total", "cause"),
        ),
        (
            "retries",
            number("all", entries.iter().flat_map(Entry::followed).count()),
            sum("all", "bywash_retries_total"),
        ),
    ]
}

fn count(names: impl Iterator<Item = String>) -> Counts {
    let mut counts = Counts::new();
    for name in names {
        *counts.entry(name).or_default() += 1.0;
    }
    counts
}
