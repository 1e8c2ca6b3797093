//! The lock-free state of an upstream under every interleaving.
//!
//! The files are included with loom's atomics in place of the standard ones, so that plain `cargo
//! test` runs this and no `cfg` reaches the program's dependencies.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    dead_code,
    unreachable_pub,
    reason = "a test fails by panicking, and uses a part of what it includes"
)]

use bywash::routing;

#[path = "../src/upstream/budget.rs"]
mod budget;
#[path = "../src/upstream/connect_time.rs"]
mod connect_time;
#[path = "../src/upstream/count.rs"]
mod count;
#[path = "../src/upstream/ejection.rs"]
mod ejection;
#[path = "../src/upstream/idling.rs"]
mod idling;
#[path = "../src/upstream/latency.rs"]
mod latency;
#[path = "../src/upstream/phantom.rs"]
mod phantom;
#[path = "../src/upstream/places.rs"]
mod places;
#[path = "../src/upstream/standing.rs"]
mod standing;
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
}
#[path = "../src/upstream/window.rs"]
mod window;

use std::time::{Duration, Instant};

use loom::sync::Arc;
use loom::thread;

use budget::Budget;
use connect_time::ConnectTime;
use count::Count;
use ejection::Fault;
use idling::Idling;
use latency::Latency;
use phantom::PhantomLoad;
use places::Places;
use routing::policy::RetryBudget;
use routing::policy::upstream::OutlierDetection;
use standing::Standing;
use window::Window;

/// Runs both at once; how many of them said yes.
fn both<T: Send + Sync + 'static>(
    shared: &Arc<T>,
    run: [fn(&T, Instant) -> bool; 2],
    now: Instant,
) -> usize {
    let handles = run.map(|run| {
        let shared = Arc::clone(shared);
        thread::spawn(move || run(&shared, now))
    });
    let said = handles.into_iter().map(|handle| handle.join().unwrap());
    said.filter(|yes| *yes).count()
}

fn rules() -> OutlierDetection {
    OutlierDetection::default()
}

fn failed(standing: &Standing) -> bool {
    standing.failed(Fault::Connectivity, &rules())
}

#[test]
fn an_endpoint_is_ejected_once() {
    let start = Instant::now();
    loom::model(move || {
        let standing = Arc::new(Standing::new(start));
        let eject = |standing: &Standing, now| standing.eject(&rules().ejection, now, 0.5);
        assert_eq!(both(&standing, [eject, eject], start), 1);
    });
}

#[test]
fn no_failure_is_lost() {
    let start = Instant::now();
    loom::model(move || {
        let standing = Arc::new(Standing::new(start));
        failed(&standing);
        let fail = |standing: &Standing, _| failed(standing);
        assert_eq!(both(&standing, [fail, fail], start), 1);
    });
}

#[test]
fn a_success_beside_a_failure_leaves_one_failure_or_none() {
    let start = Instant::now();
    loom::model(move || {
        let standing = Arc::new(Standing::new(start));
        failed(&standing);
        failed(&standing);
        let fail = |standing: &Standing, _| failed(standing);
        let succeed = |standing: &Standing, _| {
            standing.succeeded();
            false
        };
        both(&standing, [fail, succeed], start);
        let state = standing.state();
        assert!(
            state == ejection::State::NEW
                || state == ejection::State::NEW.failed(Fault::Connectivity)
        );
    });
}

#[test]
fn one_worker_opens_the_connection_and_one_request_is_the_trial() {
    let start = Instant::now();
    loom::model(move || {
        let standing = Arc::new(Standing::new(start));
        standing.eject(&rules().ejection, start, 0.5);
        let over = start + Duration::from_secs(9);
        let connect = |standing: &Standing, now| standing.connect(now);
        assert_eq!(both(&standing, [connect, connect], over), 1);
        standing.connected(over);
        let try_it = |standing: &Standing, now| standing.start_trial(true, now);
        assert_eq!(both(&standing, [try_it, try_it], over), 1);
    });
}

