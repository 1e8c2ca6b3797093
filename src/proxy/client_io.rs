//! The time limits of a client's connection, kept below hyper.
//!
//! hyper knows one limit (for the head of an HTTP/1 request, which is also that of an idle
//! connection, and both end in silence); writes have none at all, so that a client that does not
//! read holds memory for ever. Here every limit is kept where the bytes pass: waiting for the next
//! request, from the first byte of a head to its end (with a `408`), and a pending write without
//! progress.
//!
//! A connection has one timer, made when it first has to wait and never reset per request: when it
//! fires, the deadline of the moment is looked at and the timer set again. A busy connection so
//! costs no timer operation at all.
//!
//! Closing lingers while a request body may still arrive (as nginx does): the kernel would answer
//! unread bytes with a reset, which can overtake our response.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::admission::Pass;
use super::client::ConnectionState;
use super::{listener, refusal};
use crate::telemetry::metrics::ConnectionGuard;

mod transport;

pub(crate) use transport::Transport;

/// The limits of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// For the next request.
    pub(crate) keepalive: Duration,
    /// From the first byte of a head to its end, and from a GOAWAY to the reaction.
    pub(crate) header: Duration,
    /// For a pending write to make progress.
    pub(crate) write: Duration,
}

const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 256 * 1024;
/// For the rest of a request body whose response has ended already.
const LEFTOVER: Duration = Duration::from_secs(30);
const PREFACE: usize = 24;

/// What the client is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waiting {
    Request,
    /// HTTP/1: the rest of a head.
    Head,
    /// HTTP/2: the reaction to a GOAWAY.
    Retirement,
}

/// A client's stream that ends when its limits are passed.
pub(crate) struct ClientIo {
    transport: Transport,
    state: Arc<ConnectionState>,
    limits: Limits,
    timer: Option<Pin<Box<Sleep>>>,
    waiting: Waiting,
    /// Since when, if it is not a request.
    since: Instant,
    /// The count of requests when last looked at.
    served: u64,
    /// Bytes of another one's head have arrived.
    head_begun: bool,
    stalled: Option<Instant>,
    h2: bool,
    eof: bool,
    lingered: usize,
    linger_until: Option<Instant>,
    /// Bytes read while the protocol was being found out, to be read again.
    first: [u8; PREFACE],
    /// Which of them are left.
    first_left: Range<usize>,
    /// What ends with the connection, also when it becomes a tunnel.
    _held: (Pass, ConnectionGuard),
}

impl ClientIo {
    /// Watches over a new connection.
    pub(crate) fn new(
        transport: Transport,
        state: Arc<ConnectionState>,
        limits: Limits,
        held: (Pass, ConnectionGuard),
    ) -> Self {
        Self {
            transport,
            state,
            limits,
            timer: None,
            waiting: Waiting::Request,
            since: Instant::now(),
            served: 0,
            head_begun: false,
            stalled: None,
            h2: false,
            eof: false,
            lingered: 0,
            linger_until: None,
            first: [0; PREFACE],
            first_left: 0..0,
            _held: held,
        }
    }

    /// From here on it is HTTP/2, where neither a partial head nor a 408 exist for the stream.
    pub(crate) fn speaks_h2(&mut self) {
        self.h2 = true;
        self.head_begun = false;
    }

    /// How long a write may make no progress.
    pub(crate) fn write_limit(&self) -> Duration {
        self.limits.write
    }

    /// Puts bytes back, to be read first.
    pub(crate) fn unread(&mut self, bytes: &[u8]) {
        if let Some(room) = self.first.get_mut(..bytes.len()) {
            room.copy_from_slice(bytes);
            self.first_left = 0..bytes.len();
        }
    }

