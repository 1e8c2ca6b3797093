//! Messages that are whole are forwarded whole, counted as whole, and leave connections in order,
//! however they are framed.

use bywash::faults::script::{Script, Step, send};
use bywash::faults::{Fault, Peer};

use super::client::{End, get, until};
use super::gateway::{Gateway, endpoints};

/// A request for a description, whose body is chunked although methods like this rarely have one.
fn chunked(method: &str, chunks: &str) -> String {
    format!(
        "{method} / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"
    )
}

#[tokio::test]
async fn an_answer_that_does_not_say_which_server_it_is_from_is_from_ours() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    for (theirs, expected) in [("", "bywash"), ("server: theirs/1.0\r\n", "theirs/1.0")] {
        peer.once(Script::answer(format!(
            "HTTP/1.1 200 OK\r\n{theirs}content-length: 3\r\n\r\nok\n"
        )));
        let answer = gateway.ask(get("/")).await;
        assert_eq!(answer.field("server"), Some(expected));
    }
}

#[tokio::test]
async fn a_chunked_body_is_forwarded_whatever_the_method() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let gateway = Gateway::with(&[&peer], |policy| policy.retry.non_idempotent = true);
    let mut client = gateway.client().await;
    for method in ["GET", "DELETE", "POST", "PURGE"] {
        let answer = client.ask(chunked(method, "4\r\nbody\r\n")).await;
        assert_eq!(answer.described()["body_bytes"], 4, "{method}");
        assert_eq!(gateway.logged().await.bytes_received, 4, "{method}");
    }
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn an_empty_chunked_body_is_forwarded_and_the_connection_used_again() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let gateway = Gateway::with(&[&peer], |policy| policy.retry.non_idempotent = true);
    let mut client = gateway.client().await;
    for method in ["GET", "POST", "PUT"] {
        let answer = client.ask(chunked(method, "")).await;
        assert_eq!(answer.described()["body_bytes"], 0, "{method}");
    }
    client.ask(get("/")).await.described();
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn an_answer_with_trailers_is_complete_and_its_connection_used_again() {
    let peer = Peer::start(Script::answer(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n\
         4\r\nbody\r\n0\r\nx-sum: 42\r\n\r\n",
    ))
    .await
    .unwrap();
    let gateway = Gateway::before(&[&peer]);
    for _ in 0..3 {
        let (answer, entry) = gateway.outcome(get("/")).await;
        assert_eq!((answer.text().as_str(), answer.end), ("body", End::Whole));
        assert_eq!((entry.cause, entry.bytes_sent), (None, 4));
    }
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn answers_without_content_are_complete_whatever_length_they_announce() {
    for (request, status) in [
        ("HEAD", "200 OK"),
        ("GET", "304 Not Modified"),
        ("GET", "204 No Content"),
    ] {
        let script = format!("HTTP/1.1 {status}\r\ncontent-length: 42\r\netag: \"a\"\r\n\r\n");
        let peer = Peer::start(Script::answer(script)).await.unwrap();
        let gateway = Gateway::before(&[&peer]);
        let mut client = gateway.client().await;
        for _ in 0..3 {
            let answer = client
                .ask(format!("{request} / HTTP/1.1\r\nHost: shop.test\r\n\r\n"))
                .await;
            assert_eq!(answer.field("etag"), Some("\"a\""), "{status}");
            let length = (request == "HEAD").then_some("42");
            assert_eq!(answer.field("content-length"), length, "{status}");
            let entry = gateway.logged().await;
            assert_eq!((entry.cause, entry.bytes_sent), (None, 0), "{status}");
        }
        assert_eq!(peer.connections(), 1, "{status}");
    }
}

/// RFC 9110 section 8.6.
#[tokio::test]
async fn a_length_that_is_written_twice_is_forwarded_once() {
    for lengths in [
        "content-length: 2\r\ncontent-length: 2",
        "content-length: 2, 2",
    ] {
        let script = format!("HTTP/1.1 200 OK\r\n{lengths}\r\n\r\n");
        let peer = Peer::start(Script::answer(script)).await.unwrap();
        let gateway = Gateway::before(&[&peer]);
        let mut client = gateway.client().await;
        for _ in 0..2 {
            let request = "HEAD / HTTP/1.1\r\nHost: shop.test\r\n\r\n";
            let answer = client.ask(request).await;
            let fields = answer.fields.iter();
            let fields = fields.filter(|(name, _)| name == "content-length");
            let values: Vec<_> = fields.map(|(_, value)| value.as_str()).collect();
            assert_eq!(values, ["2"], "{lengths}");
        }
    }
}

/// The endpoint's connection is used again once the rest of the upload is out, not before.
#[tokio::test]
async fn an_upload_outlives_the_whole_answer_to_it() {
    let early = Script::on_request([
        send("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n"),
        Step::ReadBody,
    ]);
    let peer = Peer::start(early).await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    let mut client = gateway.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 8\r\n\r\nhalf")
        .await;
    assert_eq!(client.answer("POST").await.text(), "ok\n");
    gateway.ask(get("/")).await;
    assert_eq!(peer.connections(), 2);
    client.send("half").await;
    until(&peer, |counts| counts.received > 200).await;
    assert_eq!(peer.requests(), 2);
}

/// An answer that is retried came before the upload was out: the next endpoint gets all of it, and
/// the connection that has only a part of it ends.
#[tokio::test]
async fn an_upload_that_was_answered_early_goes_whole_to_the_next_endpoint() {
    let peer = endpoints(2, Fault::Echo).await;
    let busy = send("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n");
    peer.once(Script::on_request([Step::Gate, busy, Step::ReadBody]));
    let gateway = Gateway::before(&[&peer]);
    let mut client = gateway.client().await;
    client
        .send(
            "GET / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        )
        .await;
    until(&peer, |counts| counts.waiting == 1 && counts.received > 4).await;
    peer.open(1);
    until(&peer, |counts| counts.requests == 2 && counts.ended == 1).await;
    client.send("4\r\nrest\r\n0\r\n\r\n").await;
    assert_eq!(client.answer("GET").await.described()["body_bytes"], 8);
    let entry = gateway.logged().await;
    assert_eq!(entry.causes(), ["retried_status", ""]);
    assert_eq!(entry.bytes_received, 8);
}
