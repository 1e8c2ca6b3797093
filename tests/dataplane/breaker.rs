//! Limits of an upstream: what exceeds them is turned away at once, or waits its turn.

use std::num::NonZeroUsize;

use bywash::faults::script::{Script, Step, send};
use bywash::faults::{Fault, Peer};
use bywash::proxy::RuntimeKind;
use bywash::routing::policy::Policy;
use bywash::routing::policy::upstream::{Algorithm, CircuitBreaker};

use super::client::{End, get, post, until, within};
use super::gateway::{Gateway, SHORT, Setup, addresses};
use super::upgrade::UPGRADE;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n";

/// Answers each request when told.
fn gated() -> Script {
    Script::on_request([Step::ReadBody, Step::Gate, send(OK)])
}

fn limit(change: impl FnOnce(&mut CircuitBreaker)) -> impl FnOnce(&mut Policy) {
    move |policy| {
        let mut breaker = CircuitBreaker::default();
        change(&mut breaker);
        policy.upstream_mut().circuit_breaker = Some(breaker);
    }
}

#[tokio::test]
async fn a_request_beyond_the_limit_is_turned_away_at_once_with_a_time_to_come_back() {
    let peer = Peer::start(gated()).await.unwrap();
    let gateway = Gateway::with(&[&peer], limit(|breaker| breaker.max_requests = 1));
    let mut first = gateway.client().await;
    first.send(get("/")).await;
    until(&peer, |counts| counts.requests == 1).await;

    let answer = gateway.ask(get("/")).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.proxy_error(), Some("connection_limit_reached"));
    assert_eq!(answer.field("retry-after"), Some("1"));
    let entry = gateway.logged().await;
    assert_eq!(entry.cause.as_deref(), Some("limit_reached"));
    let turned_away = "bywash_requests_turned_away_total";
    assert_eq!(gateway.metric(turned_away, "maxRequests"), 1.0);

    peer.open(2);
    assert_eq!(first.answer("GET").await.status, 200);
    assert_eq!(gateway.ask(get("/")).await.status, 200);
    assert_eq!(peer.requests(), 2);
}

#[tokio::test]
async fn a_request_counts_until_its_body_has_ended() {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nok\n";
    let script = Script::on_request([Step::ReadBody, send(half), Step::Gate, send("ok\n")]);
    let peer = Peer::start(script).await.unwrap();
    let gateway = Gateway::with(&[&peer], limit(|breaker| breaker.max_requests = 1));
    let mut first = gateway.client().await;
    first.send(get("/")).await;
    until(&peer, |counts| counts.waiting == 1).await;
    assert_eq!(gateway.ask(get("/")).await.status, 503);
    peer.open(2);
    assert_eq!(first.answer("GET").await.end, End::Whole);
    assert_eq!(gateway.ask(get("/")).await.status, 200);
}

#[tokio::test]
async fn a_request_that_is_retried_counts_once_and_to_its_end() {
    let bad = Peer::start(Fault::Unavailable).await.unwrap();
    let good = Peer::start(gated()).await.unwrap();
    let gateway = Gateway::with(&[&bad, &good], limit(|breaker| breaker.max_requests = 1));
    for round in 1..=8 {
        let mut first = gateway.client().await;
        first.send(get("/")).await;
        until(&good, |counts| counts.requests == round).await;
        assert_eq!(gateway.ask(get("/")).await.status, 503);
        good.open(1);
        assert_eq!(first.answer("GET").await.status, 200);
    }
}

#[tokio::test]
async fn a_request_waits_for_the_connection_that_the_one_before_it_uses() {
    let peer = Peer::start(gated()).await.unwrap();
    let gateway = Gateway::with(&[&peer], limit(|breaker| breaker.max_connections = 1));
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = gateway.client().await;
        client.send(get("/")).await;
        clients.push(client);
    }
    peer.open(4);
    for client in &mut clients {
        assert_eq!(client.answer("GET").await.status, 200);
    }
    assert_eq!((peer.connections(), peer.requests()), (1, 4));
}

#[tokio::test]
async fn no_more_requests_wait_than_may() {
    let peer = Peer::start(gated()).await.unwrap();
    let gateway = Gateway::with(
        &[&peer],
        limit(|breaker| {
            breaker.max_connections = 1;
            breaker.max_pending_requests = 1;
        }),
    );
    let mut first = gateway.client().await;
    first.send(get("/")).await;
    until(&peer, |counts| counts.requests == 1).await;
    let (mut second, mut third) = (gateway.client().await, gateway.client().await);
    second.send(get("/")).await;
    third.send(get("/")).await;
    let (turned_away, mut waits) = tokio::select! {
        answer = second.answer("GET") => (answer, third),
        answer = third.answer("GET") => (answer, second),
    };
    assert_eq!(turned_away.status, 503);
    peer.open(2);
    assert_eq!(first.answer("GET").await.status, 200);
    assert_eq!(waits.answer("GET").await.status, 200);
    assert_eq!(peer.requests(), 2);
}

