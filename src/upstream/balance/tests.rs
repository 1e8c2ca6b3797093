//! Which endpoint is chosen, case by case. What holds for every case: `properties.rs`.

use std::time::Duration;

use rand::SeedableRng;

use crate::routing::snapshot::ServicePort;

use super::bench::{ALGORITHMS, Bench, TYPICAL};
use super::hash::hash;
use super::set::EndpointSet;
use super::*;

#[test]
fn a_new_endpoint_gets_its_share_though_the_others_are_faster_than_typical() {
    let mut bench = Bench::of(5, Algorithm::PeakEwma);
    for warm in &bench.list[..4] {
        warm.endpoint
            .succeeded(Duration::from_micros(500), bench.now);
    }
    let share = bench.counts(1_000)[4];
    assert!((150..=250).contains(&share), "{share} of 1000");
}

#[test]
fn a_slower_endpoint_is_chosen_less_and_one_with_more_in_flight_too() {
    let mut slow = Bench::of(5, Algorithm::PeakEwma);
    for (member, millis) in slow.list.iter().zip([1, 1, 1, 1, 10]) {
        let took = Duration::from_millis(millis);
        member.endpoint.succeeded(took, slow.now);
    }
    assert_eq!(slow.counts(1_000)[4], 0);
    slow.policy.load_balancing.algorithm = Algorithm::LeastRequest;
    assert!(slow.counts(1_000)[4] > 150);

    for algorithm in [Algorithm::PeakEwma, Algorithm::LeastRequest] {
        let mut busy = Bench::of(5, algorithm);
        let _in_flight = busy.list[4].endpoint.begin();
        assert_eq!(busy.counts(1_000)[4], 0);
    }
}

#[test]
fn an_endpoint_that_joined_later_begins_with_a_tenth_and_has_its_share_after_half_a_minute() {
    for algorithm in ALGORITHMS {
        let mut bench = Bench::of(4, algorithm.clone()).slow_start(Duration::from_secs(30));
        bench.add(1, Some(bench.start));
        for (seconds, expected) in [(0, 10..=40), (15, 80..=160), (30, 160..=240)] {
            bench.now = bench.start + Duration::from_secs(seconds);
            let share = bench.counts(1_000)[4];
            assert!(
                expected.contains(&share),
                "{algorithm:?}: {share} of 1000 after {seconds} s"
            );
        }
    }
}

#[test]
fn in_turn_means_one_after_the_other_and_the_ejected_one_is_left_out() {
    let mut bench = Bench::of(4, Algorithm::RoundRobin);
    let first = bench.choose(&Wish::default());
    for turn in 1..10 {
        assert_eq!(bench.choose(&Wish::default()), (first + turn) % 4);
    }
    bench.eject(2);
    assert_eq!(bench.counts(3_000), [1_000, 1_000, 0, 1_000]);
}

#[test]
fn a_request_without_what_is_hashed_goes_where_the_default_algorithm_sends_it() {
    let bench = Bench::of(5, ALGORITHMS[4].clone());
    let _in_flight = bench.list[4].endpoint.begin();
    let members = bench.members();
    let balancer = Balancer {
        policy: &bench.policy,
        turns: &bench.turns,
        typical: TYPICAL,
        now: bench.now,
    };
    let mut rng = SmallRng::seed_from_u64(7);
    let chosen: std::collections::BTreeSet<usize> = (0..100)
        .filter_map(|_| balancer.choose(&members, &Wish::default(), &mut rng))
        .map(|choice| bench.position(&choice))
        .collect();
    assert_eq!(Vec::from_iter(chosen), [0, 1, 2, 3]);
}

#[test]
fn a_client_comes_back_to_its_endpoint_while_that_is_in_use_and_not_tried() {
    for algorithm in ALGORITHMS {
        let mut bench = Bench::of(4, algorithm);
        // Busy and slow, and yet its own.
        let _in_flight = bench.list[2].endpoint.begin();
        let pins = [
            EndpointPin::new(&elsewhere(), bench.address(0), None),
            bench.list[2].pin,
        ];
        let own = Wish {
            pins: &pins,
            may_try: true,
            repeatable: true,
            ..Wish::default()
        };
        for _ in 0..20 {
            assert_eq!(bench.choose(&own), 2);
        }
        let tried = [bench.address(2)];
        assert_ne!(
            bench.choose(&Wish {
                tried: &tried,
                ..own
            }),
            2
        );
        bench.eject(2);
        for _ in 0..20 {
            assert_ne!(bench.choose(&own), 2);
        }
    }
}

fn elsewhere() -> ServicePort {
    ServicePort {
        namespace: "shop".into(),
        name: "elsewhere".into(),
        port: 80,
    }
}

#[test]
fn a_half_open_endpoint_is_tried_with_any_request_but_one_that_belongs_elsewhere() {
    for algorithm in ALGORITHMS {
        let mut bench = Bench::of(2, algorithm.clone());
        bench.half_open(1);
        let members = bench.members();
        let may_try = |pins| Wish {
            pins,
            may_try: true,
            repeatable: true,
            ..Wish::default()
        };
        let pinned = [bench.list[0].pin];
        for _ in 0..20 {
            let choice = bench.choice(&members, &may_try(&pinned)).unwrap();
            assert!(choice.trial.is_none() && bench.position(&choice) == 0);
        }
        let its_own = [bench.list[1].pin];
        let choice = bench.choice(&members, &may_try(&its_own)).unwrap();
        assert!(choice.trial.is_some(), "{algorithm:?}");
        drop(choice);
        let of_anybody = (0..20).find_map(|_| bench.choice(&members, &may_try(&[]))?.trial);
        assert!(of_anybody.is_some(), "{algorithm:?}");
    }
}

