//! Endpoints that probes find down get no requests, and come back when probes say so.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use bywash::faults::script::{Script, Step};
use bywash::faults::{Fault, Peer, Received};
use bywash::routing::policy::Policy;
use bywash::routing::policy::upstream::{HealthCheck, Probe, StatusRange};
use bywash::routing::snapshot::Snapshot;

use super::client::{get, until};
use super::gateway::{SHORT, Setup, addresses};

mod grpc;
mod tls;
mod told;

const DOWN: &str = "bywash_upstream_endpoints{upstream=\"shop/shop:80\",state=\"down\"}";
const BAD: &str = "bywash_upstream_probes_total{upstream=\"shop/shop:80\",result=\"bad\"}";
const GOOD: &str = "bywash_upstream_probes_total{upstream=\"shop/shop:80\",result=\"good\"}";

/// Between two probes.
const INTERVAL: Duration = Duration::from_millis(30);

/// Longer than any probe takes here that ends by itself.
const LONG: Duration = Duration::from_secs(10);

fn http() -> Probe {
    let expected = vec![StatusRange {
        first: 200,
        last: 399,
    }];
    Probe::Http {
        path: "/healthz".into(),
        host: None,
        expected,
    }
}

fn check(probe: Probe) -> HealthCheck {
    HealthCheck {
        probe,
        interval: INTERVAL,
        timeout: LONG,
        healthy_threshold: 2,
        unhealthy_threshold: 3,
    }
}

/// Everything to these endpoints, which are probed so.
fn probing(endpoints: &[SocketAddr], check: HealthCheck) -> Setup {
    let mut policy = Policy::default();
    let upstream = policy.upstream_mut();
    upstream.health_check = Some(check);
    upstream.slow_start.window = Duration::ZERO;
    Setup::to(endpoints, policy)
}

async fn start(fault: Fault) -> Peer {
    Peer::start(fault).await.unwrap()
}

fn is_probe(connection: &Received) -> bool {
    let text = String::from_utf8_lossy(&connection.bytes).to_ascii_lowercase();
    text.contains("\r\nuser-agent: bywash-probe/")
}

/// Requests of clients that reached a peer.
fn visits(peer: &Peer) -> usize {
    let connections = peer.received();
    let visited = connections.iter().filter(|it| !is_probe(it));
    visited.map(|it| it.requests).sum()
}

#[tokio::test]
async fn an_endpoint_goes_down_after_bad_probes_and_comes_back_after_good_ones() {
    let (good, ill) = (start(Fault::Echo).await, start(Fault::Echo).await);
    let gateway = probing(&addresses(&[&good, &ill]), check(http())).start();
    gateway.until_metric(GOOD, |count| count >= 2.0).await;
    assert_eq!(gateway.metric(DOWN, "shop/shop:80"), 0.0);

    ill.from_now_on(Fault::Unavailable);
    gateway.until_metric(DOWN, |down| down == 1.0).await;
    assert!(gateway.metric(BAD, "") >= 3.0);
    for _ in 0..20 {
        let (answer, entry) = gateway.outcome(get("/")).await;
        assert_eq!(
            (answer.status, entry.endpoints()),
            (200, vec![good.address()])
        );
    }
    assert_eq!(visits(&ill), 0);

    ill.from_now_on(Fault::Echo);
    gateway.until_metric(DOWN, |down| down == 0.0).await;
    while visits(&ill) == 0 {
        assert_eq!(gateway.ask(get("/")).await.status, 200);
    }
}

#[tokio::test]
async fn two_bad_probes_before_a_good_one_take_nothing_down() {
    let peer = start(Fault::Echo).await;
    peer.once(Fault::Unavailable);
    peer.once(Fault::Unavailable);
    let gateway = probing(&[peer.address()], check(http())).start();
    gateway.until_metric(GOOD, |count| count >= 3.0).await;
    assert_eq!(
        (gateway.metric(BAD, ""), gateway.metric(DOWN, "")),
        (2.0, 0.0)
    );
}

