//! What a client cannot make the upstream believe.

use bywash::faults::{Fault, Peer};
use bywash::routing::policy::Policy;

use super::gateway::{Gateway, Setup, addresses};

/// The values of a field in the description of a request.
pub(super) fn values(described: &serde_json::Value, name: &str) -> Vec<String> {
    let fields = described["headers"].as_array().unwrap();
    let same = fields.iter().filter(|field| {
        let field = field[0].as_str().unwrap();
        field.eq_ignore_ascii_case(name)
    });
    same.map(|field| field[1].as_str().unwrap().to_owned())
        .collect()
}

const FORGED: &str = "GET / HTTP/1.1\r\nHost: shop.test:8080\r\n\
    X-Forwarded-For: 198.51.100.9\r\nX_Forwarded_For: 198.51.100.9\r\nX-Real-IP: 198.51.100.9\r\n\
    X-Forwarded-Proto: https\r\nX-Forwarded-Host: admin.test\r\nForwarded: for=198.51.100.9\r\n\
    X-Request-ID: mine\r\nX-Original-URL: /admin\r\n\r\n";

#[tokio::test]
async fn a_stranger_cannot_forge_who_it_is() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    let (answer, entry) = gateway.outcome(FORGED).await;
    let described = answer.described();
    for (name, value) in [
        ("host", "shop.test:8080"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-real-ip", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "shop.test:8080"),
        ("x-forwarded-port", "8080"),
        ("x-request-id", &entry.id),
    ] {
        assert_eq!(values(&described, name), [value], "{name}");
    }
    for name in ["x_forwarded_for", "forwarded", "x-original-url"] {
        assert!(values(&described, name).is_empty(), "{name}");
    }
    assert_ne!(entry.id, "mine");
}

#[tokio::test]
async fn a_trusted_proxy_may_speak_for_its_client() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let mut setup = Setup::to(&addresses(&[&peer]), Policy::default());
    setup.settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let gateway = setup.start();
    let (answer, entry) = gateway.outcome(FORGED).await;
    let described = answer.described();
    for (name, value) in [
        ("x-forwarded-for", "198.51.100.9, 127.0.0.1"),
        ("x-real-ip", "198.51.100.9"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "admin.test"),
        ("x-request-id", "mine"),
    ] {
        assert_eq!(values(&described, name), [value], "{name}");
    }
    assert_eq!(entry.id, "mine");
}

#[tokio::test]
async fn connection_cannot_make_us_drop_what_the_upstream_relies_on() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    for name in ["X-Forwarded-For", "Host", "close, Authorization"] {
        let request = format!("GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: {name}\r\n\r\n");
        assert_eq!(gateway.ask(request).await.status, 400, "{name}");
    }
    assert_eq!(peer.requests(), 0);
}

#[tokio::test]
async fn fields_for_this_hop_are_not_forwarded() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    let request = "GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: X-Mine, keep-alive\r\n\
                   X-Mine: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authorization: Basic eA==\r\n\
                   TE: trailers, gzip\r\n\r\n";
    let described = gateway.ask(request).await.described();
    for name in ["x-mine", "keep-alive", "proxy-authorization"] {
        assert!(values(&described, name).is_empty(), "{name}");
    }
    assert_eq!(values(&described, "te"), ["trailers"]);
    assert_eq!(values(&described, "connection"), ["te"]);
}

#[tokio::test]
async fn a_request_that_comes_back_is_502_proxy_loop_detected() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    let described = gateway
        .ask("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        .await
        .described();
    let mark = values(&described, "cdn-loop").remove(0);
    let again = format!("GET / HTTP/1.1\r\nHost: shop.test\r\nCDN-Loop: other, {mark}\r\n\r\n");
    let answer = gateway.ask(again).await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.proxy_error(), Some("proxy_loop_detected"));
    assert_eq!(peer.requests(), 1);
}
