//! Steady traffic in the background, of which not one request may fail.
//!
//! What a client of a protocol would rightly do again is no failure: a request that was never written, a stream
//! that the server says it has not looked at, a message after a Close. Everything else that is not answered is
//! one, and each is counted.

mod http2;
mod keep_alive;
mod proved;
mod websocket;

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context;
use http::Method;
use libtest_mimic::Trial;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::wait::{SOON, eventually};
use http2::Multiplexed;
use keep_alive::KeepAlive;
use websocket::Talker;

/// Enough to meet every change in flight, little enough to leave the machine to the control plane.
const BETWEEN_REQUESTS: Duration = Duration::from_millis(4);

/// Of clients whose connections are idle most of the time.
const NOW_AND_THEN: Duration = Duration::from_millis(300);

/// For one answer, however loaded the machine is; who waits longer has got none.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn trials() -> Vec<Trial> {
    proved::trials()
}

/// Clients that each send one request after the other on a connection that they keep.
pub(crate) struct Load {
    tally: Arc<Tally>,
    clients: JoinSet<()>,
}

/// What became of the requests of all clients.
#[derive(Default)]
struct Tally {
    answered: AtomicU64,
    connections: AtomicU64,
    again: AtomicU64,
    /// In microseconds.
    slowest: AtomicU64,
    /// What came of the requests that were not answered with 200.
    failures: Mutex<Vec<String>>,
    stopped: AtomicBool,
}

/// The figures of a load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    /// Requests or messages that were answered.
    pub(crate) answered: u64,
    /// Requests or messages that were not.
    pub(crate) failed: usize,
    pub(crate) clients: usize,
    /// Connections opened, by all clients.
    pub(crate) connections: u64,
    /// Requests or messages that had to be sent once more, as their protocol has it.
    pub(crate) again: u64,
    /// The longest that a client waited, whatever it had to do again.
    pub(crate) slowest: Duration,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} answered, {} failed, {} sent again; {} connections of {} clients; the slowest took {:?}",
            self.answered, self.failed, self.again, self.connections, self.clients, self.slowest
        )
    }
}

/// A client of a protocol.
trait Client: Send + 'static {
    /// Sends, and tells what came of it; on a connection of its own, which it keeps as long as the server does.
    fn exchange(&mut self, tally: &Tally) -> impl Future<Output = ()> + Send;
}

impl Load {
    /// Requests that may be repeated.
    pub(crate) fn start(clients: usize, address: SocketAddr, host: &str) -> Self {
        let client = || KeepAlive::new(Method::GET, address, host);
        Self::of(clients, BETWEEN_REQUESTS, client)
    }

    /// Requests that may not be repeated once they were sent.
    pub(crate) fn start_posts(clients: usize, address: SocketAddr, host: &str) -> Self {
        let client = || KeepAlive::new(Method::POST, address, host);
        Self::of(clients, BETWEEN_REQUESTS, client)
    }

    /// The same, on connections that are idle most of the time.
    pub(crate) fn start_seldom(clients: usize, address: SocketAddr, host: &str) -> Self {
        let client = || KeepAlive::new(Method::POST, address, host);
        Self::of(clients, NOW_AND_THEN, client)
    }

    /// Each request on a connection of its own.
    pub(crate) fn start_anew(clients: usize, address: SocketAddr, host: &str) -> Self {
        let client = || KeepAlive::new(Method::GET, address, host).without_keeping();
        Self::of(clients, BETWEEN_REQUESTS, client)
    }

    /// Several requests at a time on each connection, over HTTP/2.
    pub(crate) fn start_http2(clients: usize, address: SocketAddr, host: &str) -> Self {
        let client = || Multiplexed::new(address, host);
        Self::of(clients, BETWEEN_REQUESTS * http2::STREAMS, client)
    }

    /// The same over TLS.
    pub(crate) fn start_http2_tls(clients: usize, address: SocketAddr, host: &str) -> Self {
        let client = || Multiplexed::over_tls(address, host);
        Self::of(clients, BETWEEN_REQUESTS * http2::STREAMS, client)
    }

    /// Messages that come back, over WebSockets.
    pub(crate) fn start_websockets(clients: usize, address: SocketAddr, host: &str) -> Self {
        let client = || Talker::new(address, host);
        Self::of(clients, BETWEEN_REQUESTS, client)
    }

    fn of<C: Client>(clients: usize, pace: Duration, client: impl Fn() -> C) -> Self {
        let tally = Arc::<Tally>::default();
        let mut tasks = JoinSet::new();
        for _ in 0..clients {
            tasks.spawn(run(client(), pace, Arc::clone(&tally)));
        }
        Self {
            tally,
            clients: tasks,
        }
    }

    /// Requests answered with 200 so far.
    pub(crate) fn answered(&self) -> u64 {
        self.tally.answered.load(Ordering::Relaxed)
    }

    /// Waits until this many more requests were answered: proof that traffic flows now.
    pub(crate) async fn flows(&self, more: u64) {
        let goal = self.answered() + more;
        eventually("traffic that flows", SOON, async || {
            let answered = self.answered();
            let reached = answered >= goal;
            reached.then_some(()).ok_or(format!("{answered} of {goal}"))
        })
        .await;
    }

    /// Waits until something has failed.
    pub(crate) async fn fails(&self) {
        eventually("failure that load has noticed", SOON, async || {
            let failed = !self.failures().is_empty();
            failed.then_some(()).ok_or("none".to_owned())
        })
        .await;
    }

    /// What came of the requests that were not answered with 200.
    pub(crate) fn failures(&self) -> Vec<String> {
        self.tally.failures.lock().unwrap().clone()
    }

    /// Ends the traffic, once what is in flight is answered.
    pub(crate) async fn stop(mut self) -> Counts {
        let clients = self.clients.len();
        self.tally.stopped.store(true, Ordering::Relaxed);
        while let Some(ended) = self.clients.join_next().await {
            ended.unwrap();
        }
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            answered: count(&self.tally.answered),
            failed: self.failures().len(),
            clients,
            connections: count(&self.tally.connections),
            again: count(&self.tally.again),
            slowest: Duration::from_micros(count(&self.tally.slowest)),
        }
    }

    /// Ends the traffic, none of which has failed.
    pub(crate) async fn stop_without_failures(self) -> Counts {
        let tally = Arc::clone(&self.tally);
        let counts = self.stop().await;
        let first = tally.failures.lock().unwrap().first().cloned();
        assert_eq!(first, None, "{counts}");
        assert!(counts.answered > 0, "no request was sent at all");
        counts
    }
}

impl Tally {
    fn answered(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    fn failed(&self, what: impl fmt::Display) {
        self.failures.lock().unwrap().push(format!("{what:#}"));
    }

    /// A client opens a connection.
    fn connects(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// Something is sent once more.
    fn again(&self) {
        self.again.fetch_add(1, Ordering::Relaxed);
    }
}

/// What came of one exchange, within the time that a client has for it.
async fn in_time<T>(exchange: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let got = timeout(PATIENCE, exchange).await;
    got.with_context(|| format!("no answer within {PATIENCE:?}"))?
}

async fn run(mut client: impl Client, pace: Duration, tally: Arc<Tally>) {
    let mut pace = interval(pace);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !tally.stopped.load(Ordering::Relaxed) {
        pace.tick().await;
        let begun = Instant::now();
        client.exchange(&tally).await;
        let took = u64::try_from(begun.elapsed().as_micros()).unwrap();
        tally.slowest.fetch_max(took, Ordering::Relaxed);
    }
}
