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

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use tokio::sync::Notify;

use crate::failure::Cause;

use super::classify::upload_failure;

mod kept;
mod request_body;

pub use kept::{ReplayMemory, Reserved};
pub use request_body::RequestBody;

use kept::Kept;

/// A request body that attempts share.
#[derive(Debug)]
pub struct Upload {
    state: Mutex<State>,
    /// The announced length, if the client announced one.
    length: Option<u64>,
    /// Told when the whole body is out, or cannot come out any more.
    finished: Notify,
}

#[derive(Debug)]
struct State {
    /// The client's body; `None` once nobody wants it any more.
    source: Option<Source>,
    /// The frames so far, while all of them may be kept.
    kept: Option<Kept>,
    trailers: Option<HeaderMap>,
    /// Bytes taken from the client.
    taken: u64,
    turn: Turn,
    fault: Option<Cause>,
    /// The attempt that may take bytes.
    attempt: u32,
    /// Of the connection that waits for the client's next bytes.
    waiting: Option<Waker>,
    /// The newest attempt's connection ended before the body was out.
    dropped: bool,
    keep_trailer: fn(&mut HeaderMap),
}

/// Where the bytes come from.
#[derive(Debug)]
enum Source {
    Client(Incoming),
    #[cfg(test)]
    Script(tests::Script),
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

impl Turn {
    /// Since when it is.
    pub fn since(self) -> Instant {
        let (Self::Client(since) | Self::Endpoint(since) | Self::Finished(since)) = self;
        since
    }

    /// Whether the whole body is out.
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Finished(_))
    }
}

impl Upload {
    /// Takes over the client's body; keeps up to `room` bytes for further attempts, while there is
    /// memory for them. `keep_trailer`
    /// removes the trailer fields that must not be forwarded.
    pub fn new(
        source: Incoming,
        (room, memory): (usize, &Arc<ReplayMemory>),
        keep_trailer: fn(&mut HeaderMap),
    ) -> Arc<Self> {
        let length = source.size_hint().exact();
        let kept = Kept::new(room, memory);
        Self::of(Source::Client(source), length, kept, keep_trailer)
    }

    fn of(
        source: Source,
        length: Option<u64>,
        kept: Kept,
        keep_trailer: fn(&mut HeaderMap),
    ) -> Arc<Self> {
        Arc::new(Self {
            length,
            finished: Notify::new(),
            state: Mutex::new(State {
                source: Some(source),
                kept: Some(kept),
                trailers: None,
                taken: 0,
                turn: Turn::Endpoint(Instant::now()),
                fault: None,
                attempt: 0,
                waiting: None,
                dropped: false,
                keep_trailer,
            }),
        })
    }

    /// The body for the next attempt; `None` when what an earlier one took is not kept.
    pub fn next_attempt(self: &Arc<Self>) -> Option<RequestBody> {
        let mut state = self.lock();
        state.kept.as_ref()?;
        state.attempt += 1;
        state.dropped = false;
        if !state.turn.is_finished() {
            state.turn = Turn::Endpoint(Instant::now());
        }
        let (attempt, waiting) = (state.attempt, state.waiting.take());
        drop(state);
        // The connection of the attempt before learns that it gets nothing more.
        if let Some(waiting) = waiting {
            waiting.wake();
        }
        Some(RequestBody::of(Arc::clone(self), attempt))
    }

    /// Gives the rest of the client's body up. The connection that was to carry it ends, since its
    /// message can never become whole.
    pub fn give_up(&self) {
        let mut state = self.lock();
        state.attempt += 1;
        state.kept = None;
        let (source, waiting) = (state.source.take(), state.waiting.take());
        drop(state);
        drop(source);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }

    /// Waits until the whole body is out, and says whether that came to pass: when nothing has moved
    /// for as long as the limit, the rest is given up.
    pub async fn ends_by_itself(&self, limit: Duration) -> bool {
        loop {
            let turn = self.turn();
            if turn.is_finished() {
                return true;
            }
            let left = (turn.since() + limit).saturating_duration_since(Instant::now());
            if left.is_zero() || self.lock().dropped {
                self.give_up();
                return false;
            }
            // Told when the whole body is out and when its connection ended.
            let _ = tokio::time::timeout(left, self.finished.notified()).await;
        }
    }

    /// The announced length, if there is one.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Whether another attempt could have the whole body.
    pub fn is_replayable(&self) -> bool {
        self.lock().kept.is_some()
    }

    /// Whom we wait for.
    pub fn turn(&self) -> Turn {
        self.lock().turn
    }

    /// Waits until the whole body is out, or its connection let go of it; returns at most once.
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

/// The upload ended: the client's message is broken, or another attempt has taken over.
#[derive(Debug, thiserror::Error)]
#[error("the request body ended early")]
pub struct UploadEnded;

impl State {
    fn poll_source(
        &mut self,
        cx: &mut Context<'_>,
        length: Option<u64>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadEnded>>> {
        let polled = match &mut self.source {
            Some(source) => source.poll_frame(cx),
            None => return Poll::Ready(Some(Err(UploadEnded))),
        };
        let now = Instant::now();
        match polled {
            Poll::Pending => {
                if !matches!(self.turn, Turn::Client(_)) {
                    self.turn = Turn::Client(now);
                }
                match &mut self.waiting {
                    Some(waiting) => waiting.clone_from(cx.waker()),
                    None => self.waiting = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
            Poll::Ready(None) => {
                self.turn = Turn::Finished(now);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(fault))) => {
                self.fault = Some(fault);
                Poll::Ready(Some(Err(UploadEnded)))
            }
            Poll::Ready(Some(Ok(frame))) => {
                self.turn = Turn::Endpoint(now);
                let frame = self.take(frame);
                // hyper asks for nothing beyond the announced length.
                if length == Some(self.taken) {
                    self.turn = Turn::Finished(now);
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn take(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        match frame.into_data() {
            Ok(data) => {
                self.taken += data.len() as u64;
                self.keep(&data);
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
        let kept = self.kept.as_mut();
        if kept.is_some_and(|kept| !kept.push(data)) {
            self.kept = None;
        }
    }
}

impl Source {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cause>>> {
        match self {
            Self::Client(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|error| upload_failure(&error)),
            #[cfg(test)]
            Self::Script(script) => script.poll_frame(cx),
        }
    }
}

#[cfg(test)]
mod tests;
