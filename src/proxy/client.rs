//! A client's connection as its requests see it.
//!
//! What is constant for the life of a connection is found out once and shared by its requests
//! ([`ClientContext`]). What changes ([`ConnectionState`]) is a few atomics through which three
//! parts that do not know each other speak: the service, which sees requests begin and end; the
//! stream below hyper, which keeps the time limits; and the task that drives the connection.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::forwarded::Peer;
use super::request_id::RequestId;

/// The connection that a request came on.
#[derive(Debug)]
pub(crate) struct ClientContext {
    /// The other end.
    pub(crate) peer: Peer,
    /// What was negotiated, if it is TLS.
    pub(crate) tls: Option<TlsSession>,
    /// The worker whose upstream connections its requests use.
    pub(crate) worker: usize,
    /// How it goes.
    pub(crate) state: Arc<ConnectionState>,
}

/// What a TLS handshake settled.
#[derive(Debug)]
pub(crate) struct TlsSession {
    /// The protocol's version, as logs name it.
    pub(crate) version: &'static str,
    /// The name that the client asked for (RFC 6066 section 3).
    pub(crate) server_name: Option<Box<str>>,
    /// Whether HTTP/2 was chosen (RFC 7301).
    pub(crate) h2: bool,
}

/// How far the end of the process has come; one for all connections, which learn of it at once.
#[derive(Debug, Default)]
pub(crate) struct Shutdown {
    draining: AtomicBool,
    cut_off: AtomicBool,
    /// Each tunnel listens until it has ended.
    tunnels: watch::Sender<bool>,
}

impl Shutdown {
    /// From now on each response is the last of its connection.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// What is still in flight is not waited for any longer.
    pub(super) fn cut_off(&self) {
        self.cut_off.store(true, Ordering::Relaxed);
    }

    /// Tunnels are not waited for any longer; returns when all have ended.
    pub(super) async fn cut_off_tunnels(&self) {
        self.tunnels.send_replace(true);
        self.tunnels.closed().await;
    }
}

/// How a connection goes.
#[derive(Debug)]
pub(crate) struct ConnectionState {
    shutdown: Arc<Shutdown>,
    /// When the connection began.
    begun: Instant,
    /// When nothing was in progress any more, in nanoseconds after `begun`.
    idle_from: AtomicU64,
    /// Requests begun, ever; a change tells the stream that a head was complete.
    requests: AtomicU64,
    /// Requests whose response has not ended.
    active: AtomicU32,
    /// Of the present window of [`RESET_WINDOW`] requests: ended, and of these left by the client.
    ended: AtomicU32,
    left: AtomicU32,
    /// Whether the last request had a body, of which some may still be on its way.
    body_expected: AtomicBool,
    /// Whether it carries something else than requests now, with time limits of its own.
    tunnel: AtomicBool,
    /// Whether it must end with a reset, because an orderly end would look like success.
    abort: AtomicBool,
    /// Whether it has been idle for too long and should say so.
    retired: AtomicBool,
    /// Whether it ends because a head did not arrive in time, and the client was told.
    too_late: AtomicBool,
    /// The id of a message that was refused before there was a request.
    refused_as: OnceLock<RequestId>,
    /// Whether its client opens requests only to leave them.
    hostile: AtomicBool,
}

/// Of this many requests on one connection, half may be left before their answer began.
///
/// A client that does worse makes work for nothing (CVE-2023-44487).
const RESET_WINDOW: u32 = 200;

impl ConnectionState {
    /// Of a connection that begins now.
    pub(crate) fn new(shutdown: Arc<Shutdown>) -> Self {
        Self {
            shutdown,
            begun: Instant::now(),
            idle_from: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            active: AtomicU32::new(0),
            ended: AtomicU32::new(0),
            left: AtomicU32::new(0),
            body_expected: AtomicBool::new(false),
            tunnel: AtomicBool::new(false),
            abort: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            too_late: AtomicBool::new(false),
            refused_as: OnceLock::new(),
            hostile: AtomicBool::new(false),
        }
    }

    /// Asks for a reset at the end of the connection: its message is cut short in a way that the
    /// client could not see (HTTP/1.0, where the end of the connection ends the message).
    pub(crate) fn abort(&self) {
        self.abort.store(true, Ordering::Relaxed);
    }

    pub(super) fn aborted(&self) -> bool {
        self.abort.load(Ordering::Relaxed)
    }

