//! The request body on its way to an endpoint, and again to the next one.
//!
//! All attempts of a request share one [`Upload`]: the first bytes are kept, up to the policy's
//! limit, so that another attempt can begin with them; beyond it the body streams and no attempt
//! after this one can have it. Only the newest attempt may take bytes from the client: a connection
//! that was given up may poll its body once more, and must not swallow a frame.
//!
//! The upload also knows whose turn it is. A stalled upload is the client's fault if we wait for its
//! bytes, the endpoint's if they are here and it does not take them, and only when the whole body is
//! out does the clock for the response run. And it remembers what was wrong with the client's
//! message, so that a malformed chunk never looks like a failing endpoint.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::Notify;

use crate::failure::{Cause, ClientFault};

/// A request body that attempts share.
#[derive(Debug)]
pub struct Upload {
    state: Mutex<State>,
    /// The announced length, if the client announced one.
    length: Option<u64>,
    /// Told when the whole body is out.
    finished: Notify,
}

#[derive(Debug)]
struct State {
    source: Incoming,
    /// The frames so far, while they fit into `room`; `None` once they did not.
    kept: Option<Vec<Bytes>>,
    room: usize,
    trailers: Option<HeaderMap>,
    /// Bytes taken from the client.
    taken: u64,
    turn: Turn,
    fault: Option<Cause>,
    /// The attempt that may take bytes.
    attempt: u32,
    keep_trailer: fn(&mut HeaderMap),
}

/// Whom an upload waits for, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The client: we want bytes that are not here.
    Client(Instant),
    /// The endpoint: it has not asked for more since.
    Endpoint(Instant),
    /// Nobody: the whole body is out.
    Finished(Instant),
}

impl Upload {
    /// Takes over the client's body; keeps up to `room` bytes for further attempts. `keep_trailer`
    /// removes the trailer fields that must not be forwarded.
    pub fn new(source: Incoming, room: usize, keep_trailer: fn(&mut HeaderMap)) -> Arc<Self> {
        let length = source.size_hint().exact();
        Arc::new(Self {
            length,
            finished: Notify::new(),
            state: Mutex::new(State {
                source,
                kept: Some(Vec::new()),
                room,
                trailers: None,
                taken: 0,
                turn: Turn::Endpoint(Instant::now()),
                fault: None,
                attempt: 0,
                keep_trailer,
            }),
        })
    }

    /// The body for the next attempt; `None` when what an earlier one took is not kept.
    pub fn next_attempt(self: &Arc<Self>) -> Option<RequestBody> {
        let mut state = self.lock();
        state.kept.as_ref()?;
        state.attempt += 1;
        if !matches!(state.turn, Turn::Finished(_)) {
            state.turn = Turn::Endpoint(Instant::now());
        }
        let attempt = state.attempt;
        drop(state);
        Some(RequestBody(Kind::Upload {
            upload: Arc::clone(self),
            next: 0,
            attempt,
            done: false,
        }))
    }

    /// Whether another attempt could have the whole body.
    pub fn is_replayable(&self) -> bool {
        self.lock().kept.is_some()
    }

    /// Whom we wait for.
    pub fn turn(&self) -> Turn {
        self.lock().turn
    }

    /// Waits until the whole body is out; returns at most once.
    pub async fn finished(&self) {
        self.finished.notified().await;
    }

    /// Bytes taken from the client so far.
    pub fn taken(&self) -> u64 {
        self.lock().taken
    }

    /// What was wrong with the client's message, if anything.
    pub fn fault(&self) -> Option<Cause> {
        self.lock().fault
    }

