//! Endpoints that terminate: new requests go elsewhere at once, those in flight finish.

use std::time::Duration;

use bywash::faults::script::{Script, Step, send};
use bywash::faults::{Fault, Peer};
use bywash::routing::policy::upstream::{Algorithm, CircuitBreaker};
use bywash::routing::snapshot::EndpointState::{Draining, Ready};

use super::client::{get, post, until};
use super::gateway::Gateway;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n";

async fn start(plan: impl Into<Script>) -> Peer {
    Peer::start(plan.into()).await.unwrap()
}

/// What was on its way at that moment may still arrive: one for each client.
#[tokio::test]
async fn under_load_a_draining_endpoint_gets_no_new_request() {
    const CLIENTS: usize = 4;
    const EACH: usize = 500;
    let (one, two) = (start(Fault::Echo).await, start(Fault::Echo).await);
    let gateway = Gateway::with(&[&one, &two], |policy| {
        policy.upstream_mut().load_balancing.algorithm = Algorithm::RoundRobin;
    });
    let load = async || {
        let mut client = gateway.client().await;
        for asked in 0..EACH {
            let request = [get("/"), post("/", "body")][asked % 2].clone();
            client.ask(request).await.described();
        }
    };
    let drain = async || {
        until(&one, |counts| counts.requests >= 100).await;
        gateway.now_has([(&one, Draining), (&two, Ready)]);
        one.requests()
    };
    let ((), (), (), (), then) = tokio::join!(load(), load(), load(), load(), drain());
    assert!(one.requests() <= then + CLIENTS);
    assert_eq!(one.requests() + two.requests(), CLIENTS * EACH);
    assert_eq!(gateway.metric("bywash_retries_total", ""), 0.0);
}

/// A process that ends may be waiting for them to close; nothing will use them.
#[tokio::test]
async fn the_idle_connections_of_a_draining_endpoint_are_closed_and_not_used() {
    let (one, two) = (start(Fault::Echo).await, start(Fault::Echo).await);
    let gateway = Gateway::before(&[&one]);
    gateway.ask(get("/")).await.described();
    gateway.now_has([(&one, Draining), (&two, Ready)]);
    until(&one, |counts| counts.left == 1).await;
    for _ in 0..20 {
        gateway.ask(get("/")).await.described();
        gateway.ask(post("/", "body")).await.described();
    }
    assert_eq!((one.requests(), two.requests()), (1, 40));
}

#[tokio::test]
async fn what_is_in_flight_on_a_draining_endpoint_finishes_there() {
    let one = start(Script::on_request([Step::ReadBody, Step::Gate, send(OK)])).await;
    let two = start(Fault::Echo).await;
    let gateway = Gateway::before(&[&one]);
    let mut client = gateway.client().await;
    client.send(post("/", "body")).await;
    until(&one, |counts| counts.waiting == 1).await;
    gateway.now_has([(&one, Draining), (&two, Ready)]);
    one.open(1);
    assert_eq!(client.answer("POST").await.text(), "ok\n");
    client.ask(get("/")).await.described();
    assert_eq!((one.requests(), two.requests()), (1, 1));
}

#[tokio::test]
async fn a_request_that_fails_on_an_endpoint_that_drains_by_then_is_repeated_elsewhere() {
    let one = start(Script::on_request([
        Step::ReadBody,
        Step::Gate,
        Step::Reset,
    ]))
    .await;
    let two = start(Fault::Echo).await;
    let gateway = Gateway::before(&[&one]);
    let mut client = gateway.client().await;
    client.send(get("/")).await;
    until(&one, |counts| counts.waiting == 1).await;
    gateway.now_has([(&one, Draining), (&two, Ready)]);
    one.open(1);
    client.answer("GET").await.described();
    let endpoints = gateway.logged().await.endpoints();
    assert_eq!(endpoints, [one.address(), two.address()]);
}

/// An endpoint that ends closes what it kept; the same one would be asked again, were it still to be
/// used.
#[tokio::test]
async fn a_request_that_meets_the_close_of_a_kept_connection_does_not_return_to_who_drains_or_is_gone()
 {
    for is_gone in [false, true] {
        let keeps = [
            Step::ReadBody,
            send(OK),
            Step::AwaitBytes,
            Step::Gate,
            Step::Finish,
        ];
        let one = start(Script::on_request(keeps)).await;
        let two = start(Fault::Echo).await;
        let gateway = Gateway::before(&[&one]);
        let mut client = gateway.client().await;
        assert_eq!(client.ask(get("/")).await.text(), "ok\n");
        client.send(get("/")).await;
        until(&one, |counts| counts.waiting == 1).await;
        if is_gone {
            gateway.now_has([(&two, Ready)]);
        } else {
            gateway.now_has([(&one, Draining), (&two, Ready)]);
        }
        one.open(1);
        client.answer("GET").await.described();
        assert_eq!((one.connections(), two.requests()), (1, 1));
    }
}

