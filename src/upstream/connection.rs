//! One connection to an endpoint: a request at a time.

use std::io;
use std::mem::MaybeUninit;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use http::{HeaderMap, Request, Response, Version, header};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::failure::Cause;
use crate::report::hint::Hint;
use crate::routing::policy::upstream::ConnectionPool;
use crate::telemetry::metrics::UpstreamConnectionGuard;

use super::breaker::ConnectionPermit;
use super::classify::{exchange_failure, exchange_hint, is_lost, refuses_handshake};
use super::connect::{Stream, TUNNEL_VANISHED_AFTER, VANISHED_AFTER};
use super::counting::{CountingReads, Mark, Moved, Traffic};
use super::cuts;
use super::idle_life::{IdleLife, Rest};
use super::upload::RequestBody;
use super::vanished::Watch;

/// An idle connection is probed before reuse when it was idle for longer than this; within it, the
/// connection's own task has seen what there was to see.
const PROBE_AFTER: Duration = Duration::from_millis(50);

/// The largest response head that is read, in bytes.
pub const MAX_HEAD: usize = 64 * 1024;

/// How many bytes may come until a response has begun, interim ones included. Not all of them are of
/// heads: hyper reads some of the body before it hands out the head.
const MAX_BEFORE_ANSWER: u64 = 4 * MAX_HEAD as u64;

/// The most fields of a response head.
pub const MAX_FIELDS: u32 = 128;

/// An open HTTP/1.1 connection. Boxed, since it goes from hand to hand many times for each request.
#[derive(Debug)]
pub struct Connection {
    /// Dropped before the rest, so that a close on this side is not taken for one of the endpoint's.
    pub(super) rest: Rest,
    sender: http1::SendRequest<RequestBody>,
    traffic: Arc<Traffic>,
    /// When the last request was handed over.
    mark: Mark,
    /// A second descriptor of the socket: hyper owns the first. The connection's task owns this one,
    /// so that neither keeps open what has ended.
    socket: Weak<socket2::Socket>,
    /// Whether it has TLS.
    secured: bool,
    /// Requests that were answered on it.
    served: u32,
    /// The endpoint speaks HTTP/1.0. hyper would do so too from then on, where no body of unknown
    /// length can be sent, and leave such a body out.
    http10: bool,
    /// After what time unacknowledged bytes end it, and a closed window too.
    guarded: Option<Duration>,
    /// How long the endpoint lets the connection idle, if it said.
    idle_hint: Option<Duration>,
}

/// Whether an idle connection can take a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fitness {
    /// At once.
    Ready,
    /// When its task has noticed that the last exchange is over, if the connection outlives that.
    Settling,
    /// Never again.
    Unusable,
}

/// A request without a response head.
#[derive(Debug)]
pub struct ExchangeError {
    /// The cause.
    pub cause: Cause,
    /// Whether no byte of the request was written.
    pub unsent: bool,
    /// Whether bytes of an answer came in.
    pub answered: bool,
    /// What its bytes suggest beyond the cause.
    pub hint: Option<Box<Hint>>,
    /// For logs.
    pub detail: hyper::Error,
}

impl Connection {
    /// Starts HTTP/1.1 on an open stream, which holds what counts the connection; its task runs on the
    /// current runtime. What its idle times tell is told to `life`.
    ///
    /// # Errors
    /// When the stream does not even take a handshake.
    pub async fn start(
        stream: Stream,
        counted: (UpstreamConnectionGuard, ConnectionPermit),
        life: &Arc<IdleLife>,
    ) -> Result<Box<Self>, Cause> {
        let secured = stream.is_secured();
        let Stream {
            transport,
            traffic,
            socket,
        } = stream;
        let socket = Arc::new(socket);
        let probed = Arc::downgrade(&socket);
        let io = TokioIo::new(CountingReads::new(transport, Arc::clone(&traffic), counted));
        let (sender, connection) = http1::Builder::new()
            .max_headers(MAX_FIELDS as usize)
            .max_buf_size(MAX_HEAD)
            .handshake(io)
            .await
            .map_err(|_| Cause::ClosedBeforeSend)?;
        let (rest, witness) = life.observe();
        // How the connection ends is seen by the request that it serves, or else by the witness.
        tokio::spawn(async move {
            let _held = socket;
            let ended = connection.with_upgrades().await;
            witness.ended(ended.is_err_and(|error| is_lost(&error)));
        });
        Ok(Box::new(Self {
            rest,
            sender,
            mark: traffic.mark(),
            traffic,
            socket: probed,
            secured,
            served: 0,
            http10: false,
            guarded: Some(VANISHED_AFTER),
            idle_hint: None,
        }))
    }

    /// Sees to it that a vanished peer is found: by the kernel, or, for a request with a body or one
    /// that asks for an upgrade, by the watch that is returned; see [`vanished`](super::vanished).
    pub fn guard(&mut self, has_body: bool, upgrades: bool) -> Option<Watch> {
        let after = match (has_body, upgrades) {
            (true, _) => None,
            // An endpoint may take its time with what it reads after an upgrade.
            (false, true) => Some(TUNNEL_VANISHED_AFTER),
            (false, false) => Some(VANISHED_AFTER),
        };
        if self.guarded != after
            && let Some(socket) = self.socket.upgrade()
            && socket.set_tcp_user_timeout(after).is_ok()
        {
            self.guarded = after;
        }
        (has_body || upgrades).then(|| Watch::new(Weak::clone(&self.socket)))
    }

