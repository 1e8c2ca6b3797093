//! The last minute of every route, as one replica saw it.
//!
//! Counts come from counters that are read once a second, so that none is ever lost; what is known of
//! single requests comes from a queue that may drop, and only illustrates.

use std::collections::{BTreeMap, VecDeque};

use crate::failure::Cause;
use crate::report::facts::Sample;
use crate::report::outcome::Outcome;
use crate::report::traffic::{FailureReport, MINUTE, QUIET, RouteKey, RouteReport};

/// Endpoints that are remembered for each cause of a route, and failures of routes that are new.
const REMEMBERED: usize = 16;

/// Endpoints that are named.
const NAMED: usize = 3;

/// The slots of a window: one a second.
const SLOTS: usize = MINUTE as usize;

/// How the requests of a route ended since it is counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// All of them.
    pub requests: u64,
    /// Those that failed.
    pub failures: Vec<(Cause, u64)>,
    /// Those that were sent to what stands in.
    pub fallbacks: u64,
    /// Those that were answered without anybody being asked: they say nothing of what is reported here.
    pub unasked: u64,
}

/// The last minute of all routes.
#[derive(Debug, Default)]
pub struct Windows {
    routes: BTreeMap<RouteKey, Window>,
    /// Of routes that are not counted yet.
    early: Vec<Outcome>,
}

/// The last minute of one route.
#[derive(Debug)]
struct Window {
    last: Reading,
    /// By second.
    requests: Box<[u32; SLOTS]>,
    /// The second up to which that is filled.
    filled: u64,
    failures: VecDeque<(u64, Cause, u64)>,
    fallbacks: VecDeque<(u64, u64)>,
    last_request: u64,
    causes: BTreeMap<Cause, Illustration>,
}

/// What is known of the failures of one cause.
#[derive(Debug, Default)]
struct Illustration {
    since: u64,
    last: u64,
    /// One of each endpoint, with when it was.
    samples: Vec<(u64, Sample)>,
    request_id: Option<String>,
}

impl Windows {
    /// Takes the counters as they are now; routes that are not among them are forgotten.
    pub fn count(&mut self, now: u64, readings: impl IntoIterator<Item = (RouteKey, Reading)>) {
        let mut before = std::mem::take(&mut self.routes);
        for (route, reading) in readings {
            let mut window = before.remove(&route).unwrap_or_else(|| Window::new(now));
            window.count(now, reading);
            self.routes.insert(route, window);
        }
        for outcome in std::mem::take(&mut self.early) {
            self.take(now, &outcome);
        }
    }

    /// Takes a request that failed.
    pub fn illustrate(&mut self, now: u64, outcome: &Outcome) {
        if !self.take(now, outcome) && self.early.len() < REMEMBERED {
            self.early.push(outcome.clone());
        }
    }

    /// Whether it belongs to a route that is counted, or to none at all.
    fn take(&mut self, now: u64, outcome: &Outcome) -> bool {
        let (Some(cause), Some(ingress)) = (outcome.cause, &outcome.ingress) else {
            return true;
        };
        let upstream = outcome.upstream.as_ref().map(ToString::to_string);
        let upstream = upstream.unwrap_or_default();
        let first = RouteKey {
            namespace: ingress.namespace.clone(),
            ingress: ingress.name.clone(),
            upstream: upstream.as_str().into(),
            host: "".into(),
        };
        let same = |it: &RouteKey| {
            (&it.namespace, &it.ingress, &it.upstream)
                == (&first.namespace, &first.ingress, &first.upstream)
        };
        let routes = self.routes.range_mut(first.clone()..);
        let routes = routes.take_while(|(route, _)| same(route));
        let ranked = routes
            .filter_map(|(route, window)| Some((precedence(&route.host, &outcome.host)?, window)));
        let best = ranked.min_by_key(|(rank, _)| *rank);
        best.is_some_and(|(_, window)| {
            let known = window.causes.entry(counted(cause)).or_default();
            known.take(now, outcome);
            true
        })
    }

    /// All routes, with or without requests.
    pub fn routes(&self) -> impl Iterator<Item = &RouteKey> {
        self.routes.keys()
    }

    /// What is told of the routes that had requests, the worst first.
    pub fn report(&self, now: u64) -> Vec<RouteReport> {
        let reports = self.routes.iter();
        let reports = reports.filter_map(|(route, window)| window.report(now, route));
        let mut reports: Vec<RouteReport> = reports.collect();
        let failures = |it: &RouteReport| it.failures.iter().map(|it| it.count).sum::<u64>();
        reports.sort_by_cached_key(|it| std::cmp::Reverse((failures(it), it.requests)));
        reports
    }
}

impl Window {
    fn new(now: u64) -> Self {
        Self {
            last: Reading::default(),
            requests: Box::new([0; SLOTS]),
            filled: now.saturating_sub(1),
            failures: VecDeque::new(),
            fallbacks: VecDeque::new(),
            last_request: 0,
            causes: BTreeMap::new(),
        }
    }

