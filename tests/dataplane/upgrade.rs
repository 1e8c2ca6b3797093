//! WebSockets and other upgrades.

use bywash::faults::script::Script;
use bywash::faults::{Fault, Peer};

use super::client::{End, until};
use super::gateway::{Gateway, SHORT};

/// Asks for a WebSocket.
pub(crate) const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[tokio::test]
async fn a_websocket_carries_bytes_both_ways_until_one_side_ends_it() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    let mut client = gateway.client().await;
    client.send(UPGRADE).await;
    let head = client.head().await;
    assert_eq!(head.status, 101);
    assert_eq!(head.field("upgrade"), Some("websocket"));
    assert!(
        head.field("connection")
            .unwrap()
            .eq_ignore_ascii_case("upgrade")
    );
    for message in ["first", "second \0\r\n\r\n", "third"] {
        client.send(message).await;
        assert_eq!(client.bytes(message.len()).await, message.as_bytes());
    }
    let request = String::from_utf8(peer.received()[0].bytes.clone()).unwrap();
    assert!(
        request.to_lowercase().contains("sec-websocket-key: dghl"),
        "{request}"
    );
    drop(client);
    until(&peer, |counts| counts.ended == 1).await;
    let entry = gateway.logged().await;
    assert_eq!((entry.status, entry.cause), (101, None));
}

#[tokio::test]
async fn the_end_of_an_upgraded_connection_reaches_the_client() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    let mut client = gateway.client().await;
    client.send(UPGRADE).await;
    assert_eq!(client.head().await.status, 101);
    peer.shutdown().await;
    assert_ne!(client.rest().await.1, End::Whole);
}

#[tokio::test]
async fn an_upgrade_that_the_endpoint_does_not_want_passes_as_its_answer() {
    let peer = Peer::start(Script::answer(
        "HTTP/1.1 426 Upgrade Required\r\nupgrade: other\r\nconnection: upgrade\r\ncontent-length: 3\r\n\r\nno\n",
    ));
    let peer = peer.await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    let (answer, entry) = gateway.outcome(UPGRADE).await;
    assert_eq!((answer.status, answer.text().as_str()), (426, "no\n"));
    assert_eq!(entry.cause, None);
}

#[tokio::test]
async fn a_switch_to_a_protocol_that_was_not_asked_for_is_http_upgrade_failed() {
    let peer = Peer::start(Fault::UnaskedUpgrade).await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    let (answer, _) = gateway.outcome(UPGRADE).await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.proxy_error(), Some("http_upgrade_failed"));
}

#[tokio::test]
async fn a_tunnel_in_which_nothing_moves_ends_after_its_limit() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let gateway = Gateway::with(&[&peer], |policy| policy.timeouts.tunnel = SHORT);
    let mut client = gateway.client().await;
    client.send(UPGRADE).await;
    assert_eq!(client.head().await.status, 101);
    assert_eq!(client.rest().await.0, b"");
    until(&peer, |counts| counts.ended == 1).await;
}

#[tokio::test]
async fn the_limits_of_requests_do_not_end_a_tunnel() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let gateway = Gateway::with(&[&peer], |policy| {
        policy.timeouts.request = SHORT;
        policy.timeouts.read = SHORT;
        policy.timeouts.send = SHORT;
    });
    let mut client = gateway.client().await;
    client.send(UPGRADE).await;
    assert_eq!(client.head().await.status, 101);
    // The time is what is tested here.
    tokio::time::sleep(2 * SHORT).await;
    client.send("late").await;
    assert_eq!(client.bytes(4).await, b"late");
}

#[tokio::test]
async fn a_tunnel_is_accounted_for_however_it_ends() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    for abort in [true, false] {
        let gateway = Gateway::before(&[&peer]);
        let mut client = gateway.client().await;
        client.send(UPGRADE).await;
        assert_eq!(client.head().await.status, 101);
        client.send("ping").await;
        assert_eq!(client.bytes(4).await, b"ping");
        match abort {
            true => client.abort(),
            false => gateway.cut_off().await,
        }
        let entry = gateway.logged().await;
        assert_eq!((entry.status, entry.cause), (101, None), "{abort}");
        assert_eq!((entry.bytes_received, entry.bytes_sent), (4, 4), "{abort}");
    }
}
