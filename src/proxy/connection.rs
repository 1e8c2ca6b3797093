//! Serving one client's connection, from its first byte to its end.
//!
//! On a plain port the first bytes say whether the client speaks HTTP/2 by prior knowledge; on TLS
//! the handshake has settled it. hyper then speaks the protocol within the limits set here, calls
//! the handler, and is told when to stop: on drain, on an idle HTTP/2 connection, and for a client
//! that opens streams only to leave them.
//!
//! The first bytes are read here and not by hyper-util's `auto`, because a connection that has not
//! spoken yet then holds no buffers, and a drain can still wait a moment for it: its request may be
//! on the way.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use pin_project_lite::pin_project;
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio::time::timeout;

use super::client::{ClientContext, ConnectionState, InProgress};
use super::client_io::ClientIo;
use super::h2_streams::{BodyDid, Streams, body_did};
use crate::failure::ClientFault;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Answers requests: an `async fn(context, request) -> response` that is cheap to clone.
///
/// A failure has a response of its own; only bodies can fail. Implemented by such functions alone:
/// it gives their bounds one name.
pub(crate) trait Handler: Clone + Send + Sync + 'static {
    /// Of the responses.
    type Body: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;
    /// The response to come.
    type Answer: Future<Output = Response<Self::Body>> + Send + 'static;

    /// Answers one request.
    fn answer(&self, context: Arc<ClientContext>, request: Request<Incoming>) -> Self::Answer;
}

impl<H, A, B> Handler for H
where
    H: Fn(Arc<ClientContext>, Request<Incoming>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Body = B;
    type Answer = A;

    fn answer(&self, context: Arc<ClientContext>, request: Request<Incoming>) -> A {
        self(context, request)
    }
}

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// For a request that is on the way on an idle HTTP/1 connection when a drain begins. HTTP/2 has no
/// need of it: GOAWAY leaves room for what is on the way (RFC 9113 section 6.8).
const EARLY: Duration = Duration::from_secs(1);

const MAX_HEADERS: usize = 100;
const MAX_HEAD: usize = 32 * 1024;
const MAX_BUFFER: usize = 64 * 1024;
const STREAMS: u32 = 128;
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
const SEND_BUFFER: usize = 128 * 1024;
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves a connection to its end. When `draining` turns true, what is in flight is finished.
///
/// Returns why its last message was refused before there was a request to give to the handler.
pub(crate) async fn serve<H: Handler>(
    mut io: ClientIo,
    context: Arc<ClientContext>,
    handler: H,
    mut draining: watch::Receiver<bool>,
) -> Option<ClientFault> {
    let state = Arc::clone(&context.state);
    let h2 = match &context.tls {
        Some(tls) => tls.h2,
        None => match first_bytes(&mut io, &mut draining).await {
            Ok(h2) => h2,
            Err(_) => return too_late(&state),
        },
    };
    let service = Requests { handler, context };
    if h2 {
        io.speaks_h2();
        let builder = http2_builder(io.write_limit());
        let connection = builder.serve_connection(TokioIo::new(io), service);
        let end = http2::Connection::graceful_shutdown;
        Box::pin(drive(connection, end, Duration::ZERO, state, draining)).await;
        None
    } else {
        let connection = http1_builder(!*draining.borrow())
            .serve_connection(TokioIo::new(io), service)
            .with_upgrades();
        let end = http1::UpgradeableConnection::graceful_shutdown;
        let error = drive(connection, end, EARLY, Arc::clone(&state), draining).await?;
        refusal(&error).or_else(|| too_late(&state))
    }
}

/// What hyper cannot parse, it answers with a status.
fn refusal(error: &hyper::Error) -> Option<ClientFault> {
    match error {
        large if large.is_parse_too_large() => Some(ClientFault::HeadTooLarge),
        malformed if malformed.is_parse() => Some(ClientFault::Head),
        _ => None,
    }
}

fn too_late(state: &ConnectionState) -> Option<ClientFault> {
    state.was_too_late().then_some(ClientFault::HeadTimeout)
}

