//! What one replica tells the one that leads: bounded, the worst first, and only when it matters.
//!
//! Counts change with every request; a report that followed them would be written every two seconds
//! for ever. It is told anew when it would lead to another conclusion, or is by a power of two
//! another; and from time to time in any case, so that whoever leads knows that its author lives.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::failure::Cause;
use crate::report::traffic::{
    LARGEST, OverloadReport, ReplicaReport, RouteKey, RouteReport, UpstreamReport,
};

/// The least seconds between two reports.
pub const APART: u64 = 2;

/// The most seconds between two reports.
pub const IDLE: u64 = 60;

/// After so many seconds without a change a report counts no more.
pub const STALE: u64 = 150;

/// What matters of a report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gist {
    /// How many, and whether one of them is known.
    failures: BTreeMap<(RouteKey, Cause), (u32, bool)>,
    /// Which routes with failures have successes of late, and how many.
    recovering: BTreeMap<RouteKey, u32>,
    upstreams: Vec<UpstreamReport>,
    overloads: Vec<OverloadReport>,
    /// Those that take much longer to answer than before.
    slower: Vec<String>,
    /// The newest version of a policy that began a generation.
    policies: String,
}

/// When to tell.
#[derive(Debug, Default)]
pub struct Teller {
    told: Option<(u64, Gist)>,
}

impl Teller {
    /// Whether it is time to tell.
    pub fn is_due(&self, now: u64, gist: &Gist) -> bool {
        match &self.told {
            None => true,
            Some((at, told)) if told == gist => now >= at + IDLE,
            Some((at, _)) => now >= at + APART,
        }
    }

    /// It was told.
    pub fn told(&mut self, now: u64, gist: Gist) {
        self.told = Some((now, gist));
    }
}

impl Gist {
    /// Of a report; `policies` is the newest version of a policy that began a generation.
    pub fn of(report: &ReplicaReport, policies: &str) -> Self {
        let mut gist = Self {
            upstreams: report.upstreams.clone(),
            overloads: report.overloads.clone(),
            slower: slower(report),
            policies: policies.to_owned(),
            ..Self::default()
        };
        for route in report.routes.iter().filter(|it| !it.failures.is_empty()) {
            let mut failed = 0;
            for failure in &route.failures {
                failed += failure.recent;
                if let Some(cause) = Cause::labelled(&failure.cause) {
                    let key = (route.route.clone(), cause);
                    let known = failure.request_id.is_some();
                    gist.failures.insert(key, (magnitude(failure.count), known));
                }
            }
            let recovers = route.successes > 0 && failed * 200 < route.recent;
            let key = route.route.clone();
            gist.recovering
                .insert(key, u32::from(recovers) + 2 * part(route));
        }
        gist
    }
}

fn slower(report: &ReplicaReport) -> Vec<String> {
    let latencies = report.latencies.iter();
    let risen = latencies.filter(|it| it.latency().has_risen());
    risen.map(|it| it.upstream.clone()).collect()
}

/// How much of the minute's requests failed, as far as thresholds go.
fn part(route: &RouteReport) -> u32 {
    let failures: u64 = route.failures.iter().map(|it| it.count).sum();
    match failures * 100 {
        _ if route.requests < 20 => 2,
        percent => u32::from(percent >= route.requests),
    }
}

fn magnitude(count: u64) -> u32 {
    u64::BITS - count.leading_zeros()
}

/// As much of a report as there is room for: routes that fail, upstreams, those that turn requests away, how
/// long answers take, then the other routes.
pub fn fit(mut report: ReplicaReport) -> ReplicaReport {
    let routes = std::mem::take(&mut report.routes);
    let upstreams = std::mem::take(&mut report.upstreams);
    let overloads = std::mem::take(&mut report.overloads);
    let latencies = std::mem::take(&mut report.latencies);
    let (failing, well): (Vec<_>, Vec<_>) =
        routes.into_iter().partition(|it| !it.failures.is_empty());
    let mut room = Room::beside(&report);
    report.routes = room.keep(failing);
    report.upstreams = room.keep(upstreams);
    report.overloads = room.keep(overloads);
    report.latencies = room.keep(latencies);
    report.routes.extend(room.keep(well));
    report.left_out = u32::try_from(room.left_out).unwrap_or(u32::MAX);
    report
}

/// What there is of it, in bytes.
struct Room {
    left: usize,
    /// For how many there was none.
    left_out: usize,
}

impl Room {
    fn beside(report: &ReplicaReport) -> Self {
        Self {
            left: LARGEST.saturating_sub(size(report)),
            left_out: 0,
        }
    }

    /// Those for which there is room.
    fn keep<T: Serialize>(&mut self, all: Vec<T>) -> Vec<T> {
        let fits = |it: &T| {
            let size = size(it);
            let fits = size <= self.left;
            self.left -= if fits { size } else { 0 };
            self.left_out += usize::from(!fits);
            fits
        };
        all.into_iter().filter(fits).collect()
    }
}

/// As it is written, with what parts it from the next.
fn size(value: &impl Serialize) -> usize {
    serde_json::to_string(value).map_or(LARGEST, |it| it.len() + 1)
}

#[cfg(test)]
mod tests;
