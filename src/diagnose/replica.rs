//! What one replica tells the one that leads: bounded, the worst first, and only when it matters.
//!
//! Counts change with every request; a report that followed them would be written every two seconds
//! for ever. It is told anew when it would lead to another conclusion, or is by a power of two
//! another; and from time to time in any case, so that whoever leads knows that its author lives.

use std::collections::BTreeMap;

use crate::failure::Cause;
use crate::report::traffic::{LARGEST, ReplicaReport, RouteKey, RouteReport, UpstreamReport};

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
    /// Of these reports; `policies` is the newest version of a policy that began a generation.
    pub fn of(routes: &[RouteReport], upstreams: &[UpstreamReport], policies: &str) -> Self {
        let mut gist = Self {
            upstreams: upstreams.to_vec(),
            policies: policies.to_owned(),
            ..Self::default()
        };
        for route in routes.iter().filter(|it| !it.failures.is_empty()) {
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

/// As much of a report as there is room for: routes that fail, upstreams, then the other routes.
pub fn fit(mut report: ReplicaReport) -> ReplicaReport {
    let routes = std::mem::take(&mut report.routes);
    let upstreams = std::mem::take(&mut report.upstreams);
    let size = |value: serde_json::Result<String>| value.map_or(LARGEST, |it| it.len() + 1);
    let mut room = LARGEST.saturating_sub(size(serde_json::to_string(&report)));
    let mut fits = |size: usize| {
        let fits = size <= room;
        room -= if fits { size } else { 0 };
        fits
    };
    let (failing, well): (Vec<_>, Vec<_>) =
        routes.into_iter().partition(|it| !it.failures.is_empty());
    let all = failing.len() + upstreams.len() + well.len();
    let keep = |route: &RouteReport, fits: &mut dyn FnMut(usize) -> bool| {
        fits(size(serde_json::to_string(route)))
    };
    report.routes = failing
        .into_iter()
        .filter(|it| keep(it, &mut fits))
        .collect();
    let upstreams = upstreams.into_iter();
    report.upstreams = upstreams
        .filter(|it| fits(size(serde_json::to_string(it))))
        .collect();
    report
        .routes
        .extend(well.into_iter().filter(|it| keep(it, &mut fits)));
    let kept = report.routes.len() + report.upstreams.len();
    report.left_out = u32::try_from(all - kept).unwrap_or(u32::MAX);
    report
}

#[cfg(test)]
mod tests;
