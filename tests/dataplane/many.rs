//! Many requests at once, while one of three endpoints fails: none of them fails, and few of them are
//! what finds out.

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::time::Duration;

use bywash::failure::Cause;
use bywash::faults::{Fault, Peer};
use bywash::routing::policy::Policy;
use bywash::routing::policy::upstream::Algorithm;

use super::client::get;
use super::gateway::{Setup, addresses};

const CLIENTS: usize = 16;
const REQUESTS: usize = 6_000;

/// The endpoint is tried as often as the rule has it, and by what was on its way there then: one
/// request of each client, whichever worker serves it.
async fn few_attempts_at_an_endpoint_that(fault: Fault, workers: usize) {
    let (cause, rule) = match fault {
        Fault::Refuse => (Cause::ConnectionRefused, 3.0),
        _ => (Cause::ConnectionClosed, 5.0),
    };
    let (one, two) = (
        Peer::start(Fault::Echo).await.unwrap(),
        Peer::start(Fault::Echo).await.unwrap(),
    );
    let bad = Peer::start(fault).await.unwrap();
    let mut policy = Policy::default();
    // By latency, an endpoint that failed a few times is hardly ever asked again, and then never ejected.
    policy.upstream_mut().load_balancing.algorithm = Algorithm::RoundRobin;
    // Beyond the end of the test.
    policy.upstream_mut().outlier_detection.ejection.base = Duration::from_secs(300);
    let mut setup = Setup::to(&addresses(&[&one, &two, &bad]), policy);
    setup.settings.workers = NonZeroUsize::new(workers).unwrap();
    let gateway = setup.start();
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(gateway.client().await);
    }
    let ejections = || gateway.metric("bywash_upstream_ejections_total", "");
    let asked = Cell::new(0);
    let asking = clients.iter_mut().map(async |client| {
        while asked.get() < REQUESTS || ejections() < 1.0 {
            asked.set(asked.get() + 1);
            assert!(asked.get() < 10 * REQUESTS, "it is never ejected");
            assert_eq!(client.ask(get("/")).await.status, 200);
        }
    });
    futures::future::join_all(asking).await;
    let attempts = gateway.metric("bywash_upstream_attempt_failures_total", cause.label());
    let most = rule + CLIENTS as f64 - 1.0;
    assert!((rule..=most).contains(&attempts), "{attempts} attempts");
    assert_eq!(ejections(), 1.0);
}

#[tokio::test]
async fn of_6000_requests_none_fails_while_one_of_three_endpoints_refuses() {
    few_attempts_at_an_endpoint_that(Fault::Refuse, 1).await;
}

#[tokio::test]
async fn of_6000_requests_none_fails_while_one_of_three_endpoints_closes() {
    few_attempts_at_an_endpoint_that(Fault::CloseAfterRequest, 1).await;
}

#[tokio::test]
async fn what_one_worker_learns_of_an_endpoint_that_refuses_all_know() {
    few_attempts_at_an_endpoint_that(Fault::Refuse, 4).await;
}

#[tokio::test]
async fn what_one_worker_learns_of_an_endpoint_that_closes_all_know() {
    few_attempts_at_an_endpoint_that(Fault::CloseAfterRequest, 4).await;
}
