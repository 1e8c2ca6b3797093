//! WebSockets and other upgrades.

use bywash::faults::script::{Script, Step, send};
use bywash::faults::{Fault, Peer};
use futures::{SinkExt, StreamExt};
use http::HeaderValue;
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::client::{End, until, within};
use super::gateway::{Gateway, SHORT};

/// Asks for a WebSocket.
pub(crate) const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Asks for a protocol of which nobody knows how it ends.
const OTHER_UPGRADE: &str =
    "GET /chat HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n";

/// A short message as a client sends it, masked (RFC 6455 section 5.3).
pub(crate) fn said(text: &str) -> Vec<u8> {
    let key = [0x5a, 0x0f, 0x33, 0xc4];
    let mask = key.iter().cycle();
    let masked = text.bytes().zip(mask).map(|(byte, key)| byte ^ key);
    let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap()];
    frame.extend(key);
    frame.extend(masked);
    frame
}

/// The same as a server sends it.
pub(crate) fn heard(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81, u8::try_from(text.len()).unwrap()];
    frame.extend(text.bytes());
    frame
}

#[tokio::test]
async fn a_client_of_websockets_talks_and_says_goodbye() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    let mut request = "ws://shop.test/chat".into_client_request().unwrap();
    let proposed = HeaderValue::from_static("chat, superchat");
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", proposed);
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let opened = within("the handshake", client_async(request, stream)).await;
    let (mut socket, response) = opened.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
    let long = "long ".repeat(100_000);
    for message in [Message::text(long), Message::binary(vec![0, 0xff])] {
        socket.send(message.clone()).await.unwrap();
        let back = within("the echo", socket.next()).await;
        assert!(back.unwrap().unwrap() == message);
    }
    socket.send(Message::Ping("?".into())).await.unwrap();
    let pong = within("the pong", socket.next()).await;
    assert_eq!(pong.unwrap().unwrap(), Message::Pong("?".into()));
    socket.close(None).await.unwrap();
    let goodbye = within("the goodbye", socket.next()).await;
    assert_eq!(goodbye.unwrap().unwrap(), Message::Close(None));
    assert!(within("the end", socket.next()).await.is_none());
    drop(socket);
    until(&peer, |counts| counts.ended == 1).await;
    let entry = gateway.logged().await;
    assert_eq!((entry.status, entry.cause), (101, None));
}

#[tokio::test]
async fn an_upgraded_connection_carries_bytes_both_ways_until_one_side_ends_it() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    let mut client = gateway.client().await;
    client.send(OTHER_UPGRADE).await;
    let head = client.head().await;
    assert_eq!(head.status, 101);
    assert_eq!(head.field("upgrade"), Some("other"));
    assert!(
        head.field("connection")
            .unwrap()
            .eq_ignore_ascii_case("upgrade")
    );
    for message in ["first", "second \0\r\n\r\n", "third"] {
        client.send(message).await;
        assert_eq!(client.bytes(message.len()).await, message.as_bytes());
    }
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
        policy.timeouts.request = 4 * SHORT;
        policy.timeouts.read = 4 * SHORT;
        policy.timeouts.send = 4 * SHORT;
    });
    let mut client = gateway.client().await;
    client.send(OTHER_UPGRADE).await;
    assert_eq!(client.head().await.status, 101);
    // The time is what is tested here.
    tokio::time::sleep(5 * SHORT).await;
    client.send("late").await;
    assert_eq!(client.bytes(4).await, b"late");
}

/// A text frame as a server sends it.
const WHOLE: &[u8] = b"\x81\x05hello";

/// A Close with the status 1001, "going away".
const GOING_AWAY: &[u8] = &[0x88, 2, 0x03, 0xe9];

/// What the client gets after these bytes from the endpoint when the process does not wait any longer.
async fn parting(protocol: &str, sent: &[u8]) -> Vec<u8> {
    let switch = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: {protocol}\r\n\r\n"
    );
    let endpoint = Script::on_request([send(switch), send(sent), Step::Drain]);
    let peer = Peer::start(endpoint).await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    let mut client = gateway.client().await;
    let upgrade = UPGRADE.replace("websocket", protocol);
    client.send(upgrade).await;
    assert_eq!(client.head().await.status, 101);
    assert_eq!(client.bytes(sent.len()).await, sent);
    let hear = async move {
        let (bytes, end) = client.rest().await;
        assert_ne!(end, End::Whole);
        bytes
    };
    tokio::join!(gateway.cut_off(), hear).1
}

#[tokio::test]
async fn a_websocket_that_is_cut_off_between_two_frames_is_told_that_the_server_goes_away() {
    assert_eq!(parting("websocket", WHOLE).await, GOING_AWAY);
    assert_eq!(parting("websocket", b"").await, GOING_AWAY);
}

#[tokio::test]
async fn a_websocket_that_is_cut_off_within_a_frame_or_after_a_close_just_ends() {
    assert_eq!(parting("websocket", &WHOLE[..4]).await, b"");
    assert_eq!(
        parting("websocket", &[WHOLE, &WHOLE[..1]].concat()).await,
        b""
    );
    assert_eq!(parting("websocket", GOING_AWAY).await, b"");
}

#[tokio::test]
async fn a_tunnel_of_another_protocol_that_is_cut_off_just_ends() {
    assert_eq!(parting("other", WHOLE).await, b"");
}

/// It must not be lost to a reset because something unread was left.
#[tokio::test]
async fn a_websocket_whose_client_still_sends_hears_that_the_server_goes_away() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    let mut client = gateway.client().await;
    client.send(UPGRADE).await;
    assert_eq!(client.head().await.status, 101);
    let hear = async move {
        assert_eq!(client.bytes(GOING_AWAY.len()).await, GOING_AWAY);
        client.send(WHOLE).await;
        client.rest().await
    };
    let ((), rest) = tokio::join!(gateway.cut_off(), hear);
    assert_eq!(rest, (Vec::new(), End::Cut));
}

#[tokio::test]
async fn a_tunnel_is_accounted_for_however_it_ends() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    for abort in [true, false] {
        let gateway = Gateway::before(&[&peer]);
        let mut client = gateway.client().await;
        client.send(OTHER_UPGRADE).await;
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
