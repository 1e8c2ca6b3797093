//! How long connections are kept: by the policy, by what the endpoint announces, and by what it does.
//!
//! Time is what is tested here, so that limits are short and the peers keep the clock: a peer tells
//! who ended a connection first.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bywash::faults::script::{Script, Step, send};
use bywash::faults::{Fault, Peer};
use bywash::routing::host::HostPattern;
use bywash::routing::policy::Policy;
use bywash::routing::policy::upstream::ConnectionPool;
use bywash::routing::snapshot::{Target, UpstreamId};

use super::client::{Client, get, post, until};
use super::gateway::{Gateway, SHORT, Setup, addresses, everything_to};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n";

/// Longer than a request that must not be repeated lets a connection have idled.
const NOT_JUST_USED: Duration = Duration::from_millis(1_100);

const CUTS: &str = "bywash_upstream_idle_connections_cut_total";

fn cuts(gateway: &Gateway) -> f64 {
    gateway.metric(CUTS, "shop/shop:80")
}

fn before(peer: &Peer, change: impl FnOnce(&mut ConnectionPool)) -> Gateway {
    Gateway::with(&[peer], |policy| {
        change(&mut policy.upstream_mut().connection_pool);
    })
}

/// An endpoint that announces nothing and closes what idles for so long.
async fn closes_after(idle: Duration) -> Peer {
    let script = Script::on_request([Step::ReadBody, send(OK), Step::Linger(idle)]);
    Peer::start(script).await.unwrap()
}

/// So many connections serve a request each, and idle.
async fn on_connections(gateway: &Gateway, peer: &Peer, count: usize) {
    for _ in 0..count {
        peer.once(Script::on_request([Step::ReadBody, Step::Gate, send(OK)]));
    }
    let already = peer.counts().requests;
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = gateway.client().await;
        client.send(get("/")).await;
        clients.push(client);
    }
    until(peer, |counts| counts.waiting == count).await;
    peer.open(count);
    for client in &mut clients {
        assert_eq!(client.answer("GET").await.status, 200);
    }
    assert_eq!(peer.requests(), already + count);
}

#[tokio::test]
async fn no_more_connections_idle_than_the_policy_says() {
    for most in [0, 2] {
        let peer = Peer::start(Fault::Echo).await.unwrap();
        let gateway = before(&peer, |pool| pool.max_idle_per_endpoint = most);
        on_connections(&gateway, &peer, 5).await;
        let most = usize::from(most);
        until(&peer, |counts| counts.left == 5 - most).await;
        on_connections(&gateway, &peer, 2).await;
        assert_eq!(peer.connections(), 5 + 2 - most);
    }
}

#[tokio::test]
async fn a_connection_that_idles_too_long_is_closed() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let gateway = before(&peer, |pool| pool.idle_timeout = SHORT);
    on_connections(&gateway, &peer, 3).await;
    let counts = until(&peer, |counts| counts.ended == 3).await;
    assert_eq!((counts.connections, counts.left), (3, 3));
    // The task that closes them starts again.
    gateway.ask(get("/")).await.described();
    until(&peer, |counts| counts.left == 4).await;
    assert_eq!(cuts(&gateway), 0.0);
}

#[tokio::test]
async fn a_connection_is_closed_after_so_many_requests() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let gateway = before(&peer, |pool| pool.max_requests_per_connection = 3);
    for _ in 0..7 {
        gateway.ask(get("/")).await.described();
    }
    let counts = until(&peer, |counts| counts.ended == 2).await;
    assert_eq!((counts.connections, counts.left), (3, 2));
    let served: Vec<usize> = peer.received().iter().map(|one| one.requests).collect();
    assert_eq!(served, [3, 3, 1]);
}

/// The peer would close after the two seconds that it announces.
#[tokio::test]
async fn the_idle_life_that_an_endpoint_announces_is_stayed_below() {
    let announced = OK.replace("\r\n\r\n", "\r\nKeep-Alive: timeout=2, max=100\r\n\r\n");
    let idle = Step::Linger(Duration::from_secs(2));
    let peer = Peer::start(Script::on_request([Step::ReadBody, send(announced), idle])).await;
    let peer = peer.unwrap();
    let gateway = Gateway::before(&[&peer]);
    for _ in 0..2 {
        assert_eq!(gateway.ask(get("/")).await.status, 200);
    }
    let counts = until(&peer, |counts| counts.ended == 1).await;
    assert_eq!((counts.connections, counts.left), (1, 1));
}

#[tokio::test]
async fn a_connection_that_must_not_idle_at_all_is_not_kept() {
    let announced = OK.replace("\r\n\r\n", "\r\nKeep-Alive: timeout=0\r\n\r\n");
    let peer = Peer::start(Script::answer(announced)).await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    for asked in 1..=3 {
        assert_eq!(gateway.ask(get("/")).await.status, 200);
        until(&peer, |counts| counts.left == asked).await;
    }
}