    /// A poisoned lock means that a poll panicked; the state is plain data and stays usable.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is sent to an endpoint as the body of a request.
#[derive(Debug)]
pub struct RequestBody(Kind);

#[derive(Debug)]
enum Kind {
    Empty,
    Upload {
        upload: Arc<Upload>,
        /// The index of the next kept frame to send.
        next: usize,
        attempt: u32,
        done: bool,
    },
}

impl RequestBody {
    /// No body.
    pub fn empty() -> Self {
        Self(Kind::Empty)
    }
}

/// The upload ended: the client's message is broken, or another attempt has taken over.
#[derive(Debug, thiserror::Error)]
#[error("the request body ended early")]
pub struct UploadEnded;

impl State {
    fn poll_source(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadEnded>>> {
        let polled = Pin::new(&mut self.source).poll_frame(cx);
        let now = Instant::now();
        match polled {
            Poll::Pending => {
                if !matches!(self.turn, Turn::Client(_)) {
                    self.turn = Turn::Client(now);
                }
                Poll::Pending
            }
            Poll::Ready(None) => {
                self.turn = Turn::Finished(now);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                self.fault = Some(client_fault(&error));
                Poll::Ready(Some(Err(UploadEnded)))
            }
            Poll::Ready(Some(Ok(frame))) => {
                self.turn = Turn::Endpoint(now);
                Poll::Ready(Some(Ok(self.take(frame))))
            }
        }
    }

    fn take(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        match frame.into_data() {
            Ok(data) => {
                self.taken += data.len() as u64;
                self.keep(&data);
                if self.source.is_end_stream() {
                    self.turn = Turn::Finished(Instant::now());
                }
                Frame::data(data)
            }
            Err(frame) => {
                let mut trailers = frame.into_trailers().unwrap_or_default();
                (self.keep_trailer)(&mut trailers);
                self.trailers = Some(trailers.clone());
                self.turn = Turn::Finished(Instant::now());
                Frame::trailers(trailers)
            }
        }
    }

    fn keep(&mut self, data: &Bytes) {
        match self.room.checked_sub(data.len()) {
            Some(room) => {
                self.room = room;
                if let Some(kept) = &mut self.kept {
                    kept.push(data.clone());
                }
            }
            None => self.kept = None,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = UploadEnded;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadEnded>>> {
        let Kind::Upload {
            upload,
            next,
            attempt,
            done,
        } = &mut self.0
        else {
            return Poll::Ready(None);
        };
        if *done {
            return Poll::Ready(None);
        }
        let mut state = upload.lock();
        if state.attempt != *attempt || state.fault.is_some() {
            return Poll::Ready(Some(Err(UploadEnded)));
        }
        if let Some(data) = state.kept.as_ref().and_then(|kept| kept.get(*next)) {
            *next += 1;
            return Poll::Ready(Some(Ok(Frame::data(data.clone()))));
        }
        if let Turn::Finished(_) = state.turn {
            *done = true;
            return Poll::Ready(state.trailers.clone().map(|t| Ok(Frame::trailers(t))));
        }
        let polled = state.poll_source(cx);
        if let Turn::Finished(_) = state.turn {
            upload.finished.notify_one();
        }
        match &polled {
            Poll::Ready(Some(Ok(frame))) if frame.is_trailers() => *done = true,
            Poll::Ready(Some(Ok(_))) => *next += 1,
            Poll::Ready(None) => *done = true,
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Upload { done, .. } => *done,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Upload { upload, .. } => upload
                .length
                .map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

/// Whether the client broke its message or broke off.
fn client_fault(error: &hyper::Error) -> Cause {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            return match io.kind() {
                io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                    Cause::BadRequest(ClientFault::Body)
                }
                io::ErrorKind::TimedOut => Cause::BadRequest(ClientFault::BodyTimeout),
                _ => Cause::ClientAborted,
            };
        }
        if let Some(h2) = inner.downcast_ref::<h2::Error>() {
            return if h2.is_library() {
                Cause::BadRequest(ClientFault::Body)
            } else {
                Cause::ClientAborted
            };
        }
        source = inner.source();
    }
    if error.is_parse() || error.is_user() {
        Cause::BadRequest(ClientFault::Body)
    } else {
        Cause::ClientAborted
    }
}