    /// What moved since the last request was handed over.
    pub fn moved(&self) -> Moved {
        self.traffic.since(self.mark)
    }

    /// Whether a request was served on it before.
    pub fn is_reused(&self) -> bool {
        self.served > 0
    }

    /// Whether it is for another request, by the number of those that it served.
    pub fn may_serve(&self, policy: &ConnectionPool) -> bool {
        let most = policy.max_requests_per_connection;
        most == 0 || self.served < most
    }

    /// How long it may idle: at most this, and less where the endpoint announced that it closes
    /// earlier, or was seen to.
    pub fn idle_limit(&self, timeout: Duration, now: Instant) -> Duration {
        let announced = self.idle_hint.map(cuts::before);
        let limits = [announced, self.rest.limit(now)];
        limits.into_iter().flatten().fold(timeout, Duration::min)
    }

    /// Sends a request and waits for the response head.
    ///
    /// # Errors
    /// With the cause, and with what is known of how far the request went.
    pub fn exchange(
        &mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, ExchangeError>> {
        self.mark = self.traffic.mark();
        self.traffic.await_answer(MAX_BEFORE_ANSWER);
        let sent = self.sender.try_send_request(request);
        async move {
            match sent.await {
                Ok(response) => {
                    self.traffic.answered();
                    self.idle_hint = keep_alive_timeout(response.headers()).or(self.idle_hint);
                    self.served = self.served.saturating_add(1);
                    self.rest.answered();
                    self.http10 = response.version() == Version::HTTP_10;
                    Ok(response)
                }
                Err(mut error) => {
                    let unsent = error.take_message().is_some();
                    Err(self.failed(unsent, error.into_error()))
                }
            }
        }
    }

    fn failed(&mut self, returned: bool, detail: hyper::Error) -> ExchangeError {
        let moved = self.moved();
        // In TLS 1.3 an endpoint refuses the handshake after we are through with it, when a request
        // may be out already; it has not been processed.
        let fresh = self.served == 0 && moved.read == 0;
        let alert = self.traffic.alert();
        let refused = alert.filter(|alert| fresh && refuses_handshake(*alert));
        let unsent = returned || moved.written == 0 || refused.is_some();
        if unsent && refused.is_none() {
            self.rest.unsent(Instant::now());
        }
        let cause = match refused {
            Some(alert) => Cause::TlsAlert(alert),
            None if unsent => Cause::ClosedBeforeSend,
            None => exchange_failure(&detail, moved),
        };
        ExchangeError {
            cause,
            unsent,
            answered: moved.read > 0,
            hint: exchange_hint(cause, moved),
            detail,
        }
    }

    /// Whether it takes no further request: it ended, as far as its task has seen, or is not one to
    /// be used again.
    pub fn is_closed(&self) -> bool {
        self.http10 || self.sender.is_closed()
    }

    /// Whether it can take another request. The socket itself is looked at when it must be `certain`,
    /// or after a longer idle time.
    pub fn fitness(&self, idle_for: Duration, certain: bool) -> Fitness {
        let probe = certain || idle_for > PROBE_AFTER;
        if self.is_closed() || probe && !self.is_quiet(certain) {
            Fitness::Unusable
        } else if self.sender.is_ready() {
            Fitness::Ready
        } else {
            Fitness::Settling
        }
    }

    /// Waits until the last exchange is over on both sides; says whether the connection outlived it.
    pub async fn settle(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    /// An idle connection has nothing to read; an end or stray bytes make it useless. Under TLS bytes
    /// may be a ticket, and as well the announcement of an end, which is too much doubt where it must
    /// be `certain`.
    fn is_quiet(&self, certain: bool) -> bool {
        let Some(socket) = self.socket.upgrade() else {
            return false;
        };
        let mut byte = [MaybeUninit::uninit()];
        match socket.peek(&mut byte) {
            Ok(bytes) => bytes > 0 && self.secured && !certain,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}

/// `Keep-Alive: timeout=5`, as many servers send it.
fn keep_alive_timeout(headers: &HeaderMap) -> Option<Duration> {
    static KEEP_ALIVE: header::HeaderName = header::HeaderName::from_static("keep-alive");
    let value = headers.get(&KEEP_ALIVE)?.to_str().ok()?;
    let seconds = value.split(',').find_map(|parameter| {
        let (name, seconds) = parameter.split_once('=')?;
        let named = name.trim().eq_ignore_ascii_case("timeout");
        named.then_some(seconds.trim())
    })?;
    seconds.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoints_own_keep_alive_time_is_read() {
        let mut headers = HeaderMap::new();
        assert_eq!(keep_alive_timeout(&headers), None);
        headers.insert("keep-alive", "timeout=5, max=100".parse().unwrap());
        assert_eq!(keep_alive_timeout(&headers), Some(Duration::from_secs(5)));
        headers.insert("keep-alive", "max=7, Timeout = 2".parse().unwrap());
        assert_eq!(keep_alive_timeout(&headers), Some(Duration::from_secs(2)));
        headers.insert("keep-alive", "max=100".parse().unwrap());
        assert_eq!(keep_alive_timeout(&headers), None);
    }
}
