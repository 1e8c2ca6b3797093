//! The response body on its way to the client.
//!
//! It holds what the response still needs (the connection it comes from, the request's account) and
//! settles both at the end: a body that was read to its end gives its connection back; one that
//! breaks off ends the client's message visibly, never as if it were whole, and is the endpoint's
//! failure; one that is dropped before its end means that the client left.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use crate::failure::{Blame, Cause, ClientFault};
use crate::report::hint::Hint;
use crate::routing::policy::upstream::ConnectionPool;
use crate::upstream::breaker::RequestPermit;
use crate::upstream::classify::{body_failure, body_hint, detail};
use crate::upstream::connection::Connection;
use crate::upstream::endpoint::{Endpoint, InFlight};
use crate::upstream::readmission::Trial;
use crate::upstream::upload::{Turn, Upload};

use super::account::Account;
use super::hop;
use super::validate::AnswerBody;

/// How long the rest of an upload may stand still whose answer is out.
const LEFTOVER: Duration = Duration::from_secs(30);

/// A client that pauses for longer may be why its endpoint gives up.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// The body of a response to a client.
pub(super) enum ResponseBody {
    /// Made here.
    Own {
        content: Option<Bytes>,
        account: Option<Box<Account>>,
    },
    /// From an endpoint.
    Upstream(Box<Streaming>),
}

/// A body that is being read from an endpoint.
pub(super) struct Streaming {
    pub(super) incoming: AnswerBody,
    pub(super) lease: Option<Lease>,
    pub(super) account: Box<Account>,
    /// Reused from the wait for the response head.
    pub(super) timer: Pin<Box<Sleep>>,
    pub(super) read_timeout: Duration,
    /// How long the client may pause within its own body.
    pub(super) client_body_timeout: Duration,
    /// Whether the endpoint is being waited for: what came before is out, as far as the client takes it.
    pub(super) waiting: bool,
    /// Why the body ended, until what came before is out.
    pub(super) broken: Option<hyper::Error>,
    /// When the client was given something, until it wants more.
    pub(super) given: Option<Instant>,
    /// Whether it has ever taken long for that.
    pub(super) client_paused: bool,
}

/// A connection in use, with what it is used for.
pub(super) struct Lease {
    pub(super) connection: Box<Connection>,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) upload: Option<Arc<Upload>>,
    pub(super) in_flight: InFlight,
    pub(super) worker: usize,
    /// Counts the request where requests are limited.
    pub(super) admitted: Option<RequestPermit>,
    /// How the connection is kept.
    pub(super) pool: ConnectionPool,
    /// The status counts as a failure of the endpoint, however the body ends.
    pub(super) faulty: bool,
    /// The half-open endpoint is tried with it, until the body has ended or flowed for a while.
    pub(super) trial: Option<Trial>,
}

impl Lease {
    /// The response was read to its end: gives the connection back as soon as the request is out,
    /// too.
    pub(super) fn finish(mut self) {
        let uploading = self.is_uploading();
        self.succeeded(Instant::now());
        drop((self.in_flight, self.admitted));
        let rest = self.upload.filter(|_| uploading);
        let (endpoint, connection) = (self.endpoint, self.connection);
        let give = move || endpoint.give_idle(self.worker, connection, &self.pool);
        match rest {
            None => give(),
            Some(rest) => {
                tokio::spawn(async move {
                    if rest.ends_by_itself(LEFTOVER).await {
                        give();
                    }
                });
            }
        }
    }

    /// The exchange ended as it should, unless its status says otherwise.
    pub(super) fn succeeded(&mut self, now: Instant) {
        if self.faulty {
            return;
        }
        self.endpoint.completed(now);
        if let Some(trial) = self.trial.take() {
            trial.succeeded(now);
        }
    }

    /// More of the body came: some never end.
    fn flows(&mut self) {
        if let Some(trial) = self.trial.take_if(|trial| trial.lasts_long()) {
            trial.succeeded(Instant::now());
        }
    }

    /// Whether some of the request is still to come.
    pub(super) fn is_uploading(&self) -> bool {
        let upload = self.upload.as_ref();
        upload.is_some_and(|upload| !upload.turn().is_finished())
    }

    /// What the client did wrong to its own message, if that is why the exchange broke.
    fn client_fault(&self) -> Option<Cause> {
        self.upload.as_ref().and_then(|upload| upload.fault())
    }
}

impl ResponseBody {
    /// Content made here; `None` where the response must have none.
    pub(super) fn own(content: Option<Bytes>, account: Option<Box<Account>>) -> Self {
        Self::Own { content, account }
    }
}

impl Streaming {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(given) = self.given.take() {
            self.client_paused |= given.elapsed() > PAUSE;
        }
        let next = match self.broken.take() {
            Some(error) => Some(Err(error)),
            None => match Pin::new(&mut self.incoming).poll_frame(cx) {
                Poll::Ready(next) => next,
                Poll::Pending => return self.poll_timeout(cx),
            },
        };
        let waited = std::mem::take(&mut self.waiting);
        Poll::Ready(match next {
            Some(Ok(frame)) => Some(Ok(self.pass(frame))),
            Some(Err(error)) if !waited => {
                // hyper writes when it has to wait, and drops what it has not written when a body fails.
                self.broken = Some(error);
                self.waiting = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(Err(error)) => Some(Err(self.fail(body_failure(&error), detail(&error)))),
            None => {
                self.settle();
                None
            }
        })
    }