    /// Whether the deadline has passed; if not, the task will be woken then.
    fn passed(&mut self, cx: &mut Context<'_>, deadline: Instant) -> bool {
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return true;
            }
            timer.as_mut().reset(deadline);
        }
        false
    }

    /// Sees to it that the task is woken some time, to look again: hyper does not read again when a
    /// response has ended.
    fn stay_armed(&mut self, cx: &mut Context<'_>) {
        let fired = match &mut self.timer {
            Some(timer) => timer.as_mut().poll(cx).is_ready(),
            None => true,
        };
        if fired {
            self.passed(cx, Instant::now() + self.limits.keepalive);
        }
    }

    /// Nothing to read: how long that has been so, and what to do if too long.
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.state.is_waiting() || self.stalled.is_some() {
            self.stay_armed(cx);
            return Poll::Pending;
        }
        self.notice_served();
        if self.head_begun && self.waiting == Waiting::Request {
            self.wait_for(Waiting::Head);
        }
        let deadline = match self.waiting {
            Waiting::Request => self.state.waiting_since() + self.limits.keepalive,
            Waiting::Head if self.state.body_expected() => {
                self.since + self.limits.header.max(LEFTOVER)
            }
            Waiting::Head => self.since + self.limits.header,
            // Responses may still be with hyper, for want of a window.
            Waiting::Retirement if self.served > 0 => self.since + self.limits.write,
            Waiting::Retirement => self.since + self.limits.header,
        };
        if !self.passed(cx, deadline) {
            return Poll::Pending;
        }
        match self.waiting {
            Waiting::Request if self.h2 => {
                self.state.retire();
                self.wait_for(Waiting::Retirement);
                Poll::Pending
            }
            Waiting::Request | Waiting::Retirement => {
                self.eof = true;
                Poll::Ready(Ok(()))
            }
            Waiting::Head => {
                // What came may as well be the rest of a body: no head, nothing to answer.
                if !self.state.body_expected() {
                    self.say_request_timeout(cx);
                }
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }

    /// After a request another one is waited for, whatever has been before.
    fn notice_served(&mut self) {
        let served = self.state.requests();
        if served != self.served {
            self.served = served;
            self.head_begun = false;
            self.waiting = Waiting::Request;
        }
    }

    fn wait_for(&mut self, what: Waiting) {
        self.waiting = what;
        self.since = Instant::now();
    }

    /// As much as the socket takes at once: the client had its time.
    fn say_request_timeout(&mut self, cx: &mut Context<'_>) {
        self.state.came_too_late();
        let answer = refusal::too_late(self.state.refused_as());
        let mut writing = self.transport.writing();
        if let Poll::Ready(Ok(_)) = writing.as_mut().poll_write(cx, &answer) {
            let _ = writing.as_mut().poll_flush(cx);
            let _ = writing.as_mut().poll_shutdown(cx);
        }
    }

    /// What is written instead of these bytes, if hyper refuses a head with them: the same with our fields.
    ///
    /// What looks like that is part of another answer, unless a head has begun that no request came of, and
    /// all was written that was there before.
    fn refusal(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let fault = refusal::fault_of(bytes)?;
        let refused = self.head_unfinished() && self.state.is_waiting() && self.stalled.is_none();
        refused.then(|| refusal::with_fields(bytes, fault, self.state.refused_as()))
    }

    /// Whether bytes of a head have come of which there is no request.
    fn head_unfinished(&self) -> bool {
        self.head_begun && self.state.requests() == self.served
    }

    /// Notes whether a write moved, and fails when none has for too long.
    fn progress<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.stalled = None;
            return poll;
        }
        if !self.h2 && self.state.is_tunnel() {
            return Poll::Pending;
        }
        let since = *self.stalled.get_or_insert_with(Instant::now);
        if self.passed(cx, since + self.limits.write) {
            self.state.abort();
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }

    /// Reads what still comes, until the client closes, or sent or waited too much.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let until = *self
            .linger_until
            .get_or_insert_with(|| Instant::now() + LINGER);
        let mut scratch = [0; 8 * 1024];
        while !self.eof && self.lingered < LINGER_BYTES {
            let mut buffer = ReadBuf::new(&mut scratch);
            match self.transport.reading().poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.lingered += buffer.filled().len();
                }
                Poll::Ready(_) => self.eof = true,
                Poll::Pending if self.passed(cx, until) => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }

    /// Whether the client may be sending something that nobody will read.
    fn may_have_more(&self) -> bool {
        !self.eof && (self.state.body_expected() || self.head_unfinished())
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let repeated = this.first_left.len().min(buffer.remaining());
        if repeated > 0 {
            let from = this.first_left.start;
            buffer.put_slice(&this.first[from..from + repeated]);
            this.first_left.start += repeated;
        }
        let before = buffer.filled().len();
        let poll = this.transport.reading().poll_read(cx, buffer);
        let read = buffer.filled().len() - before;
        match poll {
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            _ if repeated > 0 => {}
            Poll::Ready(Ok(())) => this.eof |= read == 0,
            Poll::Pending => return this.poll_waiting(cx),
        }
        if !this.h2 && this.state.is_waiting() {
            this.notice_served();
            this.head_begun = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = match self.refusal(bytes) {
            // Nothing follows it: what the socket does not take at once is not missed.
            Some(whole) => {
                let poll = self.transport.writing().poll_write(cx, &whole);
                poll.map_ok(|_| bytes.len())
            }
            None => self.transport.writing().poll_write(cx, bytes),
        };
        self.progress(cx, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [only] = bytes
            && refusal::fault_of(only).is_some()
        {
            return self.poll_write(cx, only);
        }
        let poll = self.transport.writing().poll_write_vectored(cx, bytes);
        self.progress(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = self.transport.writing().poll_flush(cx);
        self.progress(cx, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.state.aborted() {
            return Poll::Ready(Ok(()));
        }
        if this.linger_until.is_none() {
            let poll = this.transport.writing().poll_shutdown(cx);
            ready!(this.progress(cx, poll))?;
        }
        if this.may_have_more() || this.linger_until.is_some() {
            ready!(this.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for ClientIo {
    fn drop(&mut self) {
        if self.state.aborted() {
            listener::reset_on_close(self.transport.tcp());
        }
    }
}
