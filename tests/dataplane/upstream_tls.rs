//! TLS to endpoints: always verified, and each way in which it fails has its cause (RFC 9209 sections
//! 2.3.13 to 2.3.15). Nothing was sent when it does, so that the next endpoint gets the request,
//! whatever its method.

use std::net::SocketAddr;
use std::sync::Arc;

use bywash::failure::{Cause, TlsAlert};
use bywash::faults::script::{Script, Step, send};
use bywash::faults::{Fault, Peer};
use bywash::routing::policy::{Policy, ProxyStatus};
use rustls::version::{TLS12, TLS13};

use super::client::{End, get, post, until};
use super::gateway::{Gateway, SHORT, Setup};
use super::secured::{Authority, Ending, Front, NAME, server};

/// A policy that trusts an authority.
fn trusting(authority: &Authority) -> Policy {
    let mut policy = Policy::default();
    policy.timeouts.connect = 20 * SHORT;
    policy.upstream_mut().tls = authority.verifies(NAME);
    policy
}

fn to(endpoint: SocketAddr, policy: Policy) -> Gateway {
    Setup::to(&[endpoint], policy).start()
}

/// An endpoint that works, over TLS.
async fn good(authority: &Authority, peer: &Peer) -> Front {
    Front::before(peer, server(authority.sign(NAME))).await
}

/// Every request fails with the cause, and nothing of it is read.
async fn fails(endpoint: SocketAddr, policy: Policy, cause: Cause) {
    let gateway = to(endpoint, policy);
    for request in [get("/"), post("/", "body")] {
        let (answer, entry) = gateway.outcome(request).await;
        assert_eq!(answer.status, cause.status().as_u16(), "{entry:?}");
        assert_eq!(answer.proxy_error(), Some(cause.proxy_error()));
        assert_eq!(answer.end, End::Whole);
        assert_eq!(entry.cause.as_deref(), Some(cause.label()));
        assert_eq!(entry.causes(), [cause.label(); 3]);
    }
}

/// A POST that meets this endpoint first is answered by a good one, and processed once.
async fn is_healed(authority: &Authority, bad: SocketAddr, cause: Cause) {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let front = good(authority, &peer).await;
    for _ in 0..64 {
        let gateway = Setup::to(&[bad, front.address], trusting(authority)).start();
        let before = peer.requests();
        let (answer, entry) = gateway.outcome(post("/", "body")).await;
        assert_eq!(answer.described()["body_bytes"], 4);
        assert_eq!(peer.requests(), before + 1);
        if entry.endpoints()[0] == bad {
            assert_eq!(entry.causes(), [cause.label(), ""]);
            return;
        }
    }
    panic!("the bad endpoint was never drawn first");
}

#[tokio::test]
async fn an_endpoint_is_verified_by_its_authority_and_its_name() {
    let authority = Authority::new();
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let front = good(&authority, &peer).await;
    let gateway = to(front.address, trusting(&authority));
    let described = gateway.ask(post("/a?b", "body")).await.described();
    assert_eq!(
        (&described["method"], &described["body_bytes"]),
        (&"POST".into(), &4.into())
    );
    let request = String::from_utf8(peer.received()[0].bytes.clone()).unwrap();
    assert!(request.contains("host: shop.test\r\n"), "{request}");
    let (name, protocol) = front.agreed();
    assert_eq!(name.as_deref(), Some(NAME));
    assert_eq!(protocol, None);
}

#[tokio::test]
async fn http_1_1_is_the_protocol_that_is_offered() {
    let authority = Authority::new();
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let mut config = server(authority.sign(NAME));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let front = Front::before(&peer, config).await;
    to(front.address, trusting(&authority))
        .ask(get("/"))
        .await
        .described();
    assert_eq!(front.agreed().1.as_deref(), Some(&b"http/1.1"[..]));
}

#[tokio::test]
async fn a_certificate_that_is_not_acceptable_is_502_tls_certificate_error() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let peer = Peer::start(Fault::Echo).await.unwrap();
    for identity in [
        stranger.sign(NAME),
        authority.sign("other.internal"),
        authority.sign_expired(NAME),
    ] {
        let front = Front::before(&peer, server(identity)).await;
        fails(front.address, trusting(&authority), Cause::TlsCertificate).await;
    }
    assert_eq!(peer.requests(), 0);
}

#[tokio::test]
async fn what_no_certificate_can_be_verified_by_is_502_tls_certificate_error() {
    let authority = Authority::new();
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let front = good(&authority, &peer).await;
    let mut policy = trusting(&authority);
    policy.upstream_mut().tls = authority.verifies("cart..internal");
    fails(front.address, policy.clone(), Cause::TlsCertificate).await;
    if let Some(tls) = &mut policy.upstream_mut().tls {
        tls.trust = bywash::routing::policy::upstream::Trust::Certificates(Arc::default());
        tls.server_name = NAME.into();
    }
    fails(front.address, policy, Cause::TlsCertificate).await;
    assert_eq!(peer.requests(), 0);
}