#[test]
fn a_late_failure_does_not_disturb_the_trial() {
    let start = Instant::now();
    loom::model(move || {
        let standing = Arc::new(Standing::new(start));
        standing.eject(&rules().ejection, start, 0.5);
        let over = start + Duration::from_secs(9);
        assert!(standing.connect(over));
        standing.connected(over);
        assert!(standing.start_trial(true, over));
        assert!(!standing.trial_succeeded(over));
        assert!(standing.start_trial(true, over));
        let late = |standing: &Standing, _| failed(standing);
        let succeed = |standing: &Standing, now| standing.trial_succeeded(now);
        assert_eq!(both(&standing, [late, succeed], over), 1);
        assert!(standing.is_closed());
    });
}

#[test]
fn the_last_token_is_taken_once() {
    let start = Instant::now();
    loom::model(move || {
        let budget = Arc::new(Budget::new(start));
        let rules = RetryBudget {
            percent: 100,
            min_per_second: 0,
        };
        budget.deposit(&rules, start);
        let take = |budget: &Budget, now| {
            budget.withdraw(
                &RetryBudget {
                    percent: 100,
                    min_per_second: 0,
                },
                now,
            )
        };
        assert_eq!(both(&budget, [take, take], start), 1);
    });
}

#[test]
fn what_a_request_brings_in_is_not_lost_beside_a_retry() {
    let start = Instant::now();
    loom::model(move || {
        let rules = || RetryBudget {
            percent: 100,
            min_per_second: 0,
        };
        let budget = Arc::new(Budget::new(start));
        budget.deposit(&rules(), start);
        let take = |budget: &Budget, now| {
            budget.withdraw(
                &RetryBudget {
                    percent: 100,
                    min_per_second: 0,
                },
                now,
            )
        };
        let bring = |budget: &Budget, now| {
            budget.deposit(
                &RetryBudget {
                    percent: 100,
                    min_per_second: 0,
                },
                now,
            );
            false
        };
        assert_eq!(both(&budget, [take, bring], start), 1);
        assert!(budget.withdraw(&rules(), start));
        assert!(!budget.withdraw(&rules(), start));
    });
}

#[test]
fn the_first_counts_of_a_second_are_both_kept() {
    let start = Instant::now();
    loom::model(move || {
        let window = Arc::new(Window::new(start));
        let good = |window: &Window, now| {
            window.succeeded(now);
            false
        };
        let bad = |window: &Window, now| {
            window.failed(now);
            false
        };
        both(&window, [good, bad], start);
        let totals = window.totals(start, Duration::from_secs(10));
        assert_eq!((totals.good, totals.bad), (1, 1));
    });
}

#[test]
fn the_last_request_is_let_in_once() {
    let start = Instant::now();
    loom::model(move || {
        let count = Arc::new(Count::new());
        assert!(count.take(1, 2));
        let take = |count: &Count, _| count.take(1, 2);
        assert_eq!(both(&count, [take, take], start), 1);
        count.give_back(1);
        assert!(count.take(1, 2));
        assert!(!count.take(1, 2));
    });
}

#[test]
fn who_finds_no_place_is_seen_by_whoever_leaves_one() {
    let start = Instant::now();
    loom::model(move || {
        let places = Arc::new(Places::new());
        assert!(places.take(1));
        let wait = |places: &Places, _| {
            assert!(places.wait(1));
            places.take(1)
        };
        let leave = |places: &Places, _| places.leave();
        assert!(
            both(&places, [wait, leave], start) >= 1,
            "a place that nobody knows of"
        );
    });
}

#[test]
fn the_last_place_is_taken_once() {
    let start = Instant::now();
    loom::model(move || {
        let places = Arc::new(Places::new());
        let take = |places: &Places, _| places.take(1);
        assert_eq!(both(&places, [take, take], start), 1);
        assert!(!places.leave());
        assert!(places.take(1));
    });
}

