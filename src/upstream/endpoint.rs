//! One address of an upstream: what is known of it, and its connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use crate::failure::Cause;
use crate::routing::policy::upstream::ConnectionPool;
use crate::telemetry::metrics::UpstreamMetrics;

use super::breaker::Load;
use super::connect_time::ConnectTime;
use super::connection::Connection;
use super::idle_life::IdleLife;
use super::latency::Latency;
use super::phantom::PhantomLoad;
use super::pool::{Pool, Reuse};
use super::standing::Standing;
use super::window::Window;

/// An endpoint; shared by all workers, outlives snapshots.
#[derive(Debug)]
pub struct Endpoint {
    address: SocketAddr,
    standing: Standing,
    latency: Latency,
    connect_time: ConnectTime,
    phantom: PhantomLoad,
    in_flight: AtomicU32,
    window: Window,
    /// When it joined, if others were there before it.
    joined: Option<Instant>,
    /// That of its upstream.
    load: Arc<Load>,
    metrics: Arc<UpstreamMetrics>,
    /// By worker.
    pools: Box<[Arc<Pool>]>,
    idle_life: Arc<IdleLife>,
    /// It gets no new requests, so that it takes no connection back.
    retired: AtomicBool,
    /// Of its own doing; written only when one fails.
    last_failure: ArcSwapOption<(Cause, Instant)>,
}

/// What a new endpoint begins with.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Each has a pool.
    pub workers: usize,
    /// Where its times begin.
    pub epoch: Instant,
    /// When it joined, if others were there before it.
    pub joined: Option<Instant>,
    /// That of its upstream.
    pub load: Arc<Load>,
    /// Those of its upstream.
    pub metrics: Arc<UpstreamMetrics>,
}

/// The part of its share that an endpoint has at once where it begins slowly.
const FIRST_SHARE: f32 = 0.1;

/// A request that the endpoint is working on; counts until dropped.
#[derive(Debug)]
pub struct InFlight(Arc<Endpoint>);

impl Endpoint {
    /// An endpoint without connections.
    pub fn new(address: SocketAddr, origin: Origin) -> Self {
        let Origin {
            workers,
            epoch,
            joined,
            load,
            metrics,
        } = origin;
        Self {
            address,
            standing: Standing::new(epoch),
            latency: Latency::new(epoch),
            connect_time: ConnectTime::default(),
            phantom: PhantomLoad::new(epoch),
            in_flight: AtomicU32::new(0),
            window: Window::new(epoch),
            joined,
            load,
            pools: (0..workers.max(1)).map(|_| Arc::default()).collect(),
            idle_life: IdleLife::new(address, epoch, Arc::clone(&metrics)),
            metrics,
            retired: AtomicBool::new(false),
            last_failure: ArcSwapOption::empty(),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests it works on, over all workers.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// The average time to a response head in microseconds; `None` where nothing is known yet.
    pub fn latency(&self, now: Instant) -> Option<f32> {
        self.latency.micros(now)
    }

    /// How long it usually takes to connect to it; nothing while that is not known.
    pub fn usual_connect(&self) -> Duration {
        self.connect_time.usual()
    }

    /// A connection to it stands, after so long.
    pub fn connected(&self, took: Duration) {
        self.connect_time.took(took);
    }

    /// The requests that a further one would wait for here, itself included. `typical` is the time
    /// to a response head over the whole upstream, in microseconds.
    #[expect(
        clippy::cast_precision_loss,
        reason = "far fewer requests than an f32 holds exactly"
    )]
    pub fn load(&self, typical: f32, now: Instant) -> f32 {
        self.in_flight() as f32 + self.phantom.load(typical, now) + 1.0
    }

    /// Its part of an even share, from 0 to 1, where one that joins later begins slowly.
    pub fn share(&self, slow_start: Duration, now: Instant) -> f32 {
        match self.joined {
            None => 1.0,
            Some(joined) => {
                let age = now.saturating_duration_since(joined);
                if age >= slow_start {
                    return 1.0;
                }
                let grown = age.as_secs_f32() / slow_start.as_secs_f32();
                FIRST_SHARE + (1.0 - FIRST_SHARE) * grown
            }
        }
    }

