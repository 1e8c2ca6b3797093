//! Of answers that take longer than before the failures: what is likely then.

use super::*;

const LATE: &[(Cause, u64)] = &[(Cause::DeadlineExceeded, 20)];

/// What is said of timeouts where answers take so many milliseconds, usually and now.
fn said(usual: u64, now: u64) -> String {
    let mut shop = Shop::new();
    shop.sent = 120;
    shop.latencies = vec![LatencyReport {
        upstream: "shop/cart:80".into(),
        usual: usual * 1000,
        now: now * 1000,
        answers: 10,
    }];
    shop.second(100, &[]);
    shop.second(100, LATE);
    shop.on_policy("GatewayTimeout").message.clone()
}

#[test]
fn answers_that_take_much_longer_than_before_the_failures_are_likely_overload() {
    let message = said(40, 2600);
    let part = "Answers take 2600 ms instead of 40 ms: likely the app";
    assert!(message.contains(part), "{message}");
}

#[test]
fn answers_that_take_as_long_as_before_are_no_overload() {
    let message = said(40, 60);
    assert!(!message.contains("instead of"), "{message}");
}
