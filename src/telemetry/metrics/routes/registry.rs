//! Which routes there are, and the sums of their series.
//!
//! Once nobody but the registry holds a route, the registry lets it go, so that the series of a removed
//! Ingress end with the last request that knew it, and a long-lived process does not collect those of
//! every Ingress that ever was.
//!
//! Routes that differ in their host only are one series, and a counter must not go backwards: what a
//! removed host has counted stays in the series for as long as another route is part of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::{RouteLabels, RouteMetrics, Totals, Traffic};

/// All routes that somebody still holds.
#[derive(Debug)]
pub(in crate::telemetry::metrics) struct Routes {
    workers: usize,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Held here too: what a route counts last is not lost with it.
    routes: BTreeMap<RouteLabels, Arc<RouteMetrics>>,
    /// What routes have counted that are gone, by the labels of their series.
    retired: BTreeMap<RouteLabels, Totals>,
}

impl Known {
    /// Lets routes go that nobody else holds any more. What they have counted is kept where another route
    /// is part of the same series.
    fn retire(&mut self) {
        let Self { routes, retired } = self;
        routes.retain(|labels, route| {
            // Nobody can hold it again meanwhile: handles are given out under the same lock.
            let Some(gone) = Arc::get_mut(route) else {
                return true;
            };
            let series = retired.entry(labels.of_series()).or_default();
            series.add(&gone.totals());
            false
        });
        retired.retain(|series, _| {
            let next = routes.range(series..).next();
            next.is_some_and(|(labels, _)| labels.is_shown_as(series))
        });
    }
}

impl Routes {
    pub(in crate::telemetry::metrics) fn new(workers: usize) -> Self {
        Self {
            workers,
            known: Mutex::default(),
        }
    }

    pub(in crate::telemetry::metrics) fn resolve(&self, labels: &RouteLabels) -> Arc<RouteMetrics> {
        let mut known = self.known();
        if let Some(route) = known.routes.get(labels) {
            return Arc::clone(route);
        }
        let route = Arc::new(RouteMetrics {
            labels: labels.clone(),
            shards: (0..self.workers).map(|_| OnceLock::new()).collect(),
        });
        known.routes.insert(labels.clone(), Arc::clone(&route));
        route
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those still held, in the order of their labels, and what others of their series had counted;
    /// forgets the others. While these are held, no count moves from the former to the latter.
    fn live(&self) -> (Vec<Arc<RouteMetrics>>, BTreeMap<RouteLabels, Totals>) {
        let mut known = self.known();
        known.retire();
        let routes = known.routes.values().map(Arc::clone).collect();
        (routes, known.retired.clone())
    }

    /// The sums of each series, by the first of its routes.
    pub(in crate::telemetry::metrics) fn totals(&self) -> Vec<(Arc<RouteMetrics>, Totals)> {
        let (routes, mut retired) = self.live();
        let mut sums: Vec<(Arc<RouteMetrics>, Totals)> = Vec::new();
        for route in routes {
            let totals = route.totals();
            match sums.last_mut() {
                Some((first, sum)) if first.labels.is_shown_as(&route.labels) => sum.add(&totals),
                _ => {
                    let before = retired.remove(&route.labels.of_series());
                    let mut sum = before.unwrap_or_default();
                    sum.add(&totals);
                    sums.push((route, sum));
                }
            }
        }
        sums
    }

    /// How the requests of each route that is still held ended so far.
    pub(in crate::telemetry::metrics) fn traffic(&self) -> Vec<(RouteLabels, Traffic)> {
        let mut known = self.known();
        known.retire();
        let live: Vec<_> = known.routes.values().map(Arc::clone).collect();
        drop(known);
        live.iter()
            .map(|route| (route.labels.clone(), route.traffic()))
            .collect()
    }
}
