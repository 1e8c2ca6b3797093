use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::Matter::{Failures, Limits};
use super::*;

/// Long enough to have seen everything.
const LONG_WATCHED: u64 = 3600;

fn minute(requests: u64, failures: u64) -> Counts {
    Counts {
        requests,
        failures,
        recent: requests,
        recent_failures: failures,
        successes: requests - failures,
    }
}

fn after(state: State, counts: Counts) -> State {
    state.next(&counts, 0, LONG_WATCHED)
}

#[test]
fn two_failures_that_are_one_percent_begin_trouble() {
    assert_eq!(after(State::No, minute(200, 2)), State::Yes);
    assert_eq!(after(State::No, minute(201, 2)), State::No);
    assert_eq!(after(State::No, minute(20, 1)), State::No);
    assert_eq!(after(State::No, minute(4000, 40)), State::Yes);
}

#[test]
fn any_failure_among_fewer_than_twenty_requests_begins_trouble() {
    assert_eq!(after(State::No, minute(19, 1)), State::Yes);
    assert_eq!(after(State::Unknown, minute(1, 1)), State::Yes);
}

#[test]
fn trouble_ends_after_half_a_minute_with_a_success_and_less_than_half_a_percent() {
    // The way to the resource takes its time too.
    const { assert!(QUIET < 30) };
    let before = minute(1000, 500);
    let quiet = |recent, recent_failures, successes| Counts {
        recent,
        recent_failures,
        successes,
        ..before
    };
    assert_eq!(after(State::Yes, quiet(10, 0, 0)), State::Yes);
    assert_eq!(after(State::Yes, quiet(10, 0, 1)), State::No);
    assert_eq!(after(State::Yes, quiet(200, 1, 199)), State::Yes);
    assert_eq!(after(State::Yes, quiet(201, 1, 200)), State::No);
}

#[test]
fn trouble_that_ended_does_not_begin_anew_with_the_failures_of_before() {
    let counts = Counts {
        recent_failures: 0,
        ..minute(100, 50)
    };
    let state = after(State::Yes, counts);
    assert_eq!(state, State::No);
    assert_eq!(after(state, counts), State::No);
}

#[test]
fn whoever_has_just_begun_to_look_does_not_call_trouble_over() {
    let counts = minute(100, 0);
    assert_eq!(State::Yes.next(&counts, 0, QUIET - 1), State::Yes);
    assert_eq!(State::Yes.next(&counts, 0, QUIET), State::No);
}

#[test]
fn without_requests_a_state_stays_for_fifteen_minutes() {
    let nothing = Counts::default();
    for state in [State::Yes, State::No] {
        let next = |idle| state.next(&nothing, idle, LONG_WATCHED);
        assert_eq!(next(FORGOTTEN - 1), state);
        assert_eq!(next(FORGOTTEN), State::Unknown);
    }
}

#[test]
fn an_object_changes_once_in_five_seconds() {
    let mut pace = Pace::default();
    assert_eq!(pace.ask(100, (Failures, true)), Permit::Granted);
    pace.changed(100, Failures);
    assert_eq!(pace.ask(104, (Failures, false)), Permit::Soon);
    assert_eq!(pace.ask(104, (Limits, true)), Permit::Soon);
    assert_eq!(pace.ask(105, (Failures, false)), Permit::Granted);
}

#[test]
fn an_object_changes_six_times_in_ten_minutes_and_the_last_time_for_the_worse() {
    let mut pace = Pace::default();
    for at in [0, 10, 20, 30, 40] {
        assert_eq!(pace.ask(at, (Failures, false)), Permit::Granted);
        pace.changed(at, Failures);
    }
    assert_eq!(pace.ask(50, (Failures, false)), Permit::Alternates);
    assert_eq!(pace.ask(50, (Failures, true)), Permit::Granted);
    pace.changed(50, Failures);
    assert_eq!(pace.ask(599, (Failures, true)), Permit::Alternates);
    assert_eq!(pace.ask(599, (Limits, false)), Permit::Granted);
    assert_eq!(pace.ask(610, (Failures, true)), Permit::Granted);
}

#[test]
fn whatever_happens_trouble_is_said_when_all_fails_and_not_when_all_is_well() {
    let seed: u64 = rand::rng().random();
    let mut random = SmallRng::seed_from_u64(seed);
    let mut state = State::Unknown;
    for _ in 0..20_000 {
        let requests = random.random_range(0..400);
        let failures = match random.random_range(0..4) {
            0 => 0,
            1 => requests,
            _ => random.random_range(0..=requests),
        };
        let counts = minute(requests, failures);
        let idle = random.random_range(0..2 * FORGOTTEN);
        state = state.next(&counts, idle, LONG_WATCHED);
        if requests > 0 && failures == requests && requests >= 2 {
            assert_eq!(state, State::Yes, "seed {seed}: {counts:?}");
        }
        if requests > 0 && failures == 0 {
            assert_eq!(state, State::No, "seed {seed}: {counts:?}");
        }
        if requests == 0 && idle >= FORGOTTEN {
            assert_eq!(state, State::Unknown, "seed {seed}");
        }
    }
}

#[test]
fn whatever_is_asked_an_object_keeps_its_pace() {
    let seed: u64 = rand::rng().random();
    let mut random = SmallRng::seed_from_u64(seed);
    let (mut pace, mut now, mut changes) = (Pace::default(), 0, Vec::<u64>::new());
    for _ in 0..20_000 {
        now += random.random_range(0..8);
        if pace.ask(now, (Failures, random.random())) == Permit::Granted {
            pace.changed(now, Failures);
            changes.push(now);
        }
    }
    assert!(
        changes.windows(2).all(|it| it[1] - it[0] >= 5),
        "seed {seed}"
    );
    let crowded = changes.windows(7).any(|it| it[6] - it[0] < 600);
    assert!(!crowded, "seed {seed}");
}
