use proptest::prelude::*;

use super::super::ejection::*;
use crate::routing::policy::upstream::OutlierDetection;

fn rules() -> OutlierDetection {
    OutlierDetection::default()
}

fn after(faults: &[Fault]) -> State {
    faults.iter().fold(State::NEW, |state, f| state.failed(*f))
}

#[test]
fn five_failures_in_a_row_are_too_many_and_of_those_to_connect_three() {
    use Fault::{Answer, Connectivity};
    assert!(!after(&[Answer; 4]).is_due(&rules()));
    assert!(after(&[Answer; 5]).is_due(&rules()));
    assert!(!after(&[Connectivity; 2]).is_due(&rules()));
    assert!(after(&[Connectivity; 3]).is_due(&rules()));
    assert!(!after(&[Connectivity, Connectivity, Answer, Connectivity]).is_due(&rules()));
    let mixed = [Connectivity, Answer, Connectivity, Connectivity, Answer];
    assert!(after(&mixed).is_due(&rules()));
}

#[test]
fn a_success_between_failures_starts_the_count_anew() {
    let state = after(&[Fault::Answer; 4]).succeeded();
    assert_eq!(state, State::NEW);
}

fn until(state: State) -> u64 {
    match state {
        State::Open { until, .. } => until,
        _ => panic!("{state:?}"),
    }
}

#[test]
fn an_ejection_doubles_to_its_maximum_and_a_healthy_minute_takes_one_back() {
    let rules = rules().ejection;
    let mut state = State::NEW.eject(&rules, 0, 0.5).unwrap();
    for expected in [
        5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000,
    ] {
        assert_eq!(until(state), expected);
        let connecting = state.connect(expected).unwrap();
        state = connecting.not_connected(&rules, 0, 0.5).unwrap();
    }
    let closed = State::Closed {
        since: 0,
        ejections: 3,
        failures: 0,
        connect_failures: 0,
    };
    for (healthy, expected) in [(59, 40), (60, 20), (120, 10), (180, 5), (9_000, 5)] {
        let now = healthy * 1_000;
        let state = closed.eject(&rules, now, 0.5).unwrap();
        assert_eq!(until(state) - now, expected * 1_000, "{healthy} s");
    }
}

#[test]
fn it_comes_back_by_a_connection_and_two_requests_one_at_a_time() {
    let rules = rules().ejection;
    let open = State::NEW.eject(&rules, 0, 0.5).unwrap();
    assert_eq!(open.connect(4_999), None);
    assert_eq!(open.start_trial(true, 9_000), None);
    let connecting = open.connect(5_000).unwrap();
    assert_eq!(connecting.start_trial(true, 9_000), None);
    assert_eq!(connecting.connect(9_000), None);
    let half_open = connecting.connected(5_000).unwrap();
    let busy = half_open.start_trial(true, 5_000).unwrap();
    assert_eq!(busy.start_trial(true, 99_000), None);
    assert_eq!(busy.trial_abandoned(5_000), Some(half_open));
    let tried_in_vain = busy.trial_abandoned(34_999).unwrap();
    assert!(half_open.untried(35_000).is_some());
    assert_eq!(tried_in_vain.untried(64_998), None);
    let once = busy.trial_succeeded(6_000).unwrap();
    assert!(!once.is_closed());
    let twice = once.start_trial(true, 6_000).unwrap();
    assert!(twice.trial_succeeded(6_000).unwrap().is_closed());
    assert!(!busy.trial_failed(&rules, 6_000, 0.5).unwrap().is_closed());
}

#[test]
fn a_request_that_cannot_be_repeated_is_a_trial_only_where_no_other_came_for_ten_seconds() {
    let open = State::NEW.eject(&rules().ejection, 0, 0.5).unwrap();
    let half_open = open.connect(5_000).unwrap().connected(5_000).unwrap();
    assert_eq!(half_open.start_trial(false, 14_999), None);
    assert!(half_open.start_trial(true, 14_999).is_some());
    assert!(half_open.start_trial(false, 15_000).is_some());
}

#[test]
fn one_that_nobody_tries_for_half_a_minute_comes_back_without() {
    let rules = rules().ejection;
    let open = State::NEW.eject(&rules, 0, 0.5).unwrap();
    let connecting = open.connect(5_000).unwrap();
    let half_open = connecting.connected(5_000).unwrap();
    let busy = half_open.start_trial(true, 5_000).unwrap();
    for early in [State::NEW, open, connecting, busy] {
        assert_eq!(early.untried(99_000), None);
    }
    assert_eq!(half_open.untried(34_999), None);
    assert!(half_open.untried(35_000).unwrap().is_closed());
}

#[test]
fn one_that_is_connected_to_early_stays_away_no_longer_for_it() {
    let rules = rules().ejection;
    let open = State::NEW.eject(&rules, 0, 0.5).unwrap();
    let connecting = open.connect_early().unwrap();
    assert_eq!(connecting.connect_early(), None);
    let again = connecting.not_connected(&rules, 1_000, 0.5).unwrap();
    assert_eq!(until(again), until(open) + 1_000);
    let in_time = open.connect(5_000).unwrap();
    let again = in_time.not_connected(&rules, 5_000, 0.5).unwrap();
    assert_eq!(until(again), 5_000 + 2 * until(open));
}

fn states() -> impl Strategy<Value = State> {
    let small = any::<(u8, u8, u8, bool)>();
    (0_u8..4, 0..=LATEST_MS, small).prop_map(|(phase, at, (ejections, a, b, busy))| match phase {
        0 => State::Closed {
            since: at,
            ejections,
            failures: a,
            connect_failures: b,
        },
        1 => State::Open {
            until: at,
            ejections,
        },
        2 => State::Connecting { ejections },
        _ => State::Trying {
            since: at,
            ejections,
            successes: a,
            busy,
        },
    })
}

proptest! {
    #[test]
    fn every_state_survives_packing(state in states()) {
        prop_assert_eq!(State::unpack(state.pack()), state);
    }

    #[test]
    fn an_ejection_ends_within_its_bounds_however_often_it_happened(
        ejections in any::<u8>(), random in 0.0..=1.0_f64,
    ) {
        let away = away(ejections, &rules().ejection, random);
        prop_assert!((4_000..=300_000).contains(&away), "{}", away);
    }

    /// What the successes and failures of late requests, in any order, never do.
    #[test]
    fn what_began_before_an_ejection_changes_nothing_after_it(
        state in states(), faults in proptest::collection::vec(any::<bool>(), 0..20),
    ) {
        prop_assume!(!state.is_closed());
        let late = faults.into_iter().fold(state, |state, failed| if failed {
            state.failed(Fault::Answer)
        } else {
            state.succeeded()
        });
        prop_assert_eq!(late, state);
        prop_assert!(!late.is_due(&rules()));
    }
}
