//! A small HTTP server on a pod's address that says which pod it is, and counts.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::future::{OptionFuture, ready};
use futures::{StreamExt, TryStreamExt};
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1::{self, UpgradeableConnection};
use hyper::service::{HttpService, service_fn};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

/// Requests to this path are answered only after [`Backend::release`].
pub(crate) const HELD: &str = "/held";
/// The answer repeats the head of the request, one field a line.
pub(crate) const ECHO: &str = "/echo";

/// Answers `200` with its own name; a WebSocket gets an echo of every message.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

struct State {
    name: String,
    /// Requests whose head was read.
    seen: AtomicU64,
    /// Requests that wait at [`HELD`].
    held: AtomicU64,
    released: watch::Sender<bool>,
    ending: watch::Sender<bool>,
}

impl Backend {
    pub(crate) async fn start(name: &str, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await;
        let listener = listener.unwrap_or_else(|error| panic!("{name} on {address}: {error}"));
        let state = Arc::new(State {
            name: name.to_owned(),
            seen: AtomicU64::new(0),
            held: AtomicU64::new(0),
            released: watch::Sender::new(false),
            ending: watch::Sender::new(false),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&state)));
        Self {
            address,
            state,
            accepting,
        }
    }

    pub(crate) fn seen(&self) -> u64 {
        self.state.seen.load(Ordering::Relaxed)
    }

    pub(crate) fn held(&self) -> u64 {
        self.state.held.load(Ordering::Relaxed)
    }

    /// Lets the requests to [`HELD`] be answered.
    pub(crate) fn release(&self) {
        self.state.released.send_replace(true);
    }

    /// What a well-behaved server does on SIGTERM: it stops listening and closes idle connections
    /// at once, and finishes what is in flight. Returns when that is done.
    pub(crate) async fn end(mut self) {
        self.state.ending.send_replace(true);
        (&mut self.accepting).await.unwrap();
    }
}

impl Drop for Backend {
    /// A crash: the listener and every connection are gone at once.
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    let mut ending = state.ending.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = becomes_true(&mut ending) => break,
        };
        let Ok((stream, _)) = accepted else { break };
        connections.spawn(serve(stream, Arc::clone(&state)));
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Returns as well when the backend is gone.
async fn becomes_true(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|is_true| *is_true).await;
}

/// One connection to its end, its upgrade included, so that a crash takes both.
async fn serve(stream: TcpStream, state: Arc<State>) {
    let (upgrade, mut upgrades) = mpsc::channel(1);
    let mut ending = state.ending.subscribe();
    let service = service_fn(move |request| answer(request, Arc::clone(&state), upgrade.clone()));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    serve_until(connection.with_upgrades(), &mut ending).await;
    if let Some(Ok(upgraded)) = OptionFuture::from(upgrades.recv().await).await {
        echo(upgraded).await;
    }
}

/// Every message, until the client has closed the WebSocket or is gone.
async fn echo(upgraded: Upgraded) {
    let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
    let (back, messages) = socket.split();
    let messages = messages.try_filter(|message| ready(message.is_text() || message.is_binary()));
    let _ = messages.forward(back).await;
}

/// Drops the connection, and with it the service, when it is at its end.
async fn serve_until<S>(
    connection: UpgradeableConnection<TokioIo<TcpStream>, S>,
    ending: &mut watch::Receiver<bool>,
) where
    S: HttpService<Incoming, ResBody = Full<Bytes>, Error = Infallible>,
{
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => {}
        () = becomes_true(ending) => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

async fn answer(
    mut request: Request<Incoming>,
    state: Arc<State>,
    upgrade: mpsc::Sender<OnUpgrade>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    state.seen.fetch_add(1, Ordering::Relaxed);
    if let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY) {
        let accepted = switching_protocols(&derive_accept_key(key.as_bytes()));
        let _ = upgrade.try_send(hyper::upgrade::on(request));
        return Ok(accepted);
    }
    let head = head_of(&request);
    let path = request.uri().path().to_owned();
    let _ = request.body_mut().collect().await;
    if path == HELD {
        state.held.fetch_add(1, Ordering::Relaxed);
        let mut released = state.released.subscribe();
        becomes_true(&mut released).await;
    }
    let body = if path == ECHO {
        head
    } else {
        state.name.clone()
    };
    Ok(Response::new(Full::from(body)))
}

fn head_of(request: &Request<Incoming>) -> String {
    let mut head = format!("{} {}\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        head.push_str(&format!("{name}: {}\n", value.to_str().unwrap_or("?")));
    }
    head
}

fn switching_protocols(accept: &str) -> Response<Full<Bytes>> {
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept)
        .body(Full::default())
        .unwrap()
}
