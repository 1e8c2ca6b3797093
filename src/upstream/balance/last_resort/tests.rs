//! Where a request goes that the endpoints in use have failed.

use crate::routing::policy::upstream::Algorithm;

use super::super::Wish;
use super::super::bench::{ALGORITHMS, Bench};
use super::is_under_way;

/// Of four, the first is in use and was tried, the others are ejected, the last is half-open by now.
fn stranded(algorithm: Algorithm) -> Bench {
    let bench = Bench::of(4, algorithm);
    bench.eject(1);
    bench.eject(2);
    bench.half_open(3);
    bench
}

#[test]
fn what_no_endpoint_in_use_could_be_connected_to_for_goes_to_a_half_open_one() {
    for algorithm in ALGORITHMS {
        let mut bench = stranded(algorithm.clone());
        let tried = [bench.address(0)];
        let wish = Wish {
            tried: &tried,
            unreachable: &tried,
            ..Wish::default()
        };
        let members = bench.members();
        let first = bench.choice(&members, &wish).unwrap();
        assert_eq!(bench.position(&first), 3, "{algorithm:?}");
        assert!(
            first.trial.is_some() && first.due.is_some(),
            "{algorithm:?}"
        );
        // Others too, while that one is under way.
        let second = bench.choice(&members, &wish).unwrap();
        assert_eq!(bench.position(&second), 3, "{algorithm:?}");
        assert!(second.trial.is_none(), "{algorithm:?}");
    }
}

#[test]
fn what_the_endpoints_in_use_broke_off_goes_there_once_more_before_a_half_open_one() {
    for algorithm in ALGORITHMS {
        let mut bench = stranded(algorithm.clone());
        let address = bench.address(0);
        for (tried, expected) in [(&[address][..], 0), (&[address, address], 3)] {
            let wish = Wish {
                tried,
                ..Wish::default()
            };
            let members = bench.members();
            let choice = bench.choice(&members, &wish).unwrap();
            assert_eq!(bench.position(&choice), expected, "{algorithm:?}");
            // Either way the others are connected to, for the next attempt.
            assert!(choice.due.is_some(), "{algorithm:?}");
        }
    }
}

#[test]
fn with_its_last_attempt_it_goes_to_a_half_open_one_however_the_others_failed() {
    for algorithm in ALGORITHMS {
        let mut bench = stranded(algorithm.clone());
        let tried = [bench.address(0)];
        let wish = Wish {
            tried: &tried,
            last: true,
            ..Wish::default()
        };
        let members = bench.members();
        let choice = bench.choice(&members, &wish).unwrap();
        assert_eq!(bench.position(&choice), 3, "{algorithm:?}");
    }
}

#[test]
fn waiting_helps_while_one_is_connected_to_and_nothing_else_is_left() {
    let mut bench = Bench::of(2, Algorithm::PeakEwma);
    let tried = [bench.address(0)];
    let members = bench.members();
    assert!(!is_under_way(&members, &tried), "the other is in use");
    bench.eject(1);
    assert!(!is_under_way(&members, &tried), "nobody connects to it");
    let wish = Wish {
        tried: &tried,
        ..Wish::default()
    };
    let due = bench.choice(&members, &wish).unwrap().due;
    assert!(due.is_some() && is_under_way(&members, &tried));
    assert!(!is_under_way(&members, &[tried[0], bench.address(1)]));
    drop(due);
    assert!(!is_under_way(&members, &tried), "it cannot be connected to");
    let bench = Bench::of(2, Algorithm::PeakEwma);
    bench.half_open(1);
    let tried = [bench.address(0)];
    assert!(!is_under_way(&bench.members(), &tried), "it is there");
}

#[test]
fn an_ejection_ends_by_the_clock_while_others_have_not_been_tried() {
    let mut bench = Bench::of(3, Algorithm::PeakEwma);
    bench.eject(2);
    let tried = [bench.address(0)];
    let wish = Wish {
        tried: &tried,
        unreachable: &tried,
        ..Wish::default()
    };
    let members = bench.members();
    let choice = bench.choice(&members, &wish).unwrap();
    assert_eq!(bench.position(&choice), 1);
    assert!(choice.due.is_none());
}