/// What idles makes room, however few may wait.
#[test]
fn who_waits_beyond_the_limit_hears_of_the_place_that_is_left_for_it() {
    let start = Instant::now();
    loom::model(move || {
        let places = Arc::new(Places::new());
        assert!(places.take(1));
        let wait = |places: &Places, _| {
            assert!(!places.wait(0));
            places.wait_further();
            places.take(1)
        };
        let leave = |places: &Places, _| places.leave();
        assert!(both(&places, [wait, leave], start) >= 1);
        assert!(!places.wait_no_longer());
    });
}

#[test]
fn one_that_nobody_tried_is_taken_back_once_or_tried() {
    let start = Instant::now();
    loom::model(move || {
        let standing = Arc::new(Standing::new(start));
        standing.eject(&rules().ejection, start, 0.5);
        let over = start + Duration::from_secs(9);
        assert!(standing.connect(over));
        standing.connected(over);
        let take_back = |standing: &Standing, now| standing.untried(now);
        let try_it = |standing: &Standing, now| standing.start_trial(true, now);
        let late = over + Duration::from_secs(60);
        assert_eq!(both(&standing, [take_back, try_it], late), 1);
    });
}

/// Of samples at the same moment one may be lost, and never half of one.
#[test]
fn an_average_is_one_that_its_samples_make() {
    let start = Instant::now();
    loom::model(move || {
        let latency = Arc::new(Latency::new(start));
        let fast = |latency: &Latency, now| {
            latency.success(Duration::from_millis(10), now);
            true
        };
        let slow = |latency: &Latency, now| {
            latency.success(Duration::from_millis(20), now);
            true
        };
        both(&latency, [fast, slow], start);
        let micros = latency.micros(start).unwrap();
        assert!([10_000.0, 20_000.0].contains(&micros.round()), "{micros}");
    });
}

#[test]
fn of_two_failures_at_once_one_counts_at_least() {
    let start = Instant::now();
    loom::model(move || {
        let load = Arc::new(PhantomLoad::new(start));
        let add = |load: &PhantomLoad, now| {
            load.add(1_000.0, now);
            true
        };
        both(&load, [add, add], start);
        let load = load.load(1_000.0, start);
        assert!([1.0, 2.0].contains(&load), "{load}");
    });
}

#[test]
fn what_is_usual_is_one_of_what_was_seen() {
    let start = Instant::now();
    loom::model(move || {
        let time = Arc::new(ConnectTime::default());
        let fast = |time: &ConnectTime, _| {
            time.took(Duration::from_millis(1));
            true
        };
        let slow = |time: &ConnectTime, _| {
            time.took(Duration::from_millis(9));
            true
        };
        both(&time, [fast, slow], start);
        let micros = time.usual().as_micros();
        // One was the first; the other moves it by a step, or is lost.
        assert!([1_000, 1_063, 9_000, 8_437].contains(&micros), "{micros}");
    });
}

/// The keeper takes it for a request, or closes it, while the endpoint does.
#[test]
fn an_idle_time_ends_by_one_of_both_sides() {
    let start = Instant::now();
    loom::model(move || {
        let idling = Arc::new(Idling::new(start));
        assert!(idling.begin(start));
        let keeper = |idling: &Idling, now| idling.end(now).is_some();
        let task = |idling: &Idling, now| idling.over(now).is_some();
        assert_eq!(both(&idling, [keeper, task], start), 1);
    });
}

/// The connection ends while it is given back: it idles and that is told, or it does not idle.
#[test]
fn a_connection_that_has_ended_does_not_idle() {
    let start = Instant::now();
    loom::model(move || {
        let idling = Arc::new(Idling::new(start));
        let task = {
            let idling = Arc::clone(&idling);
            thread::spawn(move || idling.over(start).is_some())
        };
        let idles = idling.begin(start);
        let told = task.join().unwrap();
        assert_eq!(idles, told);
        assert!(!idling.begin(start));
        assert_eq!(idling.end(start), None);
    });
}