#[tokio::test]
async fn a_post_that_meets_a_certificate_that_is_not_acceptable_is_answered_elsewhere_once() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let bad = Front::before(&peer, server(stranger.sign(NAME))).await;
    is_healed(&authority, bad.address, Cause::TlsCertificate).await;
    assert_eq!(peer.requests(), 0);
}

/// In TLS 1.2 the alert comes inside the handshake, in TLS 1.3 in place of the first answer, when the
/// request may be out: the endpoint has not processed it all the same.
#[tokio::test]
async fn an_endpoint_that_demands_a_certificate_is_502_tls_alert_received_and_a_post_goes_elsewhere()
 {
    let authority = Authority::new();
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let alert = 116;
    for version in [&TLS12, &TLS13] {
        let config = authority.demanding(authority.sign(NAME), &[version]);
        let front = Front::before(&peer, config).await;
        let cause = Cause::TlsAlert(TlsAlert(alert));
        fails(front.address, trusting(&authority), cause).await;
        is_healed(&authority, front.address, cause).await;
        let mut policy = trusting(&authority);
        policy.proxy_status = ProxyStatus::Full;
        let answer = to(front.address, policy).ask(get("/")).await;
        let status = answer.field("proxy-status").unwrap();
        let name = TlsAlert(alert).name().unwrap();
        let parameters = format!("; alert-id={alert}; alert-message=\"{name}\"; ");
        assert!(status.contains(&parameters), "{status}");
    }
    assert_eq!(peer.requests(), 0);
}

#[tokio::test]
async fn an_endpoint_without_a_protocol_in_common_is_502_tls_alert_received() {
    let authority = Authority::new();
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let mut config = server(authority.sign(NAME));
    config.alpn_protocols = vec![b"h2".to_vec()];
    let front = Front::before(&peer, config).await;
    let cause = Cause::TlsAlert(TlsAlert(120));
    fails(front.address, trusting(&authority), cause).await;
    is_healed(&authority, front.address, cause).await;
}

#[tokio::test]
async fn an_endpoint_that_does_not_speak_tls_is_502_tls_protocol_error() {
    let authority = Authority::new();
    let refused = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    for script in [
        Script::on_connection([Step::AwaitBytes, send(refused), Step::Finish]),
        Script::on_connection([Step::AwaitBytes, Step::Finish]),
        Fault::AcceptAndClose.into(),
    ] {
        let bad = Peer::start(script).await.unwrap();
        fails(bad.address(), trusting(&authority), Cause::TlsProtocol).await;
        is_healed(&authority, bad.address(), Cause::TlsProtocol).await;
    }
}

#[tokio::test]
async fn a_reset_inside_the_handshake_is_502_connection_terminated() {
    let authority = Authority::new();
    let script = Script::on_connection([Step::AwaitBytes, Step::Reset]);
    let bad = Peer::start(script).await.unwrap();
    fails(bad.address(), trusting(&authority), Cause::ClosedBeforeSend).await;
    is_healed(&authority, bad.address(), Cause::ClosedBeforeSend).await;
}

#[tokio::test]
async fn silence_inside_the_handshake_is_504_connection_timeout() {
    let authority = Authority::new();
    let script = Script::on_connection([Step::AwaitBytes, Step::Drain]);
    let bad = Peer::start(script).await.unwrap();
    let mut policy = trusting(&authority);
    policy.timeouts.connect = SHORT;
    fails(bad.address(), policy, Cause::ConnectTimeout).await;
}

#[tokio::test]
async fn requests_one_after_the_other_share_one_handshake() {
    let authority = Authority::new();
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let front = good(&authority, &peer).await;
    let gateway = to(front.address, trusting(&authority));
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
        assert_eq!(gateway.ask(get("/")).await.status, 200);
        until(&peer, |counts| counts.waiting == 1).await;
        peer.open(1);
        until(&peer, |counts| counts.ended == 1).await;
        let answer = gateway.ask(post("/", "body")).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "ok\n"),
            "{ending:?}"
        );
        assert_eq!((peer.connections(), peer.requests()), (2, 2), "{ending:?}");
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
    let upgrade = "GET /chat HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    client.send(upgrade).await;
    assert_eq!(client.head().await.status, 101);
    for message in ["first", "second \0\r\n\r\n"] {
        client.send(message).await;
        assert_eq!(client.bytes(message.len()).await, message.as_bytes());
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
