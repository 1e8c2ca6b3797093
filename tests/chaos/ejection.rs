//! Attempts on endpoints that fail: those until the ejection, those in flight then, and the tries of
//! the way back.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;

use bywash::failure::{Blame, Cause};

use crate::clients::CLIENTS;
use crate::ledger::{Execution, Executions};
use crate::log::{Attempt, Entry, named};

/// Failures in a row to connect, and of any kind, after which an endpoint is ejected.
const CONNECT_FAILURES: usize = 3;
const FAILURES: usize = 5;

/// The shortest ejection, in seconds.
const EJECTION: f64 = 4.0;

/// An attempt that began within this time after an ejection may have been on its way, in seconds: the
/// log is exact to a millisecond, and a busy machine lets a thread wait.
const ON_ITS_WAY: f64 = 0.1;

/// An attempt on an endpoint.
struct Try {
    began: f64,
    ended: f64,
    went: Went,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Went {
    Well,
    /// Not connected.
    NotAtAll,
    /// Connected, without a valid response.
    Wrong,
}

/// What does not follow the rule, outside the times in which every endpoint was dead.
pub(crate) fn violations(
    entries: &[Entry],
    executions: &Executions,
    deaths: &[Range<f64>],
) -> Vec<String> {
    let mut tries = BTreeMap::<SocketAddr, Vec<Try>>::new();
    let all = entries.iter().flat_map(|entry| tries_of(entry, executions));
    for (endpoint, attempt) in all {
        tries.entry(endpoint).or_default().push(attempt);
    }
    let mut violations = Vec::new();
    for (endpoint, mut tries) in tries {
        tries.sort_by(|a, b| a.ended.total_cmp(&b.ended));
        let alive = |it: &Try| !deaths.iter().any(|death| death.contains(&it.ended));
        let failed = |it: &Try| it.went != Went::Well && alive(it);
        for row in tries.chunk_by(|a, b| failed(a) && failed(b)) {
            if failed(&row[0])
                && let Some(excess) = excess(row)
            {
                violations.push(format!("{endpoint}: {excess}"));
            }
        }
    }
    violations
}

/// What is wrong with failures in a row.
fn excess(row: &[Try]) -> Option<String> {
    let rule = match row.iter().all(|it| it.went == Went::NotAtAll) {
        true => CONNECT_FAILURES,
        false => FAILURES,
    };
    let ejected = row.get(rule - 1)?.ended;
    let lasted = row.last()?.ended - row[0].ended;
    // Each try is followed by an ejection.
    let ways_back = (1..)
        .take_while(|n| f64::from(*n) * EJECTION <= lasted)
        .count()
        + 1;
    let later = row[rule..]
        .iter()
        .filter(|it| it.began > ejected + ON_ITS_WAY);
    let later = later.count();
    let all = row.len();
    (later > ways_back || all > rule + CLIENTS + ways_back).then(|| {
        format!("{all} attempts failed in a row within {lasted:.1} s, {later} after the ejection")
    })
}

/// The attempts of a request, as far as they say something of an endpoint.
fn tries_of(entry: &Entry, executions: &Executions) -> Vec<(SocketAddr, Try)> {
    let mut tries = Vec::new();
    let mut began = entry.began();
    for (index, (ended, attempt)) in entry.timed().enumerate() {
        let next = entry.attempts.get(index + 1);
        let stale = attempt.closed() && may_be_stale(attempt, executions.of(&entry.id));
        let (cause, ended) = match (&attempt.cause, next) {
            (None, None) => (&entry.cause, entry.ended()),
            (cause, None) if attempt.breaks_off() => (cause, entry.ended()),
            (cause, _) => (cause, ended),
        };
        if let Some(went) = went(cause.as_deref())
            && !stale
        {
            tries.push((attempt.endpoint, Try { began, ended, went }));
        }
        began = ended;
    }
    tries
}

/// Whether its connection may have served before. Of a request that was not even read nobody knows.
fn may_be_stale(attempt: &Attempt, executions: &[Execution]) -> bool {
    let mut here = executions
        .iter()
        .filter(|it| it.endpoint == attempt.endpoint)
        .peekable();
    here.peek().is_none() || here.any(|execution| execution.reused)
}

fn went(cause: Option<&str>) -> Option<Went> {
    let Some(label) = cause else {
        return Some(Went::Well);
    };
    let cause = named(label)?;
    match cause.blame() {
        _ if matches!(cause, Cause::RetriedStatus(_)) => Some(Went::Well),
        Blame::Endpoint => Some(Went::Wrong),
        Blame::Connectivity => Some(Went::NotAtAll),
        Blame::Configuration | Blame::Client | Blame::Gateway => None,
    }
}