    fn poll_timeout(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if !self.waiting {
            self.waiting = true;
            let deadline = tokio::time::Instant::now() + self.read_timeout;
            self.timer.as_mut().reset(deadline);
        }
        loop {
            ready!(self.timer.as_mut().poll(cx));
            // An endpoint that waits for the client's bytes is not silent.
            let Some(since) = self.client_pauses_since() else {
                let silence = format!("nothing came for {:?}", self.read_timeout);
                let error = self.fail(Cause::BodyTimeout, silence.into());
                return Poll::Ready(Some(Err(error)));
            };
            let deadline = since + self.client_body_timeout;
            if deadline <= Instant::now() {
                let cause = Cause::BadRequest(ClientFault::BodyTimeout);
                let error = self.fail(cause, Box::default());
                return Poll::Ready(Some(Err(error)));
            }
            self.timer.as_mut().reset(deadline.into());
        }
    }

    fn client_pauses_since(&self) -> Option<Instant> {
        let upload = self.lease.as_ref()?.upload.as_ref()?;
        match upload.turn() {
            Turn::Client(since) => Some(since),
            Turn::Endpoint(_) | Turn::Finished(_) => None,
        }
    }

    fn pass(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        let frame = match frame.into_trailers() {
            Ok(mut trailers) => {
                hop::trailers(&mut trailers);
                Frame::trailers(trailers)
            }
            Err(frame) => frame,
        };
        if let Some(data) = frame.data_ref() {
            self.account.bytes_sent += data.len() as u64;
        }
        if let Some(lease) = &mut self.lease {
            lease.flows();
            self.given = Some(Instant::now());
        }
        // Nobody asks again after trailers.
        if frame.is_trailers() || self.incoming.is_end_stream() {
            self.settle();
        }
        frame
    }

    /// How much came of a body that ended before its end.
    fn ended_early(&self, cause: Cause) -> Option<Hint> {
        let received = self.account.bytes_sent;
        let left = self.incoming.size_hint().exact();
        body_hint(cause, received, left.map(|left| received + left))
    }

    fn settle(&mut self) {
        self.account.complete();
        self.note_received();
        if let Some(lease) = self.lease.take() {
            lease.finish();
        }
    }

    fn note_received(&mut self) {
        let upload = self.lease.as_ref().and_then(|lease| lease.upload.as_ref());
        if let Some(upload) = upload {
            self.account.bytes_received = upload.taken();
        }
    }

    fn fail(&mut self, cause: Cause, detail: Box<str>) -> io::Error {
        let fault = self.lease.as_ref().and_then(Lease::client_fault);
        let cause = fault.unwrap_or(cause);
        let ended = self.ended_early(cause);
        self.account.broken(cause);
        self.note_received();
        if let Some(lease) = self.lease.take()
            && cause.blame() != Blame::Client
            && let Some(upstream) = self.account.served_by()
        {
            let now = Instant::now();
            let received = lease.connection.moved().read;
            // One that can send nothing for a while may well give up.
            if !self.client_paused {
                let endpoint = &lease.endpoint;
                endpoint.failed(Duration::ZERO, upstream.typical(now), now);
                upstream.attempt_failed(endpoint, (cause, lease.trial), now);
            }
            upstream.metrics().broke_off(lease.worker, cause);
            if let Some(answered) = self.account.attempts.last_mut() {
                answered.cause = Some(cause);
                answered.received = received;
                answered.detail = Some(detail);
                answered.hint = ended.map(Box::new);
            }
        }
        io::Error::new(io::ErrorKind::UnexpectedEof, cause)
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut *self {
            Self::Own { content, account } => {
                let content = content.take();
                if let Some(account) = account {
                    account.bytes_sent = content.as_ref().map_or(0, |c| c.len() as u64);
                    account.complete();
                }
                Poll::Ready(content.map(|content| Ok(Frame::data(content))))
            }
            Self::Upstream(streaming) => streaming.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own { content, .. } => content.is_none(),
            Self::Upstream(streaming) => streaming.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own { content, .. } => {
                SizeHint::with_exact(content.as_ref().map_or(0, |c| c.len() as u64))
            }
            Self::Upstream(streaming) => streaming.incoming.size_hint(),
        }
    }
}

impl Drop for ResponseBody {
    /// A body without content is never polled.
    fn drop(&mut self) {
        match self {
            Self::Own {
                content: None,
                account: Some(account),
            } => account.complete(),
            Self::Upstream(streaming) if streaming.incoming.is_end_stream() => streaming.settle(),
            Self::Upstream(streaming) => streaming.note_received(),
            Self::Own { .. } => {}
        }
    }
}
