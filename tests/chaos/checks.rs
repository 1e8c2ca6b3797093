//! What must hold afterwards.

use std::collections::HashMap;
use std::ops::Range;

use bywash::failure::RetryClass;
use http::Method;

use crate::budget;
use crate::gateway::Metrics;
use crate::ledger::{Ended, Outcome, Seen};
use crate::log::{Attempt, Entry};
use crate::{accounts, ejection};

/// The log does not tell all that the budget goes by, so that the bucket may seem to be below empty by
/// as many tokens.
const UNTOLD: f64 = 5.0;

/// How long an attempt may wait for its head, in seconds.
const PER_TRY: f64 = 0.5;

/// Everything that is known of a run.
pub(crate) struct Evidence {
    pub(crate) seen: Seen,
    pub(crate) entries: Vec<Entry>,
    pub(crate) metrics: Metrics,
    /// When every endpoint was dead, until all were back; in seconds.
    pub(crate) deaths: Vec<Range<f64>>,
    pub(crate) refusals: Vec<Refusals>,
    /// When the machine stood still.
    pub(crate) missed: Vec<Range<f64>>,
}

/// Retries that the budget refused while endpoints worked.
pub(crate) struct Refusals {
    pub(crate) during: Range<f64>,
    pub(crate) retries: f64,
}

impl Evidence {
    /// Everything that does not hold.
    pub(crate) fn violations(&self) -> Vec<String> {
        let mut violations = self.seen.violations.clone();
        let void = self.void();
        let excused = |time: &Range<f64>| void.iter().any(|void| overlap(void, time));
        violations.extend(self.failures(excused));
        violations.extend(self.refusals(excused));
        violations.extend(self.executions());
        violations.extend(self.retries());
        violations.extend(accounts::violations(
            &self.seen,
            &self.entries,
            &self.metrics,
        ));
        violations.extend(ejection::violations(
            &self.entries,
            &self.seen.executions,
            &[&*self.deaths, &void].concat(),
        ));
        if self.metrics.sum("bywash_access_log_dropped_lines_total") > 0.0 {
            violations.push("lines of the access log were dropped".to_owned());
        }
        violations
    }

    /// From each moment in which the machine stood still until all endpoints were known to be in use
    /// again, which is after the next time that all were dead.
    fn void(&self) -> Vec<Range<f64>> {
        let missed = self.missed.iter().map(|missed| {
            let mut later = self.deaths.iter().filter(|it| it.start >= missed.end);
            missed.start - PER_TRY..later.next().map_or(f64::INFINITY, |death| death.end)
        });
        let void: Vec<_> = missed.collect();
        let (times, rounds) = (void.len(), self.refusals.iter());
        let spoilt = rounds.filter(|it| void.iter().any(|void| overlap(void, &it.during)));
        let (spoilt, rounds) = (spoilt.count(), self.refusals.len());
        println!("the machine stood still {times} times, in {spoilt} of {rounds} rounds");
        void
    }

    fn refusals(&self, excused: impl Fn(&Range<f64>) -> bool) -> impl Iterator<Item = String> {
        let refused = self.refusals.iter().filter(|it| it.retries > 0.0);
        let refused = refused.filter(move |it| !excused(&it.during));
        refused.map(|it| format!("{} retries over budget while endpoints worked", it.retries))
    }

    /// Requests that failed though they need not have.
    fn failures(&self, excused: impl Fn(&Range<f64>) -> bool) -> impl Iterator<Item = String> {
        let logged: HashMap<&str, &Entry> = self
            .entries
            .iter()
            .map(|entry| (&*entry.id, entry))
            .collect();
        self.seen.outcomes.iter().filter_map(move |outcome| {
            let entry = logged.get(&*outcome.order.id);
            let what = match &outcome.ended {
                Ended::Changed(_) => "a body is not the one that was sent",
                Ended::Unanswered(_) => "no answer",
                _ if outcome.met_death || !failed_before_its_head(outcome) => return None,
                _ if entry.is_some_and(|entry| excused(&entry.during())) => return None,
                _ if outcome.order.is_idempotent() => "an idempotent request failed",
                _ if !entry.is_some_and(|entry| was_sent(entry)) => {
                    "a request failed that was never sent"
                }
                _ => return None,
            };
            Some(format!("{what}: {outcome:?}, {entry:?}"))
        })
    }

    /// Requests that were executed more often than they may be.
    fn executions(&self) -> impl Iterator<Item = String> {
        self.seen.outcomes.iter().filter_map(|outcome| {
            let executions = self.seen.executions.of(&outcome.order.id);
            let executed = executions.len();
            (executed > 1 && !outcome.order.is_idempotent())
                .then(|| format!("executed {executed} times: {outcome:?}, {executions:?}"))
        })
    }

    fn retries(&self) -> Option<String> {
        let lowest = budget::lowest(&self.entries, &self.seen.executions);
        println!("the retry budget was at {lowest:.1} tokens at the lowest");
        (lowest < -UNTOLD).then(|| format!("retries over budget: {lowest} tokens"))
    }
}

fn overlap(a: &Range<f64>, b: &Range<f64>) -> bool {
    a.start <= b.end && b.start <= a.end
}

/// Whether an endpoint may have executed a request that failed.
fn was_sent(entry: &Entry) -> bool {
    let last = entry.attempts.last().and_then(Attempt::failure);
    last.is_some_and(|cause| cause.retry_class() != RetryClass::Unsent)
}

/// An application's own 502 is an answer, where the method does not allow to ask another endpoint.
fn failed_before_its_head(outcome: &Outcome) -> bool {
    let Some(answer) = outcome.ended.answer() else {
        return true;
    };
    match answer.status {
        200 => false,
        502 => answer.endpoint.is_none() || outcome.order.method == Method::GET,
        _ => true,
    }
}