    fn count(&mut self, now: u64, reading: Reading) {
        for second in (self.filled + 1..=now).take(SLOTS) {
            self.requests[slot(second)] = 0;
        }
        self.filled = self.filled.max(now);
        // A route that went and came back begins anew.
        if reading.requests < self.last.requests {
            self.last = Reading::default();
        }
        let unasked = reading.unasked.saturating_sub(self.last.unasked);
        let more = (reading.requests - self.last.requests).saturating_sub(unasked);
        if more > 0 {
            let counted = &mut self.requests[slot(now)];
            *counted = counted.saturating_add(u32::try_from(more).unwrap_or(u32::MAX));
            self.last_request = now;
        }
        for (cause, count) in &reading.failures {
            let known = self.last.failures.iter().find(|(it, _)| it == cause);
            let more = count.saturating_sub(known.map_or(0, |(_, count)| *count));
            if more > 0 {
                self.failures.push_back((now, *cause, more));
                self.causes.entry(*cause).or_default().seen(now);
            }
        }
        let more = reading.fallbacks.saturating_sub(self.last.fallbacks);
        if more > 0 {
            self.fallbacks.push_back((now, more));
        }
        self.last = reading;
        let over = |second: &u64| *second + MINUTE <= now;
        while self.failures.front().is_some_and(|(it, ..)| over(it)) {
            self.failures.pop_front();
        }
        while self.fallbacks.front().is_some_and(|(it, _)| over(it)) {
            self.fallbacks.pop_front();
        }
        self.causes.retain(|_, it| !over(&it.last));
    }

    /// Absent where there was no request in the last minute.
    fn report(&self, now: u64, route: &RouteKey) -> Option<RouteReport> {
        let within = |seconds: u64| {
            let seconds = (now + 1).saturating_sub(seconds)..=now.min(self.filled);
            seconds.map(|it| u64::from(self.requests[slot(it)])).sum()
        };
        let requests: u64 = within(MINUTE);
        if requests == 0 && self.failures.is_empty() {
            return None;
        }
        let recent: u64 = within(QUIET);
        let is_recent = |second: u64| second + QUIET > now;
        let mut counts: BTreeMap<Cause, (u64, u64)> = BTreeMap::new();
        for (second, cause, count) in &self.failures {
            let (all, recent) = counts.entry(*cause).or_default();
            *all += count;
            *recent += if is_recent(*second) { *count } else { 0 };
        }
        let failed: u64 = counts.values().map(|(_, recent)| recent).sum();
        let mut failures: Vec<FailureReport> = counts
            .into_iter()
            .filter(|(cause, _)| cause.trouble().is_some())
            .map(|(cause, counts)| self.failure(now, cause, counts))
            .collect();
        failures.sort_by_key(|it| std::cmp::Reverse(it.count));
        Some(RouteReport {
            route: route.clone(),
            requests,
            recent,
            successes: recent.saturating_sub(failed),
            fallbacks: self.fallbacks.iter().map(|(_, count)| count).sum(),
            last_request: self.last_request,
            failures,
        })
    }

    fn failure(&self, now: u64, cause: Cause, (count, recent): (u64, u64)) -> FailureReport {
        let mut report = FailureReport {
            cause: cause.label().to_owned(),
            count,
            recent,
            ..FailureReport::default()
        };
        let Some(known) = self.causes.get(&cause) else {
            return report;
        };
        (report.since, report.last) = (known.since, known.last);
        report.request_id.clone_from(&known.request_id);
        let samples = known.samples.iter();
        let samples: Vec<_> = samples.filter(|(at, _)| at + MINUTE > now).collect();
        report.more_endpoints = samples.len().saturating_sub(NAMED) as u64;
        let named = samples.into_iter().rev().take(NAMED);
        report.samples = named.map(|(_, sample)| sample.clone()).collect();
        report
    }
}

impl Illustration {
    fn seen(&mut self, now: u64) {
        if self.last + MINUTE <= now {
            self.since = now;
        }
        self.last = now;
    }

    fn take(&mut self, now: u64, outcome: &Outcome) {
        self.seen(now);
        self.request_id = Some(outcome.request_id.to_string());
        let wanted = outcome.cause.map(counted);
        let attempts = outcome.attempts.iter();
        // What stands in has Pods of its own, which say nothing of the Service's.
        let own = attempts.filter(|it| !it.fallback);
        for attempt in own.filter(|it| it.cause.map(counted) == wanted) {
            let sample = Sample::from(attempt);
            self.samples
                .retain(|(_, it)| it.endpoint != sample.endpoint);
            if self.samples.len() == REMEMBERED {
                self.samples.remove(0);
            }
            self.samples.push((now, sample));
        }
    }
}

/// As counters tell it: they have one for each label, whatever a cause carries.
fn counted(cause: Cause) -> Cause {
    Cause::labelled(cause.label()).unwrap_or(cause)
}

fn slot(second: u64) -> usize {
    usize::try_from(second % MINUTE).unwrap_or(0)
}

/// How well the host of a rule fits the host of a request, best first.
fn precedence(rule: &str, host: &str) -> Option<u8> {
    match rule.strip_prefix("*.") {
        _ if rule == host => Some(0),
        Some(parent) if host.split_once('.').is_some_and(|(_, it)| it == parent) => Some(1),
        _ => (rule == "*").then_some(2),
    }
}

#[cfg(test)]
mod tests;
