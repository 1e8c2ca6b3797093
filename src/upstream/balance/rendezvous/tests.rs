//! What the bound does while other workers send requests too.

use std::cell::{Cell, RefCell};

use crate::upstream::balance::bench::{ALGORITHMS, Bench};
use crate::upstream::balance::hash::hash;

use super::*;

/// So many requests of other workers begin at each endpoint.
const FURTHER: usize = 10;

#[test]
fn requests_that_begin_while_the_bounds_are_taken_leave_every_key_an_endpoint() {
    let bench = Bench::of(3, ALGORITHMS[4].clone());
    let members = bench.members();
    let of = Candidates::new(&members, bench.now);
    for key in 0..100_u64 {
        let key = hash(&key.to_be_bytes());
        let (asked, begun) = (Cell::new(0), RefCell::new(Vec::new()));
        // Each is asked about once for the bounds, and then again for the choice.
        let wanted = |_: &Member| {
            asked.set(asked.get() + 1);
            if asked.get() == members.len() + 1 {
                let all = members
                    .iter()
                    .flat_map(|it| std::iter::repeat_n(it, FURTHER));
                begun.borrow_mut().extend(all.map(|it| it.endpoint.begin()));
            }
            true
        };
        let chosen = first_within_bounds(&of, key, wanted).map(|it| it.pin);
        assert_eq!(begun.borrow().len(), members.len() * FURTHER);
        // All are beyond what was allowed a moment ago: then the hash alone decides.
        let first = first(&of, key, |_| true).map(|it| it.pin);
        assert!(chosen.is_some() && chosen == first, "{chosen:?}, {first:?}");
    }
}