    /// From now on the connection is a tunnel.
    pub(super) fn became_tunnel(&self) {
        self.tunnel.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_tunnel(&self) -> bool {
        self.tunnel.load(Ordering::Relaxed)
    }

    /// Whether nothing but the client's next request is awaited.
    pub(super) fn is_waiting(&self) -> bool {
        self.active.load(Ordering::Relaxed) == 0 && !self.is_tunnel()
    }

    /// Since when, if so.
    pub(super) fn waiting_since(&self) -> Instant {
        self.begun + Duration::from_nanos(self.idle_from.load(Ordering::Relaxed))
    }

    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub(super) fn body_expected(&self) -> bool {
        self.body_expected.load(Ordering::Relaxed)
    }

    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    /// Whether its next response is to be its last.
    pub(super) fn is_leaving(&self) -> bool {
        self.shutdown.draining.load(Ordering::Relaxed)
    }

    /// Whether it ends because the process did not wait for it.
    pub(super) fn is_cut_off(&self) -> bool {
        self.shutdown.cut_off.load(Ordering::Relaxed)
    }

    /// Becomes true when tunnels are not waited for any longer. One that keeps this is waited for until it has
    /// said so.
    pub(super) fn tunnels_cut_off(&self) -> watch::Receiver<bool> {
        self.shutdown.tunnels.subscribe()
    }

    pub(super) fn came_too_late(&self) {
        self.too_late.store(true, Ordering::Relaxed);
    }

    pub(super) fn was_too_late(&self) -> bool {
        self.too_late.load(Ordering::Relaxed)
    }

    /// The id of the message that is refused, after which the connection ends.
    pub(super) fn refused_as(&self) -> &RequestId {
        self.refused_as.get_or_init(RequestId::new)
    }

    pub(super) fn is_hostile(&self) -> bool {
        self.hostile.load(Ordering::Relaxed)
    }

    fn request_ended(&self, left: bool) {
        if self.active.fetch_sub(1, Ordering::Relaxed) == 1 {
            let idle_from = self.begun.elapsed().as_nanos();
            let idle_from = u64::try_from(idle_from).unwrap_or(u64::MAX);
            self.idle_from.store(idle_from, Ordering::Relaxed);
        }
        let ended = self.ended.fetch_add(1, Ordering::Relaxed) + 1;
        let left = self.left.fetch_add(u32::from(left), Ordering::Relaxed) + u32::from(left);
        if left > RESET_WINDOW / 2 {
            self.hostile.store(true, Ordering::Relaxed);
        }
        if ended >= RESET_WINDOW {
            self.ended.store(0, Ordering::Relaxed);
            self.left.store(0, Ordering::Relaxed);
        }
    }
}

/// A request in progress; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct InProgress {
    state: Arc<ConnectionState>,
    answered: bool,
}

impl InProgress {
    pub(super) fn begin(state: &Arc<ConnectionState>, has_body: bool) -> Self {
        state.requests.fetch_add(1, Ordering::Relaxed);
        state.active.fetch_add(1, Ordering::Relaxed);
        state.body_expected.store(has_body, Ordering::Relaxed);
        Self {
            state: Arc::clone(state),
            answered: false,
        }
    }

    /// A stream that became a tunnel is in progress until that ends, like the request that it was.
    pub(super) fn tunnel(state: &Arc<ConnectionState>) -> Self {
        state.active.fetch_add(1, Ordering::Relaxed);
        Self {
            state: Arc::clone(state),
            answered: true,
        }
    }

    /// The head of the response is there.
    pub(super) fn answered(&mut self) {
        self.answered = true;
    }

    pub(super) fn state(&self) -> &ConnectionState {
        &self.state
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.state.request_ended(!self.answered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> Arc<ConnectionState> {
        Arc::new(ConnectionState::new(Arc::default()))
    }

    fn requests(state: &Arc<ConnectionState>, count: usize, answered: bool) {
        for _ in 0..count {
            let mut request = InProgress::begin(state, false);
            if answered {
                request.answered();
            }
        }
    }

    #[test]
    fn a_connection_waits_when_its_last_response_has_ended() {
        let state = state();
        let request = InProgress::begin(&state, false);
        assert!(!state.is_waiting());
        drop(request);
        assert!(state.is_waiting());
        state.became_tunnel();
        assert!(!state.is_waiting());
    }

    #[test]
    fn a_connection_waits_when_the_tunnel_on_one_of_its_streams_has_ended() {
        let state = state();
        let request = InProgress::begin(&state, false);
        let tunnel = InProgress::tunnel(&state);
        drop(request);
        assert!(!state.is_waiting());
        drop(tunnel);
        assert!(state.is_waiting());
    }

    #[test]
    fn a_client_that_leaves_most_of_its_requests_is_hostile() {
        let state = state();
        requests(&state, 90, true);
        requests(&state, 100, false);
        assert!(!state.is_hostile());
        requests(&state, 1, false);
        assert!(state.is_hostile());
    }

    #[test]
    fn a_client_that_cancels_now_and_then_is_not() {
        let state = state();
        for _ in 0..100 {
            requests(&state, 6, true);
            requests(&state, 4, false);
        }
        assert!(!state.is_hostile());
    }
}