#[tokio::test]
async fn who_waits_in_vain_is_turned_away_and_never_sent() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let gateway = Gateway::with(&[&peer], |policy| {
        limit(|breaker| breaker.max_connections = 1)(policy);
        policy.timeouts.request = 4 * SHORT;
    });
    let mut tunnel = gateway.client().await;
    tunnel.send(UPGRADE).await;
    assert_eq!(tunnel.head().await.status, 101);
    let answer = gateway.ask(post("/", "body")).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.proxy_error(), Some("connection_limit_reached"));
    assert_eq!((peer.connections(), peer.requests()), (1, 1));
    let turned_away = "bywash_requests_turned_away_total";
    assert_eq!(gateway.metric(turned_away, "maxConnections"), 1.0);
}

#[tokio::test]
async fn nobody_waits_longer_for_a_connection_than_an_attempt_may_take() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let gateway = Gateway::with(&[&peer], |policy| {
        limit(|breaker| breaker.max_connections = 1)(policy);
        policy.retry.per_try = Some(SHORT);
    });
    let mut tunnel = gateway.client().await;
    tunnel.send(UPGRADE).await;
    assert_eq!(tunnel.head().await.status, 101);
    let (answer, entry) = gateway.outcome(get("/")).await;
    assert_eq!(answer.status, 503);
    assert_eq!(entry.causes(), ["limit_reached"]);
    assert!(entry.duration_ms < 5_000.0, "{entry:?}");
}

#[tokio::test]
async fn where_nobody_may_wait_an_idle_connection_elsewhere_still_makes_room() {
    let (one, two) = (
        Peer::start(Fault::Echo).await.unwrap(),
        Peer::start(Fault::Echo).await.unwrap(),
    );
    let gateway = Gateway::with(&[&one, &two], |policy| {
        policy.upstream_mut().load_balancing.algorithm = Algorithm::RoundRobin;
        limit(|breaker| {
            breaker.max_connections = 1;
            breaker.max_pending_requests = 0;
        })(policy);
    });
    for _ in 0..10 {
        gateway.ask(get("/")).await.described();
    }
    assert_eq!((one.requests(), two.requests()), (5, 5));
}

#[tokio::test]
async fn one_idle_connection_is_closed_for_one_request() {
    let peers = [(); 3].map(|()| Peer::start(Fault::Echo));
    let peers = futures::future::try_join_all(peers).await.unwrap();
    let peers: Vec<&Peer> = peers.iter().collect();
    let gateway = Gateway::with(&peers, |policy| {
        policy.upstream_mut().load_balancing.algorithm = Algorithm::RoundRobin;
        limit(|breaker| {
            breaker.max_connections = 2;
            breaker.max_pending_requests = 0;
        })(policy);
    });
    for _ in 0..12 {
        gateway.ask(get("/")).await.described();
    }
    // Of three endpoints in turn two are connected: one request in three finds a connection.
    let opened: usize = peers.iter().map(|peer| peer.connections()).sum();
    assert!(opened <= 10, "{opened} connections for 12 requests");
}

#[tokio::test]
async fn an_idle_connection_to_one_endpoint_makes_room_for_one_to_another() {
    let (one, two) = (
        Peer::start(Fault::Echo).await.unwrap(),
        Peer::start(Fault::Echo).await.unwrap(),
    );
    let gateway = Gateway::with(&[&one, &two], limit(|breaker| breaker.max_connections = 1));
    for _ in 0..30 {
        gateway.ask(get("/")).await.described();
    }
    assert!(one.requests() > 0 && two.requests() > 0);
    let open = |peer: &Peer| {
        let counts = peer.counts();
        counts.connections - counts.ended
    };
    assert!(open(&one) + open(&two) <= 2, "one, and one that is ending");
}

#[tokio::test]
async fn workers_make_room_for_each_other() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let mut policy = Policy::default();
    limit(|breaker| breaker.max_connections = 2)(&mut policy);
    let mut setup = Setup::to(&addresses(&[&peer]), policy);
    setup.settings.workers = NonZeroUsize::new(2).unwrap();
    setup.settings.runtime = RuntimeKind::PerCore;
    let gateway = setup.start();
    let clients = (0..8).map(|_| async {
        let mut client = gateway.client().await;
        for _ in 0..20 {
            client.ask(get("/")).await.described();
        }
    });
    within("all clients", futures::future::join_all(clients)).await;
    assert_eq!(peer.requests(), 160);
}

#[tokio::test]
async fn an_upgraded_connection_counts_as_a_connection_and_not_as_a_request() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let gateway = Gateway::with(
        &[&peer],
        limit(|breaker| {
            breaker.max_connections = 1;
            breaker.max_pending_requests = 0;
            breaker.max_requests = 1;
        }),
    );
    let mut tunnel = gateway.client().await;
    tunnel.send(UPGRADE).await;
    assert_eq!(tunnel.head().await.status, 101);
    let answer = gateway.ask(get("/")).await;
    assert_eq!(answer.status, 503);
    assert_eq!(
        gateway.metric("bywash_requests_turned_away_total", "maxPendingRequests"),
        1.0
    );
    drop(tunnel);
    until(&peer, |counts| counts.ended == 1).await;
    within("the tunnel's connection to be free", async {
        while gateway.ask(get("/")).await.status != 200 {}
    })
    .await;
}
