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

/// Everything that is known of a run.
pub(crate) struct Evidence {
    pub(crate) seen: Seen,
    pub(crate) entries: Vec<Entry>,
    pub(crate) metrics: Metrics,
    /// When every endpoint was dead, until all were back; in seconds.
    pub(crate) deaths: Vec<Range<f64>>,
}

impl Evidence {
    /// Everything that does not hold.
    pub(crate) fn violations(&self) -> Vec<String> {
        let mut violations = self.seen.violations.clone();
        violations.extend(self.failures());
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
            &self.deaths,
        ));
        if self.metrics.sum("bywash_access_log_dropped_lines_total") > 0.0 {
            violations.push("lines of the access log were dropped".to_owned());
        }
        violations
    }

    /// Requests that failed though they need not have.
    fn failures(&self) -> impl Iterator<Item = String> {
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
