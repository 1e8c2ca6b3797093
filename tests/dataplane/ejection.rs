//! Endpoints that fail are left out: after which failures, and how many at once.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use bywash::faults::{Fault, Peer};
use bywash::routing::policy::Policy;

use super::client::{get, within};
use super::gateway::{Gateway, endpoints};

async fn start(fault: Fault) -> Peer {
    Peer::start(fault).await.unwrap()
}

fn ejections(gateway: &Gateway) -> f64 {
    gateway.metric("bywash_upstream_ejections_total", "")
}

/// Every attempt, in requests until one endpoint was ejected.
pub(crate) async fn attempts_until_ejected(gateway: &Gateway, request: &str) -> Vec<SocketAddr> {
    let mut attempts = Vec::new();
    for _ in 0..1_000 {
        let (_, entry) = gateway.outcome(request).await;
        attempts.extend(entry.endpoints());
        if ejections(gateway) > 0.0 {
            return attempts;
        }
    }
    panic!("nothing was ejected after {} attempts", attempts.len());
}

pub(crate) fn tries(attempts: &[SocketAddr], of: SocketAddr) -> usize {
    attempts.iter().filter(|address| **address == of).count()
}

/// Two that refuse: the first with three failures goes, the other stays, however often it fails.
#[tokio::test]
async fn an_endpoint_that_refuses_is_ejected_after_three_failures_and_the_last_one_never() {
    let peer = endpoints(2, Fault::Refuse).await;
    let [first, second] = peer.addresses()[..] else {
        panic!("two addresses")
    };
    let gateway = Gateway::before(&[&peer]);
    let attempts = attempts_until_ejected(&gateway, &get("/")).await;
    let tried = [tries(&attempts, first), tries(&attempts, second)];
    assert_eq!(tried.iter().max(), Some(&3));
    for _ in 0..5 {
        let (answer, entry) = gateway.outcome(get("/")).await;
        assert_eq!((answer.status, entry.attempts.len()), (502, 3));
        let only = entry.endpoints()[0];
        assert_eq!(entry.endpoints(), [only; 3]);
    }
    assert_eq!(ejections(&gateway), 1.0);
    assert_eq!(gateway.metric("bywash_upstream_endpoints", "ejected"), 1.0);
}

#[tokio::test]
async fn an_endpoint_that_breaks_off_is_ejected_after_five_failures() {
    let bad = [
        start(Fault::ResetAfterRequest).await,
        start(Fault::ResetAfterRequest).await,
    ];
    let gateway = Gateway::before(&[&bad[0], &bad[1]]);
    for _ in 0..4 {
        gateway.outcome(get("/")).await;
    }
    assert_eq!(ejections(&gateway), 0.0);
    assert_eq!([bad[0].requests(), bad[1].requests()], [4, 4]);
    gateway.outcome(get("/")).await;
    assert_eq!(ejections(&gateway), 1.0);
    assert_eq!(bad[0].requests() + bad[1].requests(), 10);
}

/// Every second request fails: never five in a row, but half of twenty.
#[tokio::test]
async fn an_endpoint_that_fails_half_of_twenty_requests_is_ejected() {
    let every_second = [Fault::Echo, Fault::Garbage];
    let (one, two) = (
        Peer::start(every_second).await.unwrap(),
        Peer::start(every_second).await.unwrap(),
    );
    let gateway = Gateway::before(&[&one, &two]);
    let attempts = attempts_until_ejected(&gateway, &get("/")).await;
    let tried = [&one, &two].map(|peer| tries(&attempts, peer.address()));
    assert_eq!(tried.iter().max(), Some(&20));
}

#[tokio::test]
async fn no_more_endpoints_are_ejected_than_the_policy_allows() {
    let peer = endpoints(4, Fault::Refuse).await;
    let gateway = Gateway::with(&[&peer], |policy| {
        policy.upstream_mut().outlier_detection.ejection.max_percent = 50;
    });
    let mut tried_at_last = BTreeSet::new();
    for request in 0..40 {
        let (answer, entry) = gateway.outcome(get("/")).await;
        assert_eq!(answer.status, 502);
        if request >= 20 {
            tried_at_last.extend(entry.endpoints());
        }
    }
    assert_eq!(ejections(&gateway), 2.0);
    assert_eq!(tried_at_last.len(), 2);
}

#[tokio::test]
async fn an_error_of_the_application_ejects_nobody() {
    let (one, two) = (
        start(Fault::Unavailable).await,
        start(Fault::Unavailable).await,
    );
    let gateway = Gateway::before(&[&one, &two]);
    for _ in 0..20 {
        assert_eq!(gateway.ask(get("/")).await.status, 503);
    }
    assert_eq!(ejections(&gateway), 0.0);
}