/// It would wait before it asks the same endpoint again.
#[tokio::test]
async fn a_request_that_waits_for_its_next_try_sees_who_came_meanwhile() {
    for _ in 0..10 {
        let one = start(Fault::ResetAfterRequest).await;
        let two = start(Fault::Echo).await;
        let gateway = Gateway::with(&[&one], |policy| {
            policy.retry.backoff_base = Duration::from_secs(1);
            policy.retry.backoff_max = Duration::from_secs(1);
        });
        let mut client = gateway.client().await;
        client.send(get("/")).await;
        until(&one, |counts| counts.ended == 1).await;
        gateway.now_has([(&one, Draining), (&two, Ready)]);
        client.answer("GET").await;
        let in_time = one.connections() == 1;
        // The wait is drawn at random, and may have been over.
        if in_time {
            let endpoints = gateway.logged().await.endpoints();
            assert_eq!(endpoints, [one.address(), two.address()]);
            return;
        }
    }
    panic!("no request waited");
}

/// All connections that the upstream may have are in use; the one that comes free leads elsewhere.
#[tokio::test]
async fn a_request_that_waits_for_a_connection_goes_elsewhere_when_its_endpoint_drains() {
    let one = start(Script::on_request([Step::ReadBody, Step::Gate, send(OK)])).await;
    let two = start(Fault::Echo).await;
    let gateway = Gateway::with(&[&one], |policy| {
        policy.upstream_mut().circuit_breaker = Some(CircuitBreaker {
            max_connections: 1,
            max_pending_requests: 1,
            ..CircuitBreaker::default()
        });
    });
    let mut first = gateway.client().await;
    first.send(get("/")).await;
    until(&one, |counts| counts.waiting == 1).await;
    let (mut second, mut third) = (gateway.client().await, gateway.client().await);
    second.send(post("/", "body")).await;
    third.send(post("/", "body")).await;
    // The one that is turned away tells that the other waits.
    let (turned_away, mut waits) = tokio::select! {
        answer = second.answer("POST") => (answer, third),
        answer = third.answer("POST") => (answer, second),
    };
    assert_eq!(turned_away.status, 503);
    gateway.now_has([(&one, Draining), (&two, Ready)]);
    one.open(1);
    assert_eq!(first.answer("GET").await.text(), "ok\n");
    waits.answer("POST").await.described();
    assert_eq!((one.requests(), two.requests()), (1, 1));
    assert_eq!(gateway.metric("bywash_retries_total", ""), 0.0);
}

#[tokio::test]
async fn an_endpoint_that_drains_or_is_removed_loses_its_connections_but_for_those_in_use() {
    for is_gone in [false, true] {
        let one = start(Script::on_request([Step::ReadBody, Step::Gate, send(OK)])).await;
        let two = start(Fault::Echo).await;
        let gateway = Gateway::before(&[&one]);
        let mut clients = [gateway.client().await, gateway.client().await];
        for client in &mut clients {
            client.send(get("/")).await;
        }
        until(&one, |counts| counts.waiting == 2).await;
        one.open(1);
        let [first, second] = &mut clients;
        // Whoever it was has its answer and leaves the connection idle.
        let (answered, waiting) = tokio::select! {
            answer = first.answer("GET") => (answer, second),
            answer = second.answer("GET") => (answer, first),
        };
        assert_eq!(answered.text(), "ok\n");
        if is_gone {
            gateway.now_has([(&two, Ready)]);
        } else {
            gateway.now_has([(&one, Draining), (&two, Ready)]);
        }
        until(&one, |counts| counts.left == 1).await;
        one.open(1);
        assert_eq!(waiting.answer("GET").await.text(), "ok\n");
        until(&one, |counts| counts.left == 2).await;
        gateway.ask(get("/")).await.described();
        assert_eq!((one.requests(), two.requests()), (2, 1));
    }
}

#[tokio::test]
async fn with_nothing_ready_a_draining_endpoint_serves() {
    let (one, two) = (start(Fault::Echo).await, start(Fault::Echo).await);
    let gateway = Gateway::before(&[&one]);
    gateway.now_has([(&one, Draining)]);
    for _ in 0..3 {
        gateway.ask(get("/")).await.described();
    }
    assert_eq!(one.connections(), 1);
    gateway.now_has([(&one, Draining), (&two, Ready)]);
    gateway.ask(get("/")).await.described();
    gateway.now_has([(&one, Draining), (&two, Draining)]);
    for _ in 0..40 {
        gateway.ask(get("/")).await.described();
    }
    assert_eq!(one.requests() + two.requests(), 44);
    // What was out of service keeps connections again.
    assert!(one.connections() + two.connections() <= 4);
    gateway.now_has([]);
    assert_eq!(gateway.ask(get("/")).await.status, 503);
}
