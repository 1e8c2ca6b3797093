use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::budget::{Budget, Token};
use crate::routing::policy::RetryBudget;

/// How many tokens can be taken at once.
fn drain(budget: &Budget, rules: &RetryBudget, now: Instant) -> u32 {
    let mut taken = 0;
    while budget.withdraw(rules, now) {
        taken += 1;
    }
    taken
}

#[test]
fn it_starts_full_and_is_full_again_when_the_window_is_long_over() {
    let (start, rules) = (Instant::now(), RetryBudget::default());
    let budget = Budget::new(start);
    assert_eq!(drain(&budget, &rules, start), 100);
    assert_eq!(
        drain(&budget, &rules, start + Duration::from_millis(110)),
        1
    );
    let later = start + Duration::from_secs(120);
    assert!((99..=100).contains(&drain(&budget, &rules, later)));
}

#[test]
fn five_requests_bring_in_one_retry() {
    let (start, rules) = (Instant::now(), RetryBudget::default());
    let budget = Budget::new(start);
    drain(&budget, &rules, start);
    for _ in 0..500 {
        budget.deposit(&rules, start);
    }
    assert_eq!(drain(&budget, &rules, start), 100);
}

#[test]
fn with_neither_share_nor_minimum_there_is_no_retry() {
    let (start, rules) = (
        Instant::now(),
        RetryBudget {
            percent: 0,
            min_per_second: 0,
        },
    );
    let budget = Budget::new(start);
    budget.deposit(&rules, start);
    assert!(!budget.withdraw(&rules, start));
}

/// However many workers drain it each millisecond, time brings in no more than it should.
#[test]
fn an_empty_bucket_brings_in_its_minimum_per_second() {
    let (start, rules) = (Instant::now(), RetryBudget::default());
    let budget = Budget::new(start);
    drain(&budget, &rules, start);
    let granted: u32 = (0..10_000)
        .map(|ms| drain(&budget, &rules, start + Duration::from_millis(ms)))
        .sum();
    assert!((90..=100).contains(&granted), "{granted}");
}

#[test]
fn a_token_that_is_not_spent_goes_back() {
    let (start, rules) = (Instant::now(), RetryBudget::default());
    let budget = Budget::new(start);
    for spent in [false, true] {
        let mut tokens: Vec<_> = (0..100)
            .map_while(|_| budget.token(&rules, start))
            .collect();
        assert_eq!(tokens.len(), 100);
        assert!(budget.token(&rules, start).is_none());
        if spent {
            tokens.iter_mut().for_each(Token::spend);
            // That one did not begin after all.
            tokens[0].keep();
        }
    }
    assert_eq!(drain(&budget, &rules, start), 1);
}

proptest! {
    #[test]
    fn retries_never_exceed_a_full_bucket_and_what_came_in(
        steps in proptest::collection::vec((0_u64..3_000, 0_u32..50, 0_u32..50), 1..60),
    ) {
        let (start, rules) = (Instant::now(), RetryBudget::default());
        let budget = Budget::new(start);
        let (mut now, mut requests, mut granted) = (start, 0, 0);
        for (wait, deposits, wanted) in steps {
            now += Duration::from_millis(wait);
            for _ in 0..deposits {
                budget.deposit(&rules, now);
            }
            requests += deposits;
            for _ in 0..wanted {
                granted += u32::from(budget.withdraw(&rules, now));
            }
            let elapsed = now.duration_since(start).as_secs_f64();
            let allowed = 100.0 + f64::from(requests) * 0.2 + elapsed * 10.0;
            prop_assert!(f64::from(granted) <= allowed + 0.5, "{} > {}", granted, allowed);
        }
    }
}
