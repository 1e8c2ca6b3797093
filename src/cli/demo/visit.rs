//! One request to the gateway, and what a client gets for it.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

/// No answer takes that long here.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a WebSocket is asked for with.
const KEY: &str = "Ynl3YXNoLWRlbW8tMTIzNA==";

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Get,
    /// With a body that no retry buffer holds.
    Upload,
    Post,
    WebSocket,
}

impl Ask {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post | Self::Upload => "POST",
            Self::WebSocket => "WebSocket",
        }
    }

    fn request(self, path: &str) -> http::Result<Request<Full<Bytes>>> {
        let body = match self {
            Self::Get | Self::WebSocket => Bytes::new(),
            Self::Post => Bytes::from_static(b"an order"),
            Self::Upload => Bytes::from(vec![0; 1 << 20]),
        };
        let mut request = Request::builder()
            .uri(path)
            .header(header::HOST, "demo.localhost");
        request = match self {
            Self::Get => request,
            Self::Post | Self::Upload => request.method(Method::POST),
            Self::WebSocket => request
                .header(header::CONNECTION, "upgrade")
                .header(header::UPGRADE, "websocket")
                .header(header::SEC_WEBSOCKET_VERSION, "13")
                .header(header::SEC_WEBSOCKET_KEY, KEY),
        };
        request.body(Full::new(body))
    }
}

/// What a client got.
#[derive(Debug)]
pub(super) struct Visit {
    /// In a few words.
    pub(super) got: String,
    pub(super) status: StatusCode,
    pub(super) request_id: String,
}

/// Asks, in a connection of its own, and reads the answer to its end.
pub(super) async fn visit(address: SocketAddr, ask: Ask, path: &str) -> Result<Visit, String> {
    let visited = tokio::time::timeout(PATIENCE, exchange(address, ask, path)).await;
    match visited {
        Ok(Ok(visit)) => Ok(visit),
        Ok(Err(error)) => Err(format!("no answer: {error}")),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

async fn exchange(
    address: SocketAddr,
    ask: Ask,
    path: &str,
) -> Result<Visit, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // How it ends is seen in the answer.
    tokio::spawn(connection.with_upgrades());
    let response = sender.send_request(ask.request(path)?).await?;
    let status = response.status();
    let id = response.headers().get("x-request-id");
    let request_id = id.and_then(|id| id.to_str().ok()).unwrap_or_default();
    let request_id = request_id.to_owned();
    let got = match status {
        StatusCode::SWITCHING_PROTOCOLS => {
            echoed(response).await?;
            "101, then an echo".to_owned()
        }
        _ => match response.into_body().collect().await {
            Ok(_) => status.as_u16().to_string(),
            Err(_) => format!("{}, then cut short", status.as_u16()),
        },
    };
    Ok(Visit {
        got,
        status,
        request_id,
    })
}

/// Leaves HTTP and has a message sent back.
async fn echoed(
    response: Response<Incoming>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let accept = response.headers().get(header::SEC_WEBSOCKET_ACCEPT);
    if accept.is_none_or(|accept| accept != derive_accept_key(KEY.as_bytes()).as_str()) {
        return Err("the WebSocket's key does not fit".into());
    }
    let tunnel = TokioIo::new(hyper::upgrade::on(response).await?);
    let mut socket = WebSocketStream::from_raw_socket(tunnel, Role::Client, None).await;
    let message = Message::text("is anybody there?");
    socket.send(message.clone()).await?;
    let back = socket.next().await.ok_or("no echo")??;
    if back == message {
        Ok(())
    } else {
        Err("the echo differs".into())
    }
}