/// The endpoint cuts connections until it is known; from then on they are closed before it does.
#[tokio::test]
async fn an_idle_life_that_the_endpoint_keeps_cutting_short_is_learned() {
    let peer = closes_after(Duration::from_secs(1)).await;
    let gateway = Gateway::before(&[&peer]);
    let mut cut = 0;
    for asked in 1.. {
        let (answer, entry) = gateway.outcome(get("/")).await;
        assert_eq!((answer.status, entry.attempts.len()), (200, 1));
        let counts = until(&peer, |counts| counts.ended == asked).await;
        if counts.left > 0 {
            break;
        }
        cut += 1;
        assert!(cut < 10, "{cut} connections were cut, and nothing learned");
    }
    assert!(cut >= 3, "learned from {cut}");
    assert_eq!(cuts(&gateway), f64::from(cut));
    let mut at_once = 0;
    while at_once < 3 {
        let (connections, begun) = (peer.connections(), Instant::now());
        for request in [post("/", "body"), get("/")] {
            let (answer, entry) = gateway.outcome(request).await;
            assert_eq!((answer.status, entry.attempts.len()), (200, 1));
        }
        // Those that come at once share a connection still.
        if begun.elapsed() < Duration::from_millis(300) {
            assert_eq!(peer.connections(), connections + 1);
            at_once += 1;
        }
        until(&peer, |counts| {
            counts.left + cut as usize == counts.connections
        })
        .await;
    }
    assert_eq!(cuts(&gateway), f64::from(cut));
}

#[tokio::test]
async fn a_restart_that_closes_all_connections_at_once_teaches_nothing() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let address = peer.address();
    let gateway = Gateway::before(&[&peer]);
    on_connections(&gateway, &peer, 8).await;
    tokio::time::sleep(SHORT / 2).await;
    peer.shutdown().await;
    let peer = Peer::start_at(&[address], "peer", Fault::Echo)
        .await
        .unwrap();
    // They end one by one, and each is told of.
    gateway.until_metric(CUTS, |cuts| cuts >= 8.0).await;
    gateway.ask(get("/")).await.described();
    tokio::time::sleep(SHORT * 2).await;
    gateway.ask(get("/")).await.described();
    assert_eq!(peer.connections(), 1);
    assert_eq!(cuts(&gateway), 8.0);
}

#[tokio::test]
async fn what_must_not_be_repeated_goes_on_a_connection_that_was_just_used_or_on_a_new_one() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let gateway = before(&peer, |pool| pool.idle_timeout = Duration::from_secs(60));
    gateway.ask(get("/")).await.described();
    gateway.ask(post("/", "body")).await.described();
    assert_eq!(peer.connections(), 1);
    tokio::time::sleep(NOT_JUST_USED).await;
    gateway.ask(get("/")).await.described();
    assert_eq!(peer.connections(), 1);
    tokio::time::sleep(NOT_JUST_USED).await;
    gateway.ask(post("/", "body")).await.described();
    assert_eq!(peer.connections(), 2);
}

/// The same endpoint under two policies: of the host `other.test`, and of all others.
fn two_policies(peer: &Peer, other: ConnectionPool) -> Setup {
    let mut policy = Policy::default();
    policy.upstream_mut().connection_pool.idle_timeout = Duration::from_secs(60);
    let mut setup = Setup::to(&addresses(&[peer]), policy.clone());
    policy.upstream_mut().connection_pool = other;
    let (id, spec) = setup.snapshot.upstreams.first_key_value().unwrap();
    let (id, spec) = (id.clone(), spec.clone());
    let id = UpstreamId {
        policy: Arc::clone(&policy.upstream),
        ..id
    };
    setup.snapshot.upstreams.insert(id.clone(), spec);
    let host = HostPattern::parse("other.test").unwrap();
    let routed = everything_to(Target::Upstream(id), policy);
    setup.snapshot.hosts.insert(host, routed);
    setup
}

async fn ask_other(client: &mut Client) {
    let request = get("/").replace("shop.test", "other.test");
    client.ask(request).await.described();
}

#[tokio::test]
async fn upstreams_that_differ_in_policy_alone_share_connections_within_the_limits_of_each() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let other = ConnectionPool {
        idle_timeout: NOT_JUST_USED,
        max_requests_per_connection: 3,
        ..ConnectionPool::default()
    };
    let gateway = two_policies(&peer, other).start();
    let mut client = gateway.client().await;
    client.ask(get("/")).await.described();
    ask_other(&mut client).await;
    assert_eq!(peer.connections(), 1);
    // It was given back under the shorter limit.
    until(&peer, |counts| counts.left == 1).await;

    client.ask(get("/")).await.described();
    tokio::time::sleep(NOT_JUST_USED * 3 / 2).await;
    ask_other(&mut client).await;
    assert_eq!(peer.connections(), 3, "the kept one had idled too long");
    until(&peer, |counts| counts.left == 2).await;

    for _ in 0..2 {
        client.ask(get("/")).await.described();
    }
    ask_other(&mut client).await;
    assert_eq!(peer.connections(), 4, "the kept one had served three");
    let served: Vec<usize> = peer.received().iter().map(|one| one.requests).collect();
    assert_eq!(served, [2, 3, 1, 1]);
}