#[tokio::test]
async fn a_status_that_the_policy_lists_counts_as_a_failure() {
    let (one, two) = (
        start(Fault::Unavailable).await,
        start(Fault::Unavailable).await,
    );
    let gateway = Gateway::with(&[&one, &two], |policy| {
        policy.upstream_mut().outlier_detection.statuses = vec![503];
    });
    for _ in 0..20 {
        assert_eq!(gateway.ask(get("/")).await.status, 503);
    }
    assert_eq!(ejections(&gateway), 1.0);
}

/// The head is right each time, so that only the end of the body tells.
#[tokio::test]
async fn an_endpoint_whose_bodies_break_off_is_ejected() {
    let (one, two) = (start(Fault::ShortBody).await, start(Fault::ShortBody).await);
    let gateway = Gateway::before(&[&one, &two]);
    for _ in 0..9 {
        gateway.ask(get("/")).await;
        gateway.logged().await;
    }
    assert_eq!(ejections(&gateway), 1.0);
    assert_eq!(one.requests() + two.requests(), 9);
}

/// Four clients never use up what a quiet upstream may be retried; a budget of nothing does.
#[tokio::test]
async fn without_a_budget_only_what_was_never_sent_is_retried() {
    let good = start(Fault::Echo).await;
    let none = |policy: &mut Policy| {
        policy.retry.budget.percent = 0;
        policy.retry.budget.min_per_second = 0;
    };
    let refused = start(Fault::Refuse).await;
    let gateway = Gateway::with(&[&good, &refused], none);
    for _ in 0..20 {
        assert_eq!(gateway.ask(get("/")).await.status, 200);
    }
    assert_eq!(gateway.metric("bywash_retries_over_budget_total", ""), 0.0);

    let (one, two) = (
        start(Fault::ResetAfterRequest).await,
        start(Fault::ResetAfterRequest).await,
    );
    let gateway = Gateway::with(&[&one, &two], none);
    let (answer, entry) = gateway.outcome(get("/")).await;
    assert_eq!((answer.status, entry.attempts.len()), (502, 1));
    assert_eq!(one.requests() + two.requests(), 1);
    assert_eq!(
        gateway.metric("bywash_retries_over_budget_total", "shop/shop:80"),
        1.0
    );
}

/// Only attempts that begin are what an upstream may have too many of.
#[tokio::test]
async fn a_retry_for_which_there_is_no_time_takes_nothing_of_the_budget() {
    let peer = start(Fault::ResetAfterRequest).await;
    let gateway = Gateway::with(&[&peer], |policy| {
        policy.retry.budget.percent = 0;
        policy.retry.budget.min_per_second = 1;
        // The only endpoint may be tried again after a wait for which there is no time.
        policy.retry.backoff_base = Duration::from_secs(1_000_000_000);
        policy.retry.backoff_max = policy.retry.backoff_base;
    });
    // More than the ten that it holds.
    for _ in 0..20 {
        let (_, entry) = gateway.outcome(get("/")).await;
        let attempt = entry.attempts.last().unwrap();
        assert_eq!(attempt.reason.as_deref(), Some("deadline"));
    }
    for counter in ["bywash_retries_over_budget_total", "bywash_retries_total"] {
        assert_eq!(gateway.metric(counter, ""), 0.0, "{counter}");
    }
}

/// Else any client could have healthy endpoints left out.
#[tokio::test]
async fn a_caller_that_allows_less_time_than_the_policy_ejects_nobody() {
    let (one, two) = (
        start(Fault::StallBeforeHead).await,
        start(Fault::StallBeforeHead).await,
    );
    let gateway = Gateway::before(&[&one, &two]);
    let call = "GET / HTTP/1.1\r\nHost: shop.test\r\nContent-Type: application/grpc\r\n\
                grpc-timeout: 50m\r\n\r\n";
    within("six calls for each", async {
        while one.requests().min(two.requests()) < 6 {
            let (answer, entry) = gateway.outcome(call).await;
            assert_eq!(answer.field("grpc-status"), Some("4"));
            assert_eq!(entry.causes(), ["caller_deadline"]);
        }
    })
    .await;
    assert_eq!(ejections(&gateway), 0.0);
    let own = |policy: &mut Policy| policy.timeouts.request = Duration::from_millis(50);
    let gateway = Gateway::with(&[&one, &two], own);
    attempts_until_ejected(&gateway, call).await;
}