#[tokio::test]
async fn whatever_keeps_an_endpoint_from_answering_well_takes_it_down() {
    for (fault, timeout) in [
        (Fault::Refuse, LONG),
        (Fault::AcceptAndReset, LONG),
        (Fault::CloseAfterRequest, LONG),
        (Fault::StallBeforeHead, SHORT),
        (Fault::Garbage, LONG),
        (Fault::HugeHead, LONG),
        (Fault::Unavailable, LONG),
    ] {
        let peer = start(fault).await;
        let check = HealthCheck {
            timeout,
            ..check(http())
        };
        let gateway = probing(&[peer.address()], check).start();
        gateway.until_metric(DOWN, |down| down == 1.0).await;
        let (answer, entry) = gateway.outcome(get("/")).await;
        assert_eq!((answer.status, entry.attempts.len()), (503, 0), "{fault}");
        assert_eq!(entry.cause.as_deref(), Some("no_endpoints"), "{fault}");
        assert_eq!(visits(&peer), 0, "{fault}");
    }
}

#[tokio::test]
async fn a_status_is_good_where_it_is_expected_whatever_becomes_of_the_body() {
    let expecting = |first, last| {
        let expected = vec![StatusRange { first, last }];
        Probe::Http {
            path: "/".into(),
            host: None,
            expected,
        }
    };
    for (fault, probe, good) in [
        (Fault::Unavailable, expecting(503, 503), true),
        (Fault::Echo, expecting(201, 399), false),
        (Fault::ShortBody, expecting(200, 200), true),
        (Fault::StallInBody, expecting(200, 200), true),
        (Fault::Source, expecting(200, 200), true),
    ] {
        let peer = start(fault).await;
        let check = HealthCheck {
            timeout: if fault == Fault::StallInBody {
                SHORT
            } else {
                LONG
            },
            ..check(probe)
        };
        let gateway = probing(&[peer.address()], check).start();
        let counter = if good { GOOD } else { BAD };
        gateway.until_metric(counter, |count| count >= 3.0).await;
        // It counts what was found before it says what follows.
        let is_down = move |down: f64| (down != 0.0) != good;
        gateway.until_metric(DOWN, is_down).await;
    }
}

#[tokio::test]
async fn a_probe_asks_with_the_host_that_is_set_or_the_address() {
    for host in [None, Some("shop.test")] {
        let peer = start(Fault::Echo).await;
        let probe = Probe::Http {
            path: "/healthz?full".into(),
            host: host.map(Into::into),
            expected: Vec::new(),
        };
        let _gateway = probing(&[peer.address()], check(probe)).start();
        until(&peer, |counts| counts.requests > 0).await;
        let request = String::from_utf8(peer.received()[0].bytes.clone()).unwrap();
        let host = host.map_or_else(|| peer.address().to_string(), str::to_owned);
        assert!(
            request.starts_with("GET /healthz?full HTTP/1.1\r\n"),
            "{request}"
        );
        assert!(
            request.contains(&format!("\r\nhost: {host}\r\n")),
            "{request}"
        );
        assert!(request.contains("\r\nconnection: close\r\n"), "{request}");
    }
}

#[tokio::test]
async fn a_tcp_probe_wants_a_connection_and_says_nothing_on_it() {
    let mut peer = start(Fault::StallBeforeHead).await;
    let address = peer.address();
    let gateway = probing(&[address], check(Probe::Tcp)).start();
    gateway.until_metric(GOOD, |count| count >= 3.0).await;
    assert_eq!(peer.counts().received, 0);
    peer.refuse().await.unwrap();
    gateway.until_metric(DOWN, |down| down == 1.0).await;
    let _back = Peer::start_at(&[address], "back", Fault::Echo)
        .await
        .unwrap();
    gateway.until_metric(DOWN, |down| down == 0.0).await;
    assert_eq!(gateway.ask(get("/")).await.status, 200);
}

