//! WebSockets that say again what they are told (RFC 6455).
//!
//! A real client refuses an upgrade without the key that it computes itself, and frames that come back
//! masked. So the protocol is spoken here, by a library, over the peer's own wire, which counts and
//! keeps the bytes as those of any other connection.

use std::io;

use futures::{SinkExt, StreamExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::request::{Head, Wire};

/// Whether an upgrade to this protocol is one to a WebSocket that a client can check.
pub(super) fn is_asked_for(head: &Head) -> bool {
    let websocket = |protocol: &str| protocol.eq_ignore_ascii_case("websocket");
    head.field("upgrade").is_some_and(websocket) && head.field("sec-websocket-key").is_some()
}

/// What the answer to the request says beside the switch (RFC 6455 section 4.2.2): a client that
/// proposes subprotocols gets the first one, since it would refuse none.
pub(super) fn agreed(head: &Head) -> String {
    let key = head.field("sec-websocket-key").unwrap_or_default();
    let accept = derive_accept_key(key.as_bytes());
    let proposed = head.field("sec-websocket-protocol");
    let subprotocol = match proposed.and_then(|names| names.split(',').next()) {
        Some(name) => format!("sec-websocket-protocol: {}\r\n", name.trim()),
        None => String::new(),
    };
    format!("sec-websocket-accept: {accept}\r\n{subprotocol}")
}

/// Says every message again until one side ends the WebSocket; whether the other side just left.
///
/// # Errors
/// When the connection breaks.
pub(super) async fn echo(wire: &mut Wire<'_>) -> io::Result<bool> {
    let mut socket = WebSocketStream::from_raw_socket(wire, Role::Server, None).await;
    while let Some(message) = socket.next().await {
        let said = match message {
            // Pings and a Close are answered by the library.
            Ok(message) if !message.is_text() && !message.is_binary() => Ok(()),
            Ok(message) => socket.send(message).await,
            Err(error) => Err(error),
        };
        match said {
            Ok(()) => {}
            Err(Error::Io(error)) => return Err(error),
            Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => return Ok(true),
            Err(_) => return Ok(false),
        }
    }
    Ok(false)
}
