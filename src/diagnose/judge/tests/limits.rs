//! Of limits that turn requests away: what all replicas say, with the inertia of everything that depends on
//! requests.

use std::sync::Arc;

use super::*;
use crate::report::traffic::QUIET;
use crate::routing::policy::upstream::{CircuitBreaker, UpstreamPolicy};

fn limited_to(max_requests: u32) -> CircuitBreaker {
    CircuitBreaker {
        max_requests,
        ..CircuitBreaker::default()
    }
}

fn upstream(name: &str, max_requests: u32) -> UpstreamId {
    let policy = UpstreamPolicy {
        circuit_breaker: Some(limited_to(max_requests)),
        ..UpstreamPolicy::default()
    };
    UpstreamId {
        service: ServicePort {
            namespace: "shop".into(),
            name: name.into(),
            port: 80,
        },
        policy: Arc::new(policy),
    }
}

fn turns_away(upstream: &UpstreamId) -> OverloadReport {
    let limits = upstream.policy.circuit_breaker.as_ref().unwrap();
    OverloadReport::of(upstream, limits, ["maxRequests"].into_iter())
}

fn limiting() -> Shop {
    let mut shop = Shop::new();
    shop.limited = vec![upstream("cart", 10)];
    shop.second(100, &[]);
    shop
}

fn said(shop: &Shop) -> (Option<bool>, &'static str) {
    let verdict = shop.on_policy("CircuitBreakerOpen");
    (verdict.status, verdict.reason)
}

#[test]
fn a_policy_without_limits_says_nothing_of_them() {
    let mut shop = Shop::new();
    shop.overloads = vec![turns_away(&upstream("cart", 10))];
    shop.second(100, &[]);
    let said = &shop.judge.said().policies[&policy().object];
    let mut verdicts = said.verdicts.iter();
    assert!(verdicts.all(|it| it.condition != "CircuitBreakerOpen"));
}

#[test]
fn limits_that_any_replica_turns_requests_away_for_are_told_and_taken_back() {
    let mut shop = limiting();
    assert_eq!(said(&shop), (Some(false), "Closed"));
    shop.overloads = vec![turns_away(&upstream("cart", 10))];
    shop.second(100, &[]);
    assert_eq!(said(&shop), (Some(true), "LimitReached"));
    let message = &shop.on_policy("CircuitBreakerOpen").message;
    assert!(
        message.contains("maxRequests of shop/cart:80:"),
        "{message}"
    );
    shop.overloads.clear();
    shop.seconds(QUIET, 100, &[]);
    assert_eq!(said(&shop), (Some(false), "Closed"));
}

#[test]
fn limits_of_another_policy_are_no_concern_of_this_one() {
    let mut shop = limiting();
    shop.overloads = vec![
        turns_away(&upstream("other", 10)),
        turns_away(&upstream("cart", 2)),
    ];
    shop.seconds(10, 100, &[]);
    assert_eq!(said(&shop), (Some(false), "Closed"));
}

#[test]
fn limits_change_what_is_said_as_seldom_as_anything_else_does() {
    let mut shop = limiting();
    shop.seconds(QUIET, 100, &[]);
    let before = shop.changes;
    for turn in 0..100 {
        shop.overloads.clear();
        if turn % 2 == 0 {
            shop.overloads = vec![turns_away(&upstream("cart", 10))];
        }
        shop.second(100, &[]);
    }
    assert_eq!(
        shop.changes - before,
        6,
        "five changes, the last one for the worse, and that it alternates"
    );
    assert_eq!(said(&shop), (Some(true), "LimitReached"));
    let message = &shop.on_policy("CircuitBreakerOpen").message;
    assert!(message.ends_with("until it has settled."), "{message}");
}

/// Neither uses up what the other may say.
#[test]
fn limits_that_come_and_go_keep_nothing_else_from_being_told() {
    let refused = [(Cause::ConnectionRefused, 50)];
    let mut shop = limiting();
    shop.seconds(QUIET, 100, &[]);
    for turn in 0..100 {
        shop.overloads.clear();
        if turn % 2 == 0 {
            shop.overloads = vec![turns_away(&upstream("cart", 10))];
        }
        shop.second(100, &[]);
    }
    shop.seconds(10, 100, &refused);
    let failing = shop.on_policy("BadGateway");
    assert_eq!(failing.status, Some(true));
    assert!(
        !failing.message.contains("comes and goes"),
        "{}",
        failing.message
    );
    let limits = &shop.on_policy("CircuitBreakerOpen").message;
    assert!(limits.ends_with("until it has settled."), "{limits}");
    shop.seconds(QUIET, 100, &[]);
    assert_eq!(shop.on_policy("BadGateway").status, Some(false));
}

#[test]
fn trouble_that_comes_and_goes_keeps_no_limit_from_being_told() {
    let mut shop = limiting();
    shop.seconds(QUIET, 100, &[]);
    for _ in 0..10 {
        shop.seconds(10, 100, &[(Cause::ConnectionRefused, 50)]);
        shop.seconds(10, 100, &[]);
    }
    let message = &shop.on_policy("BadGateway").message;
    assert!(message.ends_with("until it has settled."), "{message}");
    shop.overloads = vec![turns_away(&upstream("cart", 10))];
    shop.seconds(10, 100, &[]);
    assert_eq!(said(&shop), (Some(true), "LimitReached"));
}

#[test]
fn a_new_leader_says_that_limits_are_reached_until_it_has_heard_all() {
    let words = "because of maxRequests of shop/cart:80";
    let seeds = what_stands("CircuitBreakerOpen", "LimitReached", words);
    let mut shop = Shop::with(seeds);
    shop.limited = vec![upstream("cart", 10)];
    shop.seconds(QUIET - 1, 100, &[]);
    assert_eq!(said(&shop), (Some(true), "LimitReached"));
    let message = &shop.on_policy("CircuitBreakerOpen").message;
    assert_eq!(message, words);
    shop.seconds(2, 100, &[]);
    assert_eq!(said(&shop), (Some(false), "Closed"));
}

#[test]
fn of_many_upstreams_that_turn_requests_away_twenty_are_named() {
    let mut shop = Shop::new();
    shop.limited = (10..35).map(|n| upstream(&format!("s{n}"), 1)).collect();
    shop.overloads = shop.limited.iter().map(turns_away).collect();
    shop.second(100, &[]);
    let message = &shop.on_policy("CircuitBreakerOpen").message;
    let end = "maxRequests of shop/s29:80 and 5 more: raise";
    assert!(
        message.contains(end) && !message.contains("s30"),
        "{message}"
    );
}

#[test]
fn a_new_leader_says_once_that_a_limit_is_reached_now_and_then() {
    let mut breaker = breaker::Breaker::default();
    let words = "shop/cart:80 is at maxRequests.";
    let said = |message: String| Verdict {
        condition: "CircuitBreakerOpen",
        status: Some(true),
        reason: "LimitReached",
        message,
    };
    let stands = said(crate::diagnose::wording::alternating(
        words.to_owned(),
        true,
    ));
    breaker.begin_with(&stands);
    let manner = |alternates| Manner {
        holds: true,
        alternates,
    };
    assert_eq!(breaker.tell(manner(true)), Some(stands));
    assert_eq!(breaker.tell(manner(false)), Some(said(words.to_owned())));
}
