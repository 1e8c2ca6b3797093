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

use super::client::{End, get, post};
use super::gateway::{Gateway, SHORT, Setup};
use super::secured::{Authority, Front, NAME, server};

/// A policy that trusts an authority.
pub(crate) fn trusting(authority: &Authority) -> Policy {
    let mut policy = Policy::default();
    policy.timeouts.connect = 20 * SHORT;
    policy.upstream_mut().tls = authority.verifies(NAME);
    policy
}

pub(crate) fn to(endpoint: SocketAddr, policy: Policy) -> Gateway {
    Setup::to(&[endpoint], policy).start()
}

/// An endpoint that works, over TLS.
pub(crate) async fn good(authority: &Authority, peer: &Peer) -> Front {
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
