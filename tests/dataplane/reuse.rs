//! Connections to endpoints are kept; an endpoint may end one at the moment it is used again.

use bywash::faults::script::{Script, Step, send};
use bywash::faults::{Fault, Peer};

use super::client::{get, post, until};
use super::gateway::Gateway;

#[tokio::test]
async fn requests_one_after_the_other_share_one_connection() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    // Else one that was not just used, as on a slow machine, is none for a POST.
    let gateway = Gateway::with(&[&peer], |policy| policy.retry.non_idempotent = true);
    let mut client = gateway.client().await;
    for _ in 0..5 {
        client.ask(get("/")).await.described();
        gateway.ask(post("/", "body")).await.described();
    }
    assert_eq!((peer.connections(), peer.requests()), (1, 10));
}

#[tokio::test]
async fn a_close_at_the_moment_of_reuse_is_not_seen_by_the_client() {
    for fault in [Fault::CloseOnReuse, Fault::ResetOnReuse] {
        let peer = Peer::start(fault).await.unwrap();
        let gateway = Gateway::before(&[&peer]);
        for _ in 0..4 {
            let (answer, entry) = gateway.outcome(get("/")).await;
            assert_eq!(
                (answer.status, answer.text().as_str()),
                (200, "ok\n"),
                "{fault}"
            );
            assert_eq!(entry.cause, None);
        }
        assert_eq!((peer.connections(), peer.requests()), (4, 4), "{fault}");
    }
}

#[tokio::test]
async fn a_request_with_a_single_attempt_that_meets_a_close_at_reuse_is_sent_once() {
    for fault in [Fault::CloseOnReuse, Fault::ResetOnReuse] {
        let peer = Peer::start(fault).await.unwrap();
        let gateway = Gateway::with(&[&peer], |policy| policy.retry.attempts = 1);
        assert_eq!(gateway.outcome(get("/")).await.0.status, 200);
        let (answer, entry) = gateway.outcome(get("/")).await;
        assert_eq!(answer.status, 502, "{fault}");
        assert_eq!(entry.causes().len(), 1, "{entry:?}");
        assert_eq!(peer.connections(), 1, "{fault}");
    }
}

/// Its bytes were out, so that nobody knows whether it was processed (RFC 9110 section 9.2.2).
#[tokio::test]
async fn a_post_that_meets_a_close_at_reuse_is_never_sent_twice() {
    for fault in [Fault::CloseOnReuse, Fault::ResetOnReuse] {
        let peer = Peer::start(fault).await.unwrap();
        let gateway = Gateway::before(&[&peer]);
        assert_eq!(gateway.ask(get("/")).await.status, 200);
        let answer = gateway.ask(post("/only-once", "body")).await;
        let posts = || {
            let received = peer.received().into_iter();
            let all: Vec<u8> = received.flat_map(|one| one.bytes).collect();
            String::from_utf8(all)
                .unwrap()
                .matches("POST /only-once")
                .count()
        };
        match fault {
            // What a reset leaves unread is gone, and cannot be counted.
            Fault::ResetOnReuse => assert_eq!(peer.requests(), 1),
            _ => assert_eq!(posts(), 1),
        }
        assert_eq!(answer.status, 502, "{fault}");
        assert_eq!(answer.proxy_error(), Some("connection_terminated"));
    }
}

/// The connection ends, or speaks, while it idles; a POST that comes then is answered on another one.
pub(crate) async fn ends_while_idle(gateway: &Gateway, peer: &Peer) {
    assert_eq!(gateway.ask(get("/")).await.status, 200);
    until(peer, |counts| counts.waiting == 1).await;
    peer.open(1);
    until(peer, |counts| counts.ended == 1).await;
    let answer = gateway.ask(post("/", "body")).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok\n"));
    assert_eq!((peer.connections(), peer.requests()), (2, 2));
}

#[tokio::test]
async fn a_connection_that_ended_or_spoke_while_idle_is_not_used_again() {
    for fault in [Fault::CloseWhenIdle, Fault::StrayWhenIdle] {
        let peer = Peer::start(fault).await.unwrap();
        let gateway = Gateway::before(&[&peer]);
        ends_while_idle(&gateway, &peer).await;
        let fresh = &peer.received()[1];
        assert!(fresh.bytes.ends_with(b"\r\n\r\nbody"), "{fault}");
    }
}

#[tokio::test]
async fn a_connection_that_the_endpoint_announces_to_close_is_not_used_again() {
    let script =
        Script::answer("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 3\r\n\r\nok\n");
    let peer = Peer::start(script).await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    for _ in 0..3 {
        assert_eq!(gateway.ask(post("/", "body")).await.status, 200);
    }
    assert_eq!((peer.connections(), peer.requests()), (3, 3));
}

/// hyper would speak HTTP/1.0 on it from then on, where no body of unknown length can be sent.
#[tokio::test]
async fn a_connection_of_an_endpoint_that_answers_in_http_1_0_is_not_used_again() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    peer.once(Script::answer(
        "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 3\r\n\r\nok\n",
    ));
    assert_eq!(gateway.ask(get("/")).await.text(), "ok\n");
    let chunked = "POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n\
                   4\r\nbody\r\n0\r\n\r\n";
    let described = gateway.ask(chunked).await.described();
    assert_eq!(described["body_bytes"], 4);
    assert_eq!(peer.connections(), 2);
}

/// What happened to it is why it fails, not that nothing is left afterwards.
#[tokio::test]
async fn a_request_whose_endpoint_leaves_at_the_moment_of_reuse_tells_how_its_connection_ended() {
    let peer = Peer::start(Script::on_request([
        send("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n"),
        Step::AwaitBytes,
        Step::Gate,
        Step::Reset,
    ]));
    let peer = peer.await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    let (answer, _) = gateway.outcome(get("/")).await;
    assert_eq!(answer.status, 200);
    let mut client = gateway.client().await;
    client.send(get("/")).await;
    until(&peer, |counts| counts.waiting == 1).await;
    gateway.now_has([]);
    peer.open(1);
    let answer = client.answer("GET").await;
    assert_eq!(
        (answer.status, answer.proxy_error()),
        (502, Some("connection_terminated"))
    );
    let entry = gateway.logged().await;
    assert_eq!(entry.cause.as_deref(), Some("connection_reset"));
}
