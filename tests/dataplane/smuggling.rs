//! Messages that two recipients could read differently: none may reach an endpoint as anything else
//! than what was routed, and none may look like a failure of an endpoint.

use bywash::faults::{Fault, Peer};

use super::client::End;
use super::gateway::Gateway;
use super::strangers::values;

/// What an attacker wants an endpoint to take for a request of its own.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n";

fn post(fields: &str, body: &str) -> String {
    format!("POST /posted HTTP/1.1\r\nHost: shop.test\r\n{fields}\r\n{body}{SMUGGLED}")
}

/// Sends each message on a connection of its own: refused, the connection ended, nobody asked.
async fn refused(status: u16, messages: &[String]) {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    for message in messages {
        let mut client = gateway.client().await;
        let answer = client.ask(message).await;
        assert_eq!(answer.status, status, "{message:?}");
        assert_eq!(answer.field("allow").is_some(), status == 405);
        let (after, end) = client.rest().await;
        assert_eq!((after.as_slice(), end), (&b""[..], End::Cut), "{message:?}");
    }
    assert_eq!(peer.requests(), 0);
    assert_eq!(gateway.metric("bywash_upstream_attempts_total", ""), 0.0);
}

#[tokio::test]
async fn a_length_with_two_readings_is_400() {
    let lengths = [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 6, 5\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5;\r\n",
        "Content-Length: \r\n",
        "Content-Length : 5\r\n",
        "X: y\r\n Content-Length: 5\r\n",
    ];
    let messages = lengths.map(|length| post(length, "hello"));
    refused(400, &messages).await;
}

#[tokio::test]
async fn a_coding_that_hides_chunked_is_refused() {
    let unreadable = [
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: chunked;a=b\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding:\u{b}chunked\r\n",
        "Transfer-Encoding: \r\n chunked\r\n",
    ];
    let with_length = |coding: &str| format!("Content-Length: 5\r\n{coding}");
    let messages = unreadable.map(|coding| post(&with_length(coding), "0\r\n\r\n"));
    refused(400, &messages).await;
    let unsupported = [
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: ,chunked\r\n",
    ];
    let messages = unsupported.map(|coding| post(&with_length(coding), "0\r\n\r\n"));
    refused(501, &messages).await;
}

/// RFC 9112 section 6.3: chunked counts, and the connection ends after it.
#[tokio::test]
async fn chunked_overrides_a_length_and_nothing_can_follow() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    for order in [
        "Content-Length: 48\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 48\r\n",
    ] {
        let mut client = gateway.client().await;
        let described = client.ask(post(order, "0\r\n\r\n")).await.described();
        let fields = described["headers"].to_string().to_lowercase();
        assert!(!fields.contains("content-length"), "{fields}");
        assert_eq!(client.rest().await.0, b"");
    }
    let seen = peer.received();
    let seen = seen.iter().map(|one| String::from_utf8_lossy(&one.bytes));
    assert!(!seen.collect::<String>().contains("smuggled"));
}

#[tokio::test]
async fn a_lookalike_of_a_framing_field_is_not_forwarded() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    let lookalikes = "Content_Length: 48\r\nTransfer_Encoding: chunked\r\n";
    let described = gateway.ask(post(lookalikes, "")).await.described();
    let fields = described["headers"].to_string().to_lowercase();
    assert!(!fields.contains('_'), "{fields}");
}

#[tokio::test]
async fn a_request_for_nowhere_in_particular_is_400() {
    let lines = [
        ("GET / HTTP/1.1", ""),
        ("GET / HTTP/1.1", "Host: a.test\r\nHost: a.test\r\n"),
        ("GET / HTTP/1.1", "Host: a.test, b.test\r\n"),
        ("GET / HTTP/1.1", "Host: a.test@b.test\r\n"),
        ("GET http://a.test@b.test/ HTTP/1.1", "Host: a.test\r\n"),
        ("GET a.test:80 HTTP/1.1", "Host: a.test\r\n"),
        ("OPTIONS * HTTP/1.1", "Host: a.test\r\n"),
        ("GET /../admin HTTP/1.1", "Host: a.test\r\n"),
        ("GET /%2e%2e/admin HTTP/1.1", "Host: a.test\r\n"),
        ("GET /a\\..\\b HTTP/1.1", "Host: a.test\r\n"),
        ("GET /a%00 HTTP/1.1", "Host: a.test\r\n"),
    ];
    let messages = lines.map(|(line, fields)| format!("{line}\r\n{fields}\r\n"));
    refused(400, &messages).await;
}

#[tokio::test]
async fn the_path_that_is_routed_is_the_path_that_is_forwarded() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    for (asked, forwarded) in [
        ("/a/../b/./c?q=/../%2e", "/b/c?q=/../%2e"),
        ("/%61%2fb%2F..", "/a%2Fb%2F.."),
        ("//x//y", "//x//y"),
        ("http://other.test/z", "/z"),
    ] {
        let request = format!("GET {asked} HTTP/1.1\r\nHost: shop.test\r\n\r\n");
        let described = gateway.ask(request).await.described();
        assert_eq!(described["target"], forwarded);
    }
}

#[tokio::test]
async fn connect_is_405_and_an_unknown_expectation_417() {
    refused(
        405,
        &["CONNECT shop.test:80 HTTP/1.1\r\nHost: shop.test:80\r\n\r\n".to_owned()],
    )
    .await;
    refused(
        417,
        &[post(
            "Expect: the-unexpected\r\nContent-Length: 5\r\n",
            "hello",
        )],
    )
    .await;
}

#[tokio::test]
async fn another_http_is_not_tunnelled() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    let h2c = "GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade, HTTP2-Settings\r\n\
               Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n";
    let described = gateway.ask(h2c).await.described();
    for name in ["upgrade", "http2-settings", "connection"] {
        assert!(values(&described, name).is_empty(), "{described}");
    }
}