/// Whether the connection begins as HTTP/2 does (RFC 9113 section 3.4).
async fn first_bytes(io: &mut ClientIo, draining: &mut watch::Receiver<bool>) -> io::Result<bool> {
    let mut bytes = [0; PREFACE.len()];
    let mut length = 0;
    while length < bytes.len() && bytes[..length] == PREFACE[..length] {
        let drain = async { draining.wait_for(|draining| *draining).await.is_ok() };
        let read = tokio::select! {
            biased;
            _ = drain => timeout(EARLY, io.read(&mut bytes[length..])).await??,
            read = io.read(&mut bytes[length..]) => read?,
        };
        if read == 0 {
            break;
        }
        length += read;
    }
    if length == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    io.unread(&bytes[..length]);
    Ok(bytes == *PREFACE)
}

fn http1_builder(keep_alive: bool) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .keep_alive(keep_alive)
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_HEAD)
        .max_buf_size(MAX_BUFFER)
        // The stream below keeps the limits.
        .header_read_timeout(None);
    builder
}

fn http2_builder(write_limit: Duration) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(Streams { write_limit });
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(MAX_HEAD as u32)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .enable_connect_protocol();
    builder
}

/// Polls a connection to its end, and tells it when to come to it.
///
/// It is told only after it was polled: what has arrived by then is answered. On a drain it has
/// `patience` for another request, if it is idle.
async fn drive<C: Future<Output = hyper::Result<()>>>(
    connection: C,
    end: fn(Pin<&mut C>),
    patience: Duration,
    state: Arc<ConnectionState>,
    mut draining: watch::Receiver<bool>,
) -> Option<hyper::Error> {
    let mut connection = pin!(connection);
    // Looked at again whenever the connection has been polled.
    let busy = poll_fn(|_| match state.is_waiting() {
        true => Poll::Pending,
        false => Poll::Ready(()),
    });
    let mut drain = pin!(async {
        let _ = draining.wait_for(|draining| *draining).await;
        timeout(patience, busy).await.is_ok()
    });
    let mut ending = false;
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                return Poll::Ready(result.err());
            }
            if state.is_hostile() {
                return Poll::Ready(None);
            }
            if ending || !(state.is_retired() || drain.as_mut().poll(cx).is_ready()) {
                return Poll::Pending;
            }
            ending = true;
            end(connection.as_mut());
        }
    })
    .await
}

/// The handler as hyper's service for one connection.
struct Requests<H> {
    handler: H,
    context: Arc<ClientContext>,
}

impl<H: Handler> Service<Request<Incoming>> for Requests<H> {
    type Response = Response<Tracked<H::Body>>;
    type Error = Infallible;
    type Future = Answer<H::Answer>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let has_body = !request.body().is_end_stream();
        let in_progress = InProgress::begin(&self.context.state, has_body);
        let http10 = request.version() == Version::HTTP_10;
        let http1 = request.version() != Version::HTTP_2;
        Answer {
            answer: self.handler.answer(Arc::clone(&self.context), request),
            in_progress: Some(in_progress),
            http10,
            http1,
        }
    }
}

pin_project! {
    /// A response to come, of a request in progress.
    struct Answer<A> {
        #[pin]
        answer: A,
        in_progress: Option<InProgress>,
        http10: bool,
        http1: bool,
    }
}

impl<A, B> Future for Answer<A>
where
    A: Future<Output = Response<B>>,
{
    type Output = Result<Response<Tracked<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.answer.poll(cx));
        let mut in_progress = this.in_progress.take();
        if let Some(request) = &mut in_progress {
            request.answered();
            // Of HTTP/2 only a stream becomes one.
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                request.state().became_tunnel();
            } else if *this.http1 && request.state().is_leaving() {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
            }
        }
        Poll::Ready(Ok(response.map(|body| Tracked {
            body,
            in_progress,
            http10: *this.http10,
        })))
    }
}

pin_project! {
    /// A response body; the request is in progress until it is dropped.
    struct Tracked<B> {
        #[pin]
        body: B,
        in_progress: Option<InProgress>,
        http10: bool,
    }
}

impl<B: Body> Body for Tracked<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let poll = this.body.poll_frame(cx);
        body_did(if poll.is_ready() {
            BodyDid::Give
        } else {
            BodyDid::Wait
        });
        let frame = ready!(poll);
        if let (Some(Err(_)), Some(request), true) = (&frame, &this.in_progress, *this.http10) {
            request.state().abort();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
