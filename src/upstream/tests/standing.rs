use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::ejection::{Fault, State};
use super::super::standing::Standing;
use crate::routing::policy::upstream::OutlierDetection;

#[test]
fn each_step_is_taken_once() {
    let rules = OutlierDetection::default();
    let start = Instant::now();
    let standing = Standing::new(start);
    let after = |seconds| start + Duration::from_secs(seconds);
    assert!(!standing.failed(Fault::Connectivity, &rules));
    assert!(!standing.failed(Fault::Connectivity, &rules));
    assert!(standing.failed(Fault::Connectivity, &rules));
    assert!(standing.eject(&rules.ejection, start, 0.5));
    assert!(!standing.eject(&rules.ejection, start, 0.5));
    assert!(!standing.connect(after(4)));
    assert!(standing.connect(after(5)));
    assert!(!standing.connect(after(5)));
    assert!(!standing.start_trial(true, after(5)));
    standing.connected(after(5));
    for last in [false, true] {
        assert!(standing.start_trial(true, after(6)));
        assert!(!standing.start_trial(true, after(6)));
        assert_eq!(standing.trial_succeeded(after(6)), last);
    }
    assert!(standing.is_closed());
}

proptest! {
    /// Whatever happens: one that did not just fail often enough is closed, the only ways out of
    /// closed and back are ejection and two trials, and no two steps are taken at once.
    #[test]
    fn it_is_left_out_only_by_an_ejection_and_comes_back_only_by_two_trials(
        events in proptest::collection::vec(0_u8..9, 0..200),
    ) {
        let rules = OutlierDetection::default();
        let start = Instant::now();
        let standing = Standing::new(start);
        let (mut now, mut connecting, mut trying, mut successes) = (start, false, false, 0);
        for event in events {
            let closed = standing.is_closed();
            match event {
                0 => standing.succeeded(),
                1 => { standing.failed(Fault::Connectivity, &rules); }
                2 => { standing.failed(Fault::Answer, &rules); }
                3 => prop_assert_eq!(standing.eject(&rules.ejection, now, 0.5), closed),
                4 => now += Duration::from_secs(7),
                5 => if standing.connect(now) {
                    prop_assert!(!connecting && !trying && !closed);
                    connecting = true;
                },
                6 => if connecting {
                    standing.connected(now);
                    (connecting, successes) = (false, 0);
                },
                7 => if standing.start_trial(true, now) {
                    prop_assert!(!connecting && !trying && !closed);
                    trying = true;
                },
                _ => if trying {
                    successes += 1;
                    trying = false;
                    prop_assert_eq!(standing.trial_succeeded(now), successes == 2);
                },
            }
            let opened = closed && !standing.is_closed();
            let back = !closed && standing.is_closed();
            prop_assert!(!opened || event == 3);
            prop_assert!(!back || (event == 8 && successes == 2));
            prop_assert_eq!(State::unpack(standing.state().pack()), standing.state());
        }
    }
}
