//! Endpoints that fail are left out after so many failures, and come back by a connection of which
//! no client knows.

use std::net::SocketAddr;
use std::time::Duration;

use bywash::faults::{Fault, Peer};
use bywash::routing::policy::Policy;

use super::client::{get, post};
use super::gateway::{Gateway, SHORT, Setup};

const EJECTED: &str = "bywash_upstream_ejected_endpoints";

async fn start(fault: Fault) -> Peer {
    Peer::start(fault).await.unwrap()
}

async fn start_at(address: SocketAddr, fault: Fault) -> Peer {
    Peer::start_at(&[address], "peer", fault).await.unwrap()
}

fn ejections(gateway: &Gateway) -> f64 {
    gateway.metric("bywash_upstream_ejections_total", "")
}

/// Every attempt at one address, in requests until one endpoint was ejected.
async fn attempts_until_ejected(gateway: &Gateway, request: &str) -> Vec<SocketAddr> {
    let mut attempts = Vec::new();
    for _ in 0..100 {
        let (_, entry) = gateway.outcome(request).await;
        attempts.extend(entry.endpoints());
        if ejections(gateway) > 0.0 {
            return attempts;
        }
    }
    panic!("nothing was ejected after {attempts:?}");
}

fn tries(attempts: &[SocketAddr], of: SocketAddr) -> usize {
    attempts.iter().filter(|address| **address == of).count()
}

/// Two that refuse: the first with three failures goes, the other stays, however often it fails.
#[tokio::test]
async fn an_endpoint_that_refuses_is_ejected_after_three_failures_and_the_last_one_never() {
    let any = ["127.0.0.1:0".parse().unwrap(); 2];
    let peer = Peer::start_at(&any, "two", Fault::Refuse).await.unwrap();
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
    assert_eq!(gateway.metric(EJECTED, "shop/shop:80"), 1.0);
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

/// The first thing that a returning endpoint sees is a connection without a request; while that is
/// not accepted, no client's request goes there.
#[tokio::test]
async fn an_ejected_endpoint_is_first_tried_by_a_connection_and_comes_back() {
    let bad = Peer::start(Fault::Refuse).await.unwrap();
    let address = bad.address();
    let other = start(Fault::Refuse).await;
    let mut policy = Policy::default();
    policy.upstream_mut().outlier_detection.ejection.base = SHORT;
    let gateway = Setup::to(&[address, other.address()], policy).start();
    let attempts = attempts_until_ejected(&gateway, &get("/")).await;
    let third = |of: SocketAddr| {
        let mut tried = attempts
            .iter()
            .enumerate()
            .filter(|(_, tried)| **tried == of);
        tried.nth(2).map_or(usize::MAX, |(position, _)| position)
    };
    let ejected = if third(address) < third(other.address()) {
        address
    } else {
        other.address()
    };
    // Nobody listens: the connections of the background fail, and no client ever tries it.
    for _ in 0..20 {
        let (_, entry) = gateway.outcome(get("/")).await;
        assert_eq!(
            tries(&entry.endpoints(), ejected),
            0,
            "{:?}",
            entry.endpoints()
        );
    }
    let (gone, stays) = if ejected == address {
        (bad, other)
    } else {
        (other, bad)
    };
    gone.shutdown().await;
    let back = start_at(ejected, Fault::Echo).await;
    let mut connected_before_request = false;
    for _ in 0..500 {
        let counts = back.counts();
        connected_before_request |= counts.connections > 0 && counts.requests == 0;
        // Not idempotent: it must not be what the endpoint is tried with.
        let half_open = ejected_now(&gateway) > 0.0;
        let (answer, entry) = gateway.outcome(post("/", "body")).await;
        if half_open && ejected_now(&gateway) > 0.0 {
            assert_eq!(tries(&entry.endpoints(), ejected), 0);
            assert_eq!(answer.status, 502);
        }
        if connected_before_request {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(connected_before_request);
    for _ in 0..2 {
        let (answer, entry) = gateway.outcome(get("/")).await;
        assert_eq!((answer.status, entry.endpoints()), (200, vec![ejected]));
    }
    assert_eq!(
        gateway.metric("bywash_upstream_readmissions_total", ""),
        1.0
    );
    // The connection of the background is the one that the requests came on.
    assert_eq!((back.connections(), back.requests()), (1, 2));
    drop(stays);
}

fn ejected_now(gateway: &Gateway) -> f64 {
    gateway.metric(EJECTED, "")
}

async fn thousands_of_requests(fault: Fault, rule: usize) {
    let (one, two) = (start(Fault::Echo).await, start(Fault::Echo).await);
    let bad = start(fault).await;
    let gateway = Gateway::before(&[&one, &two, &bad]);
    const CLIENTS: usize = 4;
    let each = async || {
        let mut client = gateway.client().await;
        for _ in 0..6_000 / CLIENTS {
            assert_eq!(client.ask(get("/")).await.status, 200);
        }
    };
    tokio::join!(each(), each(), each(), each());
    let mut attempts = 0;
    for _ in 0..6_000 {
        attempts += tries(&gateway.logged().await.endpoints(), bad.address());
    }
    assert!(
        (1..=rule + CLIENTS).contains(&attempts),
        "{attempts} attempts"
    );
    assert_eq!(one.requests() + two.requests(), 6_000);
}

#[tokio::test]
async fn of_6000_requests_none_fails_while_one_of_three_endpoints_refuses() {
    thousands_of_requests(Fault::Refuse, 3).await;
}

#[tokio::test]
async fn of_6000_requests_none_fails_while_one_of_three_endpoints_closes() {
    thousands_of_requests(Fault::CloseAfterRequest, 5).await;
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