#[tokio::test]
async fn an_address_that_is_prohibited_is_down_without_a_connection() {
    let peer = start(Fault::Echo).await;
    let mut setup = probing(&[peer.address()], check(Probe::Tcp));
    setup.rules.allow_loopback = false;
    let gateway = setup.start();
    gateway.until_metric(DOWN, |down| down == 1.0).await;
    assert_eq!(peer.connections(), 0);
}

#[tokio::test]
async fn probes_are_no_requests_and_their_connections_are_not_kept() {
    let peer = start(Fault::Echo).await;
    let gateway = probing(&[peer.address()], check(http())).start();
    gateway.until_metric(GOOD, |count| count >= 5.0).await;
    for name in [
        "bywash_requests_total",
        "bywash_upstream_attempts_total",
        "bywash_upstream_connections_opened_total",
    ] {
        assert_eq!(gateway.metric(name, ""), 0.0, "{name}");
    }
    // The first line of the access log is of the first request.
    gateway.outcome(get("/")).await;
    assert_eq!(
        gateway.metric("bywash_upstream_connections_reused_total", ""),
        0.0
    );
    let connections = peer.received();
    assert!(
        connections
            .iter()
            .filter(|it| is_probe(it))
            .all(|it| it.requests == 1)
    );
    until(&peer, |counts| counts.ended + 2 >= counts.connections).await;
}

#[tokio::test]
async fn all_workers_know_the_same() {
    let (good, ill) = (start(Fault::Echo).await, start(Fault::Unavailable).await);
    let mut setup = probing(&addresses(&[&good, &ill]), check(http()));
    setup.settings.workers = NonZeroUsize::new(4).unwrap();
    let gateway = setup.start();
    gateway.until_metric(DOWN, |down| down == 1.0).await;
    for _ in 0..40 {
        assert_eq!(gateway.ask(get("/")).await.status, 200);
    }
    assert_eq!((visits(&good), visits(&ill)), (40, 0));
}

#[tokio::test]
async fn a_request_on_its_way_to_an_endpoint_that_goes_down_finishes() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n";
    let steps = [Step::ReadBody, Step::Gate, Step::Send(answer.into())];
    let peer = Peer::start(Script::on_request(steps)).await.unwrap();
    let endpoints = [peer.address()];
    let gateway = Setup::to(&endpoints, Policy::default()).start();
    let mut client = gateway.client().await;
    client.send(get("/")).await;
    until(&peer, |counts| counts.waiting > 0).await;
    let check = HealthCheck {
        timeout: SHORT,
        unhealthy_threshold: 1,
        ..check(http())
    };
    gateway.serve(probing(&endpoints, check).snapshot);
    gateway.until_metric(DOWN, |down| down == 1.0).await;
    assert_eq!(gateway.ask(get("/")).await.status, 503);
    peer.open(1_000);
    assert_eq!(client.answer("GET").await.status, 200);
}

/// What is served when an endpoint has gone, or the section of the policy.
fn without_check(endpoints: &[SocketAddr]) -> Snapshot {
    Setup::to(endpoints, Policy::default()).snapshot
}

