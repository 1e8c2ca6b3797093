//! How requests ended over the last ten minutes: the counters, read every few seconds.
//!
//! Only what changed is kept, so that thousands of quiet routes cost next to nothing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::failure::{Blame, Cause};
use crate::telemetry::metrics::{Metrics, RouteLabels, Traffic};

use super::state::shape::{self, STEP_SECONDS};

/// Steps that are kept.
const STEPS: u64 = 600 / STEP_SECONDS as u64;

/// The last ten minutes.
#[derive(Debug, Default)]
pub struct History(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    step: u64,
    routes: BTreeMap<RouteLabels, Route>,
}

#[derive(Debug, Default)]
struct Route {
    /// The counters at the last step.
    totals: Traffic,
    /// The steps in which anything happened, oldest first.
    changes: VecDeque<Change>,
}

#[derive(Debug)]
struct Change {
    step: u64,
    requests: u64,
    failures: Vec<(Cause, u64)>,
}

impl History {
    /// Takes the counters of one more step. What no longer has any is forgotten.
    pub fn take(&self, traffic: Vec<(RouteLabels, Traffic)>) {
        let mut kept = self.lock();
        kept.step += 1;
        let step = kept.step;
        let mut before = std::mem::take(&mut kept.routes);
        for (labels, totals) in traffic {
            // What was counted before anybody looked belongs to no step.
            let known = before.remove(&labels);
            let mut route = known.unwrap_or_else(|| Route {
                totals: if step == 1 {
                    totals.clone()
                } else {
                    Traffic::default()
                },
                changes: VecDeque::new(),
            });
            route.take(totals, step);
            kept.routes.insert(labels, route);
        }
    }

    /// The last ten minutes of one route.
    pub fn of(&self, labels: &RouteLabels) -> shape::Traffic {
        let kept = self.lock();
        let route = kept.routes.get(labels);
        route
            .map(|route| route.shown(kept.step))
            .unwrap_or_default()
    }

    /// Numbers are only ever added, so that a poisoned lock can be used.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Route {
    fn take(&mut self, totals: Traffic, step: u64) {
        // Counters begin anew where a route was gone in between.
        let requests = totals.requests.saturating_sub(self.totals.requests);
        if requests > 0 {
            let before = |cause| {
                let mut failures = self.totals.failures.iter();
                failures
                    .find(|(known, _)| *known == cause)
                    .map_or(0, |(_, count)| *count)
            };
            let failures = totals.failures.iter().filter(|(cause, _)| is_shown(*cause));
            let failures = failures
                .map(|(cause, count)| (*cause, count.saturating_sub(before(*cause))))
                .filter(|(_, count)| *count > 0)
                .collect();
            self.changes.push_back(Change {
                step,
                requests,
                failures,
            });
        }
        self.totals = totals;
        while self
            .changes
            .front()
            .is_some_and(|it| it.step + STEPS <= step)
        {
            self.changes.pop_front();
        }
    }

    fn shown(&self, now: u64) -> shape::Traffic {
        let mut traffic = shape::Traffic::default();
        let Some(first) = self.changes.front() else {
            return traffic;
        };
        let mut causes: BTreeMap<&str, (&str, u64)> = BTreeMap::new();
        let mut changes = self.changes.iter().peekable();
        for step in first.step..=now {
            let change = changes.next_if(|change| change.step == step);
            let failures = change
                .map(|change| change.failures.as_slice())
                .unwrap_or_default();
            traffic
                .requests
                .push(change.map_or(0, |change| change.requests));
            traffic
                .failed
                .push(failures.iter().map(|(_, count)| count).sum());
            for (cause, count) in failures {
                causes
                    .entry(cause.label())
                    .or_insert((cause.sentence(), 0))
                    .1 += count;
            }
        }
        let causes = causes
            .into_iter()
            .map(|(cause, (sentence, count))| shape::Count {
                cause: cause.to_owned(),
                sentence: sentence.to_owned(),
                count,
            });
        traffic.causes = causes.collect();
        traffic
            .causes
            .sort_by_key(|cause| std::cmp::Reverse(cause.count));
        traffic
    }
}

/// What clients do wrong is no failure of what is served.
fn is_shown(cause: Cause) -> bool {
    cause.blame() != Blame::Client
}

/// Reads the counters every few seconds, for ever.
pub async fn keep(history: Arc<History>, metrics: Arc<Metrics>) {
    let mut ticks = interval(Duration::from_secs(STEP_SECONDS.into()));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        history.take(metrics.traffic());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(requests: u64, refused: u64) -> Vec<(RouteLabels, Traffic)> {
        let failures = vec![
            (Cause::ConnectionRefused, refused),
            (Cause::ClientAborted, 1),
        ];
        let traffic = Traffic {
            requests,
            failures,
            ..Traffic::default()
        };
        vec![(RouteLabels::default(), traffic)]
    }

    fn shown(history: &History) -> shape::Traffic {
        history.of(&RouteLabels::default())
    }

    #[test]
    fn each_step_has_what_was_counted_in_it_and_nothing_from_before() {
        let history = History::default();
        for (requests, refused) in [(100, 9), (110, 9), (110, 9), (115, 12)] {
            history.take(counted(requests, refused));
        }
        let traffic = shown(&history);
        assert_eq!(traffic.requests, [10, 0, 5]);
        assert_eq!(traffic.failed, [0, 0, 3]);
        assert_eq!(traffic.causes.len(), 1);
        assert_eq!(
            (traffic.causes[0].cause.as_str(), traffic.causes[0].count),
            ("connection_refused", 3)
        );
    }

    #[test]
    fn a_route_that_comes_later_counts_from_its_beginning() {
        let history = History::default();
        history.take(Vec::new());
        history.take(counted(3, 3));
        assert_eq!(shown(&history).requests, [3]);
    }

    #[test]
    fn after_ten_minutes_it_is_forgotten() {
        let history = History::default();
        history.take(counted(0, 0));
        for _ in 0..STEPS {
            history.take(counted(7, 7));
        }
        assert_eq!(
            shown(&history).requests.len(),
            usize::try_from(STEPS).unwrap()
        );
        history.take(counted(7, 7));
        assert_eq!(shown(&history), shape::Traffic::default());
    }

    #[test]
    fn a_route_that_is_gone_is_forgotten() {
        let history = History::default();
        history.take(counted(0, 0));
        history.take(counted(7, 7));
        history.take(Vec::new());
        assert_eq!(shown(&history), shape::Traffic::default());
    }
}
