//! What retries the budget granted: the access log, played through a bucket like the product's.
//!
//! A request brings in a fifth of a token, a second up to ten; what is not used is forgotten over ten
//! seconds, down to the hundred that a quiet upstream has. A retry of a request that was sent takes
//! one. The log tells when a request began and when its attempts failed, but not how long it waited
//! between attempts, so that some retries are booked a moment early.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bywash::failure::RetryClass;

use crate::ledger::{Execution, Executions};
use crate::log::{Attempt, Entry};

const DEPOSIT: f64 = 0.2;
const SETTLED: f64 = 100.0;
const WINDOW: f64 = 10.0;

/// The lowest that the bucket ever was, in tokens.
pub(crate) fn lowest(entries: &[Entry], executions: &Executions) -> f64 {
    let mut changes = Vec::new();
    for entry in entries {
        changes.push((entry.began(), DEPOSIT));
        let retries = retries(entry, executions.of(&entry.id));
        changes.extend(retries.into_iter().map(|time| (time, -1.0)));
    }
    changes.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let (mut level, mut lowest, mut last) = (SETTLED, SETTLED, None);
    for (time, change) in changes {
        let age = time - last.replace(time).unwrap_or(time);
        level = SETTLED + (level - SETTLED) * (-age / WINDOW).exp() + change;
        lowest = level.min(lowest);
    }
    lowest
}

/// When a request was tried again that may have been executed.
fn retries(entry: &Entry, executions: &[Execution]) -> Vec<f64> {
    let mut stale: BTreeMap<SocketAddr, usize> = BTreeMap::new();
    for attempt in &entry.attempts {
        stale
            .entry(attempt.endpoint)
            .or_insert_with(|| stale_at(attempt.endpoint, entry, executions));
    }
    let costs = |(time, failed, next): (f64, &Attempt, &Attempt)| {
        let cause = failed.failure()?;
        if cause.retry_class() == RetryClass::Unsent {
            return None;
        }
        let left = stale.get_mut(&failed.endpoint)?;
        if failed.closed() && failed.endpoint == next.endpoint && *left > 0 {
            *left -= 1;
            return None;
        }
        Some(time)
    };
    entry.followed().filter_map(costs).collect()
}

/// How many attempts there may have been made on connections that had served before: to open another
/// one is no retry. Of a request that was not read to its end nobody knows.
fn stale_at(endpoint: SocketAddr, entry: &Entry, executions: &[Execution]) -> usize {
    let attempts = entry.attempts.iter().filter(|it| it.endpoint == endpoint);
    let here = executions.iter().filter(|it| it.endpoint == endpoint);
    let fresh = here.filter(|it| !it.reused).count();
    attempts.count().saturating_sub(fresh)
}