/// Sees to it that no probe reaches a peer any more while others go on.
async fn assert_left_alone(gone: &Peer, others: &Peer) {
    // One may have been on its way.
    let now = others.connections();
    until(others, |counts| counts.connections >= now + 3).await;
    let seen = gone.connections();
    until(others, |counts| counts.connections >= now + 15).await;
    assert_eq!(gone.connections(), seen);
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_left_alone() {
    let (stays, goes) = (start(Fault::Echo).await, start(Fault::Unavailable).await);
    let gateway = probing(&addresses(&[&stays, &goes]), check(http())).start();
    gateway.until_metric(DOWN, |down| down == 1.0).await;
    gateway.serve(probing(&[stays.address()], check(http())).snapshot);
    gateway.until_metric(DOWN, |down| down == 0.0).await;
    assert_left_alone(&goes, &stays).await;
}

/// A request that takes its time holds the upstream of before.
#[tokio::test]
async fn without_the_section_nobody_is_probed_and_what_was_down_takes_requests() {
    let (one, two) = (start(Fault::Unavailable).await, start(Fault::Echo).await);
    let witness = start(Fault::Echo).await;
    let gateway = probing(&addresses(&[&one, &two]), check(http())).start();
    let observer = probing(&[witness.address()], check(http())).start();
    gateway.until_metric(DOWN, |down| down == 1.0).await;
    let slow = Script::on_request([Step::ReadBody, Step::Gate]);
    let held = Peer::start(slow).await.unwrap();
    gateway.serve(probing(&addresses(&[&held]), check(Probe::Tcp)).snapshot);
    let mut client = gateway.client().await;
    client.send(get("/")).await;
    until(&held, |counts| counts.waiting > 0).await;

    gateway.serve(without_check(&addresses(&[&one, &two])));
    assert_left_alone(&one, &witness).await;
    assert_left_alone(&two, &witness).await;
    assert_left_alone(&held, &witness).await;
    assert_eq!(gateway.metric(DOWN, ""), 0.0);
    while visits(&one) == 0 {
        gateway.ask(get("/")).await;
    }
    drop(observer);
}

/// The new check asks in an hour.
#[tokio::test]
async fn a_changed_policy_keeps_what_is_known_until_its_own_probes_tell() {
    let (good, ill) = (start(Fault::Echo).await, start(Fault::Unavailable).await);
    let endpoints = addresses(&[&good, &ill]);
    let gateway = probing(&endpoints, check(http())).start();
    gateway.until_metric(DOWN, |down| down == 1.0).await;
    let mut later = check(Probe::Tcp);
    later.interval = Duration::from_secs(3_600);
    gateway.serve(probing(&endpoints, later).snapshot);
    for _ in 0..20 {
        assert_eq!(gateway.ask(get("/")).await.status, 200);
    }
    assert_eq!((visits(&ill), gateway.metric(DOWN, "")), (0, 1.0));
    // Its own probe finds a port that is open.
    let mut soon = check(Probe::Tcp);
    soon.healthy_threshold = 1;
    gateway.serve(probing(&endpoints, soon).snapshot);
    gateway.until_metric(DOWN, |down| down == 0.0).await;
    while visits(&ill) == 0 {
        gateway.ask(get("/")).await;
    }
}

/// Two policies of one Service: each has its own verdict.
#[tokio::test]
async fn who_asks_another_question_gets_another_answer() {
    let peer = start(Fault::Unavailable).await;
    let strict = probing(&[peer.address()], check(http()));
    let lenient = probing(&[peer.address()], check(Probe::Tcp));
    let both = |mut snapshot: Snapshot| {
        let all = [&strict.snapshot, &lenient.snapshot];
        let all = all.into_iter().flat_map(|it| it.upstreams.clone());
        snapshot.upstreams = all.collect();
        snapshot
    };
    let gateway = Setup {
        snapshot: both(strict.snapshot.clone()),
        ..Setup::default()
    };
    let gateway = gateway.start();
    gateway.until_metric(DOWN, |down| down == 1.0).await;
    gateway.until_metric(GOOD, |count| count >= 3.0).await;
    let (_, entry) = gateway.outcome(get("/")).await;
    assert_eq!(entry.cause.as_deref(), Some("no_endpoints"));

    gateway.serve(both(lenient.snapshot.clone()));
    let (answer, entry) = gateway.outcome(get("/")).await;
    assert_eq!(entry.endpoints()[0], peer.address());
    assert_eq!(answer.field("x-app"), Some("shop"));
    assert_eq!(gateway.metric(DOWN, ""), 1.0);
}