    /// When it has all of its share, if it did not from the beginning.
    pub fn settles(&self, slow_start: Duration) -> Option<Instant> {
        self.joined
            .and_then(|joined| joined.checked_add(slow_start))
    }

    /// Whether it is ejected.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// How its last requests ended.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// Takes an exchange that ended as it should, response body included.
    pub fn completed(&self, now: Instant) {
        self.standing.succeeded();
        self.window.succeeded(now);
    }

    pub(super) fn ejected(&self) {
        self.metrics.ejected();
    }

    pub(super) fn readmitted(&self) {
        self.metrics.readmitted();
        self.window.clear();
    }

    /// Why an attempt failed here, for people.
    pub(super) fn remember_failure(&self, cause: Cause, now: Instant) {
        self.last_failure.store(Some(Arc::new((cause, now))));
    }

    /// Why an attempt last failed here, and when.
    pub(super) fn last_failure(&self) -> Option<(Cause, Instant)> {
        self.last_failure.load().as_deref().copied()
    }

    pub(super) fn forget_latency(&self) {
        self.latency.forget();
    }

    /// Takes an answer that is not an error of the server.
    pub fn succeeded(&self, took: Duration, now: Instant) {
        self.latency.success(took, now);
    }

    /// Takes a server error of the application: the endpoint must not look fast for it.
    pub fn answered_error(&self, took: Duration, typical: f32, now: Instant) {
        self.latency.unimproved(took, typical, now);
        self.phantom.add(typical, now);
    }

    /// Takes a failure that is the endpoint's own.
    pub fn failed(&self, took: Duration, typical: f32, now: Instant) {
        self.latency.failure(took, now);
        self.phantom.add(typical, now);
    }

    /// Counts a request until the guard is dropped.
    pub fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Relaxed);
        InFlight(Arc::clone(self))
    }

    /// How long it lets connections idle.
    pub fn idle_life(&self) -> &Arc<IdleLife> {
        &self.idle_life
    }

    /// Takes an idle connection of this worker that may serve such a request under this policy.
    pub async fn take_idle(
        &self,
        worker: usize,
        reuse: Reuse,
        policy: &ConnectionPool,
    ) -> Option<Box<Connection>> {
        self.pools.get(worker)?.take(reuse, policy).await
    }

    /// Gives a connection back after a complete exchange.
    pub fn give_idle(&self, worker: usize, connection: Box<Connection>, policy: &ConnectionPool) {
        if let Some(pool) = self.pools.get(worker)
            && !self.retired.load(Relaxed)
        {
            pool.give(connection, policy);
            // It may have been retired meanwhile; the pool's lock makes that visible.
            if self.retired.load(Relaxed) {
                pool.clear();
            }
            self.load.freed();
        }
    }

    /// Whether it can be connected to again is known by now.
    pub(super) fn background_ended(&self) {
        self.load.background_ended();
    }

    /// Closes the oldest idle connection of a worker, if any has one.
    pub(super) fn close_an_idle_one(&self) -> bool {
        self.pools.iter().any(|pool| pool.close_oldest())
    }

    /// Whether a worker has idle connections to it.
    pub fn has_idle(&self, worker: usize) -> bool {
        self.pools.get(worker).is_some_and(|pool| !pool.is_empty())
    }

    /// The idle connections, over all workers.
    pub fn idle(&self) -> usize {
        self.pools.iter().map(|pool| pool.len()).sum()
    }

    /// Whether it gets no new requests.
    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Relaxed)
    }

    /// It gets new requests, though it may have been out of service.
    pub(super) fn resume(&self) {
        self.retired.store(false, Relaxed);
    }

    /// Takes it out of service: what is in flight finishes, idle connections close. One that
    /// terminates is waiting for that.
    pub(super) fn retire(&self) {
        self.retired.store(true, Relaxed);
        self.pools.iter().for_each(|pool| pool.clear());
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.retire();
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}
