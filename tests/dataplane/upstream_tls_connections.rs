//! Connections with TLS to endpoints, once they stand: kept, resumed, closed and cut.

use bywash::failure::Cause;
use bywash::faults::script::{Script, Step, send};
use bywash::faults::{Fault, Peer};

use super::client::{End, get, post, until};
use super::gateway::{SHORT, Setup};
use super::reuse::ends_while_idle;
use super::secured::{Authority, Ending, Front, NAME, server};
use super::upgrade::{UPGRADE, heard, said};
use super::upstream_tls::{good, to, trusting};

#[tokio::test]
async fn requests_one_after_the_other_share_one_handshake() {
    let authority = Authority::new();
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let front = good(&authority, &peer).await;
    let mut policy = trusting(&authority);
    policy.retry.non_idempotent = true;
    let gateway = to(front.address, policy);
    for _ in 0..5 {
        gateway.ask(get("/")).await.described();
        gateway.ask(post("/", "body")).await.described();
    }
    assert_eq!((peer.connections(), peer.requests()), (1, 10));
    assert_eq!(front.handshakes(), (1, 0));
}

#[tokio::test]
async fn a_new_connection_resumes_the_session_of_an_earlier_one() {
    let authority = Authority::new();
    let script =
        Script::answer("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 3\r\n\r\nok\n");
    let peer = Peer::start(script).await.unwrap();
    let front = good(&authority, &peer).await;
    let gateway = to(front.address, trusting(&authority));
    for _ in 0..3 {
        assert_eq!(gateway.ask(get("/")).await.status, 200);
    }
    assert_eq!(front.handshakes(), (1, 2));
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_not_used_again() {
    let authority = Authority::new();
    for ending in [Ending::Announced, Ending::Cut, Ending::Garbage] {
        let peer = Peer::start(Fault::CloseWhenIdle).await.unwrap();
        let config = server(authority.sign(NAME));
        let front = Front::ending(&peer, config, ending).await;
        let gateway = to(front.address, trusting(&authority));
        ends_while_idle(&gateway, &peer).await;
    }
}

#[tokio::test]
async fn a_close_at_the_moment_of_reuse_is_not_seen_by_the_client_unless_it_posts() {
    let authority = Authority::new();
    let peer = Peer::start(Fault::CloseOnReuse).await.unwrap();
    let front = good(&authority, &peer).await;
    let gateway = to(front.address, trusting(&authority));
    for _ in 0..4 {
        assert_eq!(gateway.ask(get("/")).await.status, 200);
    }
    let answer = gateway.ask(post("/only-once", "body")).await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.proxy_error(), Some("connection_terminated"));
    let received = peer.received().into_iter();
    let all: Vec<u8> = received.flat_map(|one| one.bytes).collect();
    let all = String::from_utf8(all).unwrap();
    assert_eq!(all.matches("POST /only-once").count(), 1);
}

/// What TLS itself sends and receives is not taken for a request or an answer.
#[tokio::test]
async fn what_is_wrong_with_an_answer_is_told_as_without_tls() {
    let authority = Authority::new();
    for (fault, cause) in [
        (Fault::CloseAfterRequest, Cause::ConnectionClosed),
        (Fault::CutHead, Cause::HeadIncomplete),
        (Fault::Garbage, Cause::NotHttp),
        (Fault::FoldedHeader, Cause::BadHeader),
        (Fault::BadStatusLine, Cause::BadStatusLine),
    ] {
        for ending in [Ending::Announced, Ending::Cut] {
            let peer = Peer::start(fault).await.unwrap();
            let config = server(authority.sign(NAME));
            let front = Front::ending(&peer, config, ending).await;
            let gateway = to(front.address, trusting(&authority));
            let (answer, entry) = gateway.outcome(post("/", "body")).await;
            assert_eq!(answer.status, 502, "{fault} {ending:?}");
            assert_eq!(entry.causes(), [cause.label()], "{fault} {ending:?}");
        }
    }
}

