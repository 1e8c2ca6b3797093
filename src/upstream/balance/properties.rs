//! Whatever the weights, the states and the load: the shares, and who is never chosen.

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;

use super::bench::{ALGORITHMS, Bench};
use super::hash::hash;
use super::*;

const WINDOW: Duration = Duration::from_secs(30);

fn weights() -> impl Strategy<Value = Vec<u16>> {
    proptest::collection::vec(1_u16..=100, 1..8)
}

fn algorithm() -> impl Strategy<Value = Algorithm> {
    select(ALGORITHMS.to_vec())
}

/// What each should have of the requests.
fn parts(weights: &[f64]) -> Vec<f64> {
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

/// The largest difference.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f64::max)
}

fn owner(bench: &mut Bench, key: u64) -> usize {
    bench.choose(&Wish {
        key: Some(key),
        ..Wish::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// With nothing between the endpoints but their weights, these are the shares.
    #[test]
    fn shares_are_in_proportion_to_weights(
        weights in weights(),
        algorithm in algorithm(),
        seed: u64,
    ) {
        let expected = parts(&weights.iter().map(|it| f64::from(*it)).collect::<Vec<_>>());
        let shares = Bench::weighing(&weights, algorithm, seed).shares();
        prop_assert!(distance(&shares, &expected) < 0.02, "{shares:?}, not {expected:?}");
    }

    /// What has not grown into its weight counts as what it has grown to.
    #[test]
    fn a_slow_start_multiplies_the_weight(
        weights in proptest::collection::vec((1_u16..=10, any::<bool>()), 1..6),
        algorithm in algorithm(),
        age in 0_u64..40,
        seed: u64,
    ) {
        let mut bench = Bench::weighing(&[], algorithm, seed).slow_start(WINDOW);
        let grown = (0.1 + 0.9 * age as f64 / 30.0).min(1.0);
        let mut expected = Vec::new();
        for (weight, joined) in weights {
            bench.add(weight, joined.then_some(bench.start));
            expected.push(f64::from(weight) * if joined { grown } else { 1.0 });
        }
        bench.now = bench.start + Duration::from_secs(age);
        let (shares, expected) = (bench.shares(), parts(&expected));
        prop_assert!(distance(&shares, &expected) < 0.02, "{shares:?}, not {expected:?}");
    }

    /// Requests that all take the same time, at least as many of them at once as the weights add up to:
    /// of fewer, one more or less at an endpoint is much of its part.
    #[test]
    fn shares_are_in_proportion_to_weights_under_load_too(
        weights in proptest::collection::vec(1_u16..=10, 2..6),
        algorithm in select(ALGORITHMS[..2].to_vec()),
        at_once in 50_usize..250,
        seed: u64,
    ) {
        let mut bench = Bench::weighing(&weights, algorithm, seed);
        let members = bench.members();
        let mut in_flight = VecDeque::new();
        let mut counts = vec![0.0; weights.len()];
        for _ in 0..4_000 {
            let choice = bench.choice(&members, &Wish::default()).unwrap();
            counts[bench.position(&choice)] += 1.0;
            in_flight.push_back(choice.endpoint.begin());
            if in_flight.len() > at_once {
                in_flight.pop_front();
            }
        }
        let expected = parts(&weights.iter().map(|it| f64::from(*it)).collect::<Vec<_>>());
        let shares = parts(&counts);
        prop_assert!(distance(&shares, &expected) < 0.05, "{shares:?}, not {expected:?}");
    }

    /// At no time is one far ahead of its part of the turns, or behind it.
    #[test]
    fn turns_are_evenly_spread(weights in weights(), first: u64) {
        let bench = Bench::weighing(&weights, Algorithm::RoundRobin, 0);
        let members = bench.members();
        let weights: Vec<f64> = weights.into_iter().map(f64::from).collect();
        let parts = parts(&weights);
        let mut counts = vec![0.0; parts.len()];
        for turn in 1..=1_800_u16 {
            let member = members.in_turn(first.wrapping_add(turn.into())).unwrap();
            let position = bench.list.iter().position(|it| it.pin == member.pin).unwrap();
            counts[position] += 1.0;
            for (count, part) in counts.iter().zip(&parts) {
                let even: f64 = f64::from(turn) * part;
                prop_assert!((count - even).abs() < 4.0, "{counts:?} after {turn}");
            }
        }
    }

    /// In the order of preference: in use and not tried, in use, not tried.
    #[test]
    fn one_that_was_tried_or_ejected_is_not_chosen_while_another_is_left(
        states in proptest::collection::vec((1_u16..=3, any::<bool>(), any::<bool>()), 1..8),
        pinned: prop::sample::Index,
        algorithm in algorithm(),
        seed: u64,
    ) {
        let weights: Vec<u16> = states.iter().map(|(weight, ..)| *weight).collect();
        let mut bench = Bench::weighing(&weights, algorithm, seed);
        let mut tried = Vec::new();
        for (position, (_, is_tried, is_ejected)) in states.iter().enumerate() {
            if *is_tried {
                tried.push(bench.address(position));
            }
            if *is_ejected {
                bench.eject(position);
            }
        }
        let all = || states.iter().map(|(_, tried, ejected)| (!tried, !ejected));
        let best = all().map(|(fresh, closed)| (closed, fresh)).max().unwrap();
        let pins = [bench.list[pinned.index(states.len())].pin];
        for pins in [&[][..], &pins[..]] {
            let wish = Wish { tried: &tried, pins, ..Wish::default() };
            for _ in 0..50 {
                let (_, tried, ejected) = states[bench.choose(&wish)];
                prop_assert_eq!((!ejected, !tried), best);
            }
        }
    }

    /// A key moves only to the endpoint that joins, and about as many do as it weighs.
    #[test]
    fn an_endpoint_that_joins_moves_only_what_becomes_its_own(
        weights in weights(),
        joins in 1_u16..=100,
        seed: u64,
    ) {
        const KEYS: u32 = 10_000;
        let mut bench = Bench::weighing(&weights, ALGORITHMS[4].clone(), seed);
        let keys: Vec<u64> = (0..KEYS).map(|n| hash(&(seed ^ u64::from(n)).to_be_bytes())).collect();
        let before: Vec<usize> = keys.iter().map(|key| owner(&mut bench, *key)).collect();
        bench.add(joins, None);
        let mut moved = 0.0;
        for (key, before) in keys.iter().zip(before) {
            let after = owner(&mut bench, *key);
            prop_assert!(after == before || after == weights.len());
            moved += f64::from(u8::from(after != before));
        }
        let sum: u16 = weights.iter().sum();
        let expected = f64::from(joins) / f64::from(joins + sum);
        prop_assert!((moved / f64::from(KEYS) - expected).abs() < 0.03);
    }

    /// The keys of one that is left out go elsewhere, all others stay; when it is back, so are they.
    #[test]
    fn an_endpoint_that_is_left_out_moves_only_its_own(
        weights in proptest::collection::vec(1_u16..=100, 2..8),
        out: prop::sample::Index,
        seed: u64,
    ) {
        let mut bench = Bench::weighing(&weights, ALGORITHMS[4].clone(), seed);
        let out = out.index(weights.len());
        let before: Vec<usize> = (0..500).map(|key| owner(&mut bench, hash(&[key as u8]))).collect();
        bench.eject(out);
        for (key, before) in before.iter().enumerate() {
            let after = owner(&mut bench, hash(&[key as u8]));
            prop_assert!(after != out && (*before == out || after == *before));
        }
    }

    /// However many requests have one key, no endpoint has more than a quarter above its part.
    #[test]
    fn no_load_exceeds_its_bound(
        weights in weights(),
        keys in proptest::collection::vec(0_u8..4, 1..200),
        ejected in proptest::option::of(any::<prop::sample::Index>()),
        seed: u64,
    ) {
        let mut bench = Bench::weighing(&weights, ALGORITHMS[4].clone(), seed);
        let ejected = ejected.map(|it| it.index(weights.len())).filter(|_| weights.len() > 1);
        if let Some(ejected) = ejected {
            bench.eject(ejected);
        }
        let left = weights.iter().enumerate().filter(|(position, _)| Some(*position) != ejected);
        let sum: f64 = left.map(|(_, weight)| f64::from(*weight)).sum();
        let mut in_flight = Vec::new();
        for key in keys {
            let chosen = owner(&mut bench, hash(&[key]));
            in_flight.push(bench.list[chosen].endpoint.begin());
            let bound = 1.25 * in_flight.len() as f64 * f64::from(weights[chosen]) / sum;
            let load = f64::from(bench.list[chosen].endpoint.in_flight());
            prop_assert!(load <= (bound + 1e-9).ceil(), "{load} of {bound}");
        }
    }
}
