//! How long an endpoint lets connections idle, as far as that is known: shared by all workers.
//!
//! A request reads one word of it when a connection comes back, and one when it is taken. Whoever
//! sees an idle connection end takes the lock, which is never on the way of a request but for one that
//! needs a new connection anyway. What the ends say is decided in [`cuts`](super::cuts).

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::telemetry::metrics::UpstreamMetrics;

use super::cuts::{Cut, Cuts, Learned};
use super::idling::Idling;
use super::sync::{AtomicU64, Ordering::Relaxed};

/// A connection that ends sooner has ended with its last answer; it did not idle.
const SHORTEST: Duration = Duration::from_millis(50);

/// What is known of one endpoint.
#[derive(Debug)]
pub struct IdleLife {
    /// A [`Learned`], or 0.
    learned: AtomicU64,
    /// The longest that a connection idled without being cut, since the last cut; in microseconds.
    outlived: AtomicU64,
    /// `learned` and the resets of `outlived` are written under this lock.
    cuts: Mutex<Cuts>,
    epoch: Instant,
    address: SocketAddr,
    metrics: Arc<UpstreamMetrics>,
}

/// The idle times of one connection, in the hands of its keeper. When it is dropped, the connection
/// is closed on this side.
#[derive(Debug)]
pub struct Rest {
    idling: Arc<Idling>,
    life: Arc<IdleLife>,
    /// How long it had idled when it was taken for the exchange under way.
    idled: Option<Duration>,
}

/// The idle times of one connection, in the hands of its task.
#[derive(Debug)]
pub struct Witness {
    idling: Arc<Idling>,
    life: Arc<IdleLife>,
}

impl IdleLife {
    /// Nothing is known yet.
    pub fn new(address: SocketAddr, epoch: Instant, metrics: Arc<UpstreamMetrics>) -> Arc<Self> {
        Arc::new(Self {
            learned: AtomicU64::new(0),
            outlived: AtomicU64::new(0),
            cuts: Mutex::default(),
            epoch,
            address,
            metrics,
        })
    }

    /// How long a connection may idle to stay below what was learned, if anything was.
    pub fn limit(&self, now: Instant) -> Option<Duration> {
        let learned = Learned::unpack(self.learned.load(Relaxed))?;
        learned.limit(self.since_epoch(now))
    }

    /// For a new connection.
    pub fn observe(self: &Arc<Self>) -> (Rest, Witness) {
        let idling = Arc::new(Idling::new(Instant::now()));
        let rest = Rest {
            idling: Arc::clone(&idling),
            life: Arc::clone(self),
            idled: None,
        };
        let life = Arc::clone(self);
        (rest, Witness { idling, life })
    }

    /// A connection idled so long and was not cut.
    fn outlived(&self, age: Duration) {
        let age = u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
        if age > self.outlived.load(Relaxed) {
            self.outlived.fetch_max(age, Relaxed);
        }
    }

    /// The endpoint closed a connection that had idled so long.
    fn cut(&self, age: Duration, now: Instant) {
        if age < SHORTEST {
            return;
        }
        self.metrics.idle_connection_cut();
        let at = self.since_epoch(now);
        // Nothing can fail in between, so that a poisoned lock can be used.
        let mut cuts = self.cuts.lock().unwrap_or_else(PoisonError::into_inner);
        let learned_now = cuts.add(Cut {
            age,
            at,
            outlived: Duration::from_micros(self.outlived.swap(0, Relaxed)),
        });
        let known = cuts.known(at);
        self.learned.store(known.map_or(0, Learned::pack), Relaxed);
        drop(cuts);
        if learned_now && let Some(life) = known.map(Learned::life) {
            tracing::info!(
                upstream = self.metrics.label(),
                endpoint = %self.address,
                after = ?life,
                "endpoint keeps closing idle connections; they are closed here before"
            );
        }
    }

    fn since_epoch(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.epoch)
    }
}

impl Rest {
    /// How long the connection may idle to stay below what was learned, if anything was.
    pub fn limit(&self, now: Instant) -> Option<Duration> {
        self.life.limit(now)
    }

    /// It idles from now on; false where the connection has ended.
    pub fn begin(&self, now: Instant) -> bool {
        self.idling.begin(now)
    }

    /// It is taken for a request; false where the connection has ended.
    pub fn end(&mut self, now: Instant) -> bool {
        self.idled = self.idling.end(now);
        self.idled.is_some()
    }

    /// It idled as long as it may, and was not cut.
    pub fn expired(&self, now: Instant) {
        if let Some(age) = self.idling.end(now) {
            self.life.outlived(age);
        }
    }

    /// It was found to have ended, before its task told.
    pub fn cut(&self, now: Instant) {
        if let Some(age) = self.idling.end(now) {
            self.life.cut(age, now);
        }
    }

    /// The request for which it was taken has an answer.
    pub fn answered(&mut self) {
        if let Some(age) = self.idled.take() {
            self.life.outlived(age);
        }
    }

    /// Of the request for which it was taken no byte could be written.
    pub fn unsent(&mut self, now: Instant) {
        if let Some(age) = self.idled.take() {
            self.life.cut(age, now);
        }
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        self.idling.end(Instant::now());
    }
}

impl Witness {
    /// The connection has ended, by the endpoint unless this side closed it; `lost`: by neither.
    pub fn ended(self, lost: bool) {
        let now = Instant::now();
        if let Some(age) = self.idling.over(now)
            && !lost
        {
            self.life.cut(age, now);
        }
    }
}