#[test]
fn pinned_clients_alone_bring_an_ejected_endpoint_back() {
    for algorithm in ALGORITHMS {
        let mut bench = Bench::of(3, algorithm);
        bench.eject(1);
        let members = bench.members();
        let pinned = [bench.list[0].pin];
        let own = Wish {
            pins: &pinned,
            may_try: true,
            repeatable: true,
            ..Wish::default()
        };
        let due = |bench: &mut Bench, seconds| {
            bench.now = bench.start + Duration::from_secs(seconds);
            let choice = bench.choice(&members, &own).unwrap();
            assert_eq!(bench.position(&choice), 0);
            assert!(choice.trial.is_none());
            choice.due
        };
        assert!(due(&mut bench, 0).is_none());
        assert!(due(&mut bench, 60).is_some());
        // Nobody held it: the connection did not come about, and the next one is due later.
        bench.list[1].endpoint.standing().hasten(bench.start);
        let connecting = due(&mut bench, 120);
        bench.list[1].endpoint.standing().connected(bench.now);
        drop(connecting);
        let is_back = |bench: &Bench| bench.list[1].endpoint.standing().is_closed();
        assert!(due(&mut bench, 149).is_none() && !is_back(&bench));
        assert!(due(&mut bench, 150).is_none() && is_back(&bench));
    }
}

#[test]
fn a_key_is_no_trial_for_an_endpoint_that_is_not_its_own() {
    let mut bench = Bench::of(3, ALGORITHMS[4].clone());
    let key = hash(b"ann");
    let of_ann = Wish {
        key: Some(key),
        may_try: true,
        repeatable: true,
        ..Wish::default()
    };
    let own = bench.choose(&of_ann);
    bench.eject(own);
    bench.half_open((own + 1) % 3);
    let choice = bench.choice(&bench.members(), &of_ann).unwrap();
    assert!(choice.trial.is_none());
    assert_eq!(bench.position(&choice), (own + 2) % 3);
}

#[test]
fn one_that_drains_is_used_only_when_nothing_is_ready() {
    let bench = Bench::of(2, Algorithm::PeakEwma);
    let [ready, draining] = &bench.list[..] else {
        panic!("two")
    };
    let set = |ready| EndpointSet::new(ready, vec![draining.clone()], Duration::ZERO);
    let usable =
        |set: &EndpointSet| -> Vec<EndpointPin> { set.usable().iter().map(|it| it.pin).collect() };
    assert_eq!(usable(&set(vec![ready.clone()])), [ready.pin]);
    assert_eq!(usable(&set(Vec::new())), [draining.pin]);
    assert_eq!(set(vec![ready.clone()]).all().count(), 2);
}

#[test]
fn with_too_few_in_use_ejections_are_ignored() {
    for algorithm in ALGORITHMS {
        let mut bench = Bench::of(4, algorithm.clone());
        bench.policy.panic_threshold = Some(50);
        bench.eject(0);
        bench.eject(1);
        let counts = bench.counts(1_000);
        assert_eq!(counts[..2], [0, 0], "half are in use");
        bench.eject(2);
        let counts = bench.counts(1_000);
        assert!(
            counts.iter().all(|count| (150..=350).contains(count)),
            "{algorithm:?}: {counts:?}"
        );
        let pins = [bench.list[1].pin];
        let own = Wish {
            pins: &pins,
            ..Wish::default()
        };
        assert_eq!(bench.choose(&own), 1);
        bench.policy.panic_threshold = None;
        assert_eq!(bench.counts(100), [0, 0, 0, 100]);
    }
}

#[test]
fn another_zone_goes_first_after_a_failure_to_connect_but_for_a_key() {
    for algorithm in &ALGORITHMS[..4] {
        let mut bench = Bench::of(6, algorithm.clone());
        let zones = [Some("a"), Some("a"), Some("a"), Some("b"), None, Some("a")];
        for (member, zone) in bench.list.iter_mut().zip(zones) {
            member.zone = zone.map(Into::into);
        }
        let tried = [bench.address(0)];
        let failed = Wish {
            tried: &tried,
            ..Wish::default()
        };
        let not_connected = Wish {
            unreachable: &tried,
            ..failed
        };
        let chosen: Vec<usize> = (0..200).map(|_| bench.choose(&not_connected)).collect();
        assert!(chosen.iter().all(|it| [3, 4].contains(it)), "{chosen:?}");
        assert!([3, 4].iter().all(|it| chosen.contains(it)), "{chosen:?}");
        // It answered, and broke off: that says nothing of its zone.
        assert!((0..200).any(|_| bench.choose(&failed) < 3));
        // Where no other zone is left, its own is better than none.
        bench.eject(3);
        bench.eject(4);
        let left = bench.choose(&not_connected);
        assert!([1, 2, 5].contains(&left), "{left}");
    }
}

#[test]
fn where_another_upstream_stands_in_an_ejected_endpoint_is_not_used_for_want_of_a_better_one() {
    for algorithm in ALGORITHMS {
        for has_fallback in [true, false] {
            let mut bench = Bench::of(2, algorithm.clone());
            bench.policy.has_fallback = has_fallback;
            bench.eject(0);
            let all = |bench: &mut Bench| -> Vec<bool> {
                let members = bench.members();
                let choices = (0..50).map(|_| bench.choice(&members, &Wish::default()));
                choices.map(|choice| choice.unwrap().stands_back).collect()
            };
            assert!(all(&mut bench).iter().all(|back| !back), "{algorithm:?}");
            bench.eject(1);
            assert!(all(&mut bench).iter().all(|back| *back == has_fallback));
            // Ejections that are ignored leave something to use.
            bench.policy.panic_threshold = Some(50);
            assert!(all(&mut bench).iter().all(|back| !back), "{algorithm:?}");
        }
    }
}
