//! Where a request goes that the endpoints in use have failed.

use crate::routing::policy::upstream::Algorithm;

use super::super::Wish;
use super::super::tests::{ALGORITHMS, Bench};

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
