//! The flight recorder: the last failures of each route, with all their attempts.
//!
//! Whoever looks for the reason of a failure comes with a correlation id, or with an Ingress, minutes
//! after it happened. So the last of each route are kept in memory, whatever becomes of logs and
//! traces. Requests that got past a failing endpoint have places of their own, or a burst of them would
//! drive out those that did not.
//!
//! Memory is bounded: at most [`ROUTES`] routes with [`FAILED`] and [`HEALED`] requests each, and at most
//! [`BYTES`] for all together; the route that has not failed for longest goes first.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::FixedState;
use serde::{Serialize, Serializer};

use crate::report::outcome::Outcome;
use crate::routing::snapshot::{IngressName, ServicePort};

/// Routes of which failures are kept.
pub const ROUTES: usize = 512;

/// Failed requests of each route.
pub const FAILED: usize = 16;

/// Requests of each route of which only attempts failed.
pub const HEALED: usize = 4;

/// In all, as far as it can be counted.
pub const BYTES: usize = 16 * 1024 * 1024;

/// What tells routes apart.
type Route = (Option<IngressName>, Option<ServicePort>);

/// The last failures.
#[derive(Debug, Default)]
pub struct Recorder(Mutex<Recorded>);

#[derive(Debug, Default)]
struct Recorded {
    routes: HashMap<Route, Failures, FixedState>,
    /// The number of the last record.
    last: u64,
    bytes: usize,
}

/// Those of one route.
#[derive(Debug, Default)]
struct Failures {
    /// From the oldest to the newest.
    failed: VecDeque<Arc<Outcome>>,
    healed: VecDeque<Arc<Outcome>>,
    /// The number of its last record.
    last: u64,
}

/// Which failures are asked for; absent: whichever.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// Of Ingresses in this namespace.
    pub namespace: Option<&'a str>,
    /// Of Ingresses of this name.
    pub ingress: Option<&'a str>,
    /// Of the request with this correlation id.
    pub id: Option<&'a str>,
}

/// The failures of one route.
#[derive(Clone, Debug, Serialize)]
pub struct RouteFailures {
    /// The namespace of the Ingress, if there was one.
    pub ingress_namespace: Option<String>,
    /// The Ingress.
    pub ingress: Option<String>,
    /// The upstream, `namespace/service:port`, if the route has one.
    pub upstream: Option<String>,
    /// The requests that failed, the newest first.
    #[serde(serialize_with = "each")]
    pub failed: Vec<Arc<Outcome>>,
    /// Those of which only attempts failed, the newest first.
    #[serde(serialize_with = "each")]
    pub healed: Vec<Arc<Outcome>>,
}

impl Recorder {
    /// Keeps an outcome.
    pub fn record(&self, outcome: &Arc<Outcome>) {
        self.lock().record(outcome);
    }

    /// What is kept of that, the routes that failed last first.
    pub fn find(&self, wanted: &Wanted<'_>) -> Vec<RouteFailures> {
        let recorded = self.lock();
        let routes = recorded.routes.iter();
        let mut found: Vec<_> = routes
            .filter(|(route, _)| wanted.has_route(route))
            .map(|(route, failures)| (failures.last, failures.shown(route, wanted)))
            .filter(|(_, shown)| !shown.failed.is_empty() || !shown.healed.is_empty())
            .collect();
        drop(recorded);
        found.sort_by_key(|(last, _)| std::cmp::Reverse(*last));
        found.into_iter().map(|(_, shown)| shown).collect()
    }

    /// Lists are consistent between statements, so that a poisoned lock can be used.
    fn lock(&self) -> MutexGuard<'_, Recorded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recorded {
    fn record(&mut self, outcome: &Arc<Outcome>) {
        self.last += 1;
        let route = (outcome.ingress.clone(), outcome.upstream.clone());
        let failures = self.routes.entry(route).or_default();
        failures.last = self.last;
        let (list, most) = if outcome.has_failed() {
            (&mut failures.failed, FAILED)
        } else {
            (&mut failures.healed, HEALED)
        };
        let oldest = (list.len() >= most).then(|| list.pop_front()).flatten();
        list.push_back(Arc::clone(outcome));
        self.bytes += outcome.size();
        self.bytes -= oldest.map_or(0, |oldest| oldest.size());
        while self.routes.len() > ROUTES || self.bytes > BYTES && self.routes.len() > 1 {
            self.forget_one();
        }
    }

    /// Forgets the route that has not failed for longest.
    fn forget_one(&mut self) {
        let oldest = self.routes.iter().min_by_key(|(_, failures)| failures.last);
        let oldest = oldest.map(|(route, _)| route.clone());
        if let Some(failures) = oldest.and_then(|route| self.routes.remove(&route)) {
            self.bytes -= failures.all().map(|outcome| outcome.size()).sum::<usize>();
        }
    }
}

impl Failures {
    fn all(&self) -> impl Iterator<Item = &Arc<Outcome>> {
        self.failed.iter().chain(&self.healed)
    }

    fn shown(&self, (ingress, upstream): &Route, wanted: &Wanted<'_>) -> RouteFailures {
        let of = |list: &VecDeque<Arc<Outcome>>| {
            let wanted = list.iter().rev().filter(|it| wanted.has_id(it));
            wanted.cloned().collect()
        };
        let ingress = ingress.as_ref();
        RouteFailures {
            ingress_namespace: ingress.map(|ingress| ingress.namespace.to_string()),
            ingress: ingress.map(|ingress| ingress.name.to_string()),
            upstream: upstream.as_ref().map(ToString::to_string),
            failed: of(&self.failed),
            healed: of(&self.healed),
        }
    }
}

impl Wanted<'_> {
    fn has_route(&self, (ingress, _): &Route) -> bool {
        let fits = |wanted: Option<&str>, part: fn(&IngressName) -> &str| match (wanted, ingress) {
            (None, _) => true,
            (Some(wanted), Some(ingress)) => part(ingress) == wanted,
            (Some(_), None) => false,
        };
        fits(self.namespace, |it| &it.namespace) && fits(self.ingress, |it| &it.name)
    }

    fn has_id(&self, outcome: &Outcome) -> bool {
        self.id.is_none_or(|id| &*outcome.request_id == id)
    }
}

fn each<S: Serializer>(outcomes: &[Arc<Outcome>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(outcomes.iter().map(|outcome| &**outcome))
}

#[cfg(test)]
mod tests;