/// Bytes that are no TLS after a request: nobody knows whether it was processed.
#[tokio::test]
async fn a_post_whose_answer_is_no_tls_is_not_sent_again() {
    let authority = Authority::new();
    let any = "127.0.0.1:0".parse().unwrap();
    let peer = Peer::start_at(&[any], "one", Fault::CloseAfterRequest)
        .await
        .unwrap();
    let config = server(authority.sign(NAME));
    let front = Front::ending(&peer, config, Ending::Garbage).await;
    let gateway = to(front.address, trusting(&authority));
    let (answer, entry) = gateway.outcome(post("/", "body")).await;
    assert_eq!(answer.status, 502);
    assert_eq!(entry.causes(), [Cause::ConnectionReset.label()]);
    assert_eq!(peer.requests(), 1);
}

#[tokio::test]
async fn a_body_that_ends_without_an_announcement_is_cut_for_the_client() {
    let authority = Authority::new();
    let open = Script::on_request([
        Step::ReadBody,
        send("HTTP/1.1 200 OK\r\n\r\nhalf"),
        Step::Finish,
    ]);
    for (ending, end, cause) in [
        (Ending::Announced, End::Whole, None),
        (Ending::Cut, End::Cut, Some(Cause::BodyIncomplete)),
        (Ending::Garbage, End::Cut, Some(Cause::BodyReset)),
    ] {
        let peer = Peer::start(open.clone()).await.unwrap();
        let config = server(authority.sign(NAME));
        let front = Front::ending(&peer, config, ending).await;
        let gateway = to(front.address, trusting(&authority));
        let (answer, entry) = gateway.outcome(get("/")).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "half"),
            "{ending:?}"
        );
        assert_eq!(answer.end, end, "{ending:?}");
        assert_eq!(
            entry.cause.as_deref(),
            cause.map(Cause::label),
            "{ending:?}"
        );
    }
}

#[tokio::test]
async fn a_body_of_announced_length_needs_no_announced_end() {
    let authority = Authority::new();
    let framed = Script::on_request([
        Step::ReadBody,
        send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nfull\r\n0\r\n\r\n"),
        Step::Finish,
    ]);
    let peer = Peer::start(framed).await.unwrap();
    let config = server(authority.sign(NAME));
    let front = Front::ending(&peer, config, Ending::Cut).await;
    let gateway = to(front.address, trusting(&authority));
    let (answer, entry) = gateway.outcome(get("/")).await;
    assert_eq!((answer.text().as_str(), answer.end), ("full", End::Whole));
    assert_eq!(entry.cause, None);
}

#[tokio::test]
async fn a_large_upload_arrives_whole() {
    let authority = Authority::new();
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let front = good(&authority, &peer).await;
    let gateway = to(front.address, trusting(&authority));
    let upload = post("/", &"a".repeat(3 << 20));
    assert_eq!(gateway.ask(upload).await.described()["body_bytes"], 3 << 20);
}

#[tokio::test]
async fn a_websocket_travels_in_tls() {
    let authority = Authority::new();
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let front = good(&authority, &peer).await;
    let gateway = to(front.address, trusting(&authority));
    let mut client = gateway.client().await;
    client.send(UPGRADE).await;
    assert_eq!(client.head().await.status, 101);
    for message in ["first", "second \0\r\n\r\n"] {
        client.send(said(message)).await;
        let back = heard(message);
        assert_eq!(client.bytes(back.len()).await, back);
    }
    drop(client);
    until(&peer, |counts| counts.ended == 1).await;
    assert_eq!(gateway.logged().await.cause, None);
}

/// The background connection of a half-open endpoint has TLS, too.
#[tokio::test]
async fn an_ejected_endpoint_comes_back_over_tls() {
    let authority = Authority::new();
    let peers = [
        Peer::start(Fault::Echo).await.unwrap(),
        Peer::start(Fault::Echo).await.unwrap(),
    ];
    let fronts = [
        good(&authority, &peers[0]).await,
        good(&authority, &peers[1]).await,
    ];
    let mut policy = trusting(&authority);
    let ejection = &mut policy.upstream_mut().outlier_detection;
    ejection.consecutive_failures = 1;
    ejection.ejection.base = SHORT;
    let gateway = Setup::to(&[fronts[0].address, fronts[1].address], policy).start();
    peers[0].from_now_on([Fault::ResetAfterRequest]);
    while gateway.metric("bywash_upstream_ejections_total", "") == 0.0 {
        gateway.ask(get("/")).await.described();
    }
    peers[0].from_now_on([Fault::Echo]);
    let seen = peers[0].requests();
    while peers[0].requests() < seen + 2 {
        gateway.ask(get("/")).await.described();
    }
}
