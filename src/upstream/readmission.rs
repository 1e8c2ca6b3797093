//! The way back of an ejected endpoint, held by whoever takes the next step.
//!
//! First a connection that no client waits for: whoever finds that an ejection is over opens it on
//! the side, and its request goes elsewhere. Then requests, one at a time and as far as may be such as
//! can be repeated; where none comes for long, because every client is pinned elsewhere, the connection
//! is enough. Both steps are guards, so that a task that is dropped leaves the step to the next.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::routing::policy::AddressRules;
use crate::routing::policy::upstream::{ConnectionPool, OutlierDetection};
use crate::telemetry::metrics::UpstreamMetrics;

use super::breaker::ConnectionPermit;
use super::connect::open;
use super::connection::Connection;
use super::endpoint::Endpoint;
use super::random::random;
use super::tls::ClientTls;

/// The ejection is over, or nothing else is left: a connection is to be opened, by the holder of this.
#[derive(Debug)]
pub struct Readmission {
    endpoint: Arc<Endpoint>,
    /// What is in force when this is dropped.
    rules: Arc<OutlierDetection>,
    succeeded: bool,
}

/// How the connection is opened.
#[derive(Debug)]
pub struct Opening {
    /// The worker that keeps the connection.
    pub worker: usize,
    /// The longest it may take.
    pub within: Duration,
    /// Where connections may lead.
    pub addresses: AddressRules,
    /// Counts the connection.
    pub permit: ConnectionPermit,
    /// How the connection is kept.
    pub pool: ConnectionPool,
    /// How TLS is spoken, if it is.
    pub tls: Option<Arc<ClientTls>>,
}

/// A half-open endpoint takes one request: the one of the holder of this.
///
/// It is held until the response body has ended: of an endpoint whose bodies break off, a head says
/// nothing.
#[derive(Debug)]
pub struct Trial {
    endpoint: Arc<Endpoint>,
    began: Instant,
    settled: bool,
}

/// A body that flows after this time is as good as one that ended.
const LONG: Duration = Duration::from_secs(1);

/// Takes an endpoint back that can be connected to, and that no request has come to try for long.
pub(super) fn take_back_untried(endpoint: &Endpoint, now: Instant) {
    if endpoint.standing().untried(now) {
        endpoint.readmitted();
    }
}

impl Readmission {
    /// If the ejection is over and nobody else opens a connection.
    pub(super) fn begin(endpoint: &Arc<Endpoint>, now: Instant) -> Option<Self> {
        let begins = endpoint.standing().connect(now);
        begins.then(|| Self::of(endpoint))
    }

    /// If it is ejected, for however long, and nobody else opens a connection.
    pub(super) fn begin_early(endpoint: &Arc<Endpoint>) -> Option<Self> {
        let begins = endpoint.standing().connect_early();
        begins.then(|| Self::of(endpoint))
    }

    fn of(endpoint: &Arc<Endpoint>) -> Self {
        Self {
            endpoint: Arc::clone(endpoint),
            rules: Arc::default(),
            succeeded: false,
        }
    }

    /// Opens the connection, which is left in the worker's pool.
    pub async fn open(
        mut self,
        rules: OutlierDetection,
        how: Opening,
        metrics: Arc<UpstreamMetrics>,
    ) {
        self.rules = Arc::new(rules);
        let address = self.endpoint.address();
        let tls = how.tls.as_deref();
        let Ok(stream) = open(address, how.within, &how.addresses, tls).await else {
            return;
        };
        let counted = metrics.connection(how.worker);
        let life = self.endpoint.idle_life();
        if let Ok(connection) = Connection::start(stream, (counted, how.permit), life).await {
            self.endpoint.forget_latency();
            self.endpoint.give_idle(how.worker, connection, &how.pool);
            self.succeeded = true;
        }
    }
}

impl Drop for Readmission {
    fn drop(&mut self) {
        let standing = self.endpoint.standing();
        if self.succeeded {
            standing.connected(Instant::now());
        } else {
            standing.not_connected(&self.rules.ejection, Instant::now(), random());
        }
        self.endpoint.background_ended();
    }
}

impl Trial {
    /// If the endpoint is half-open and no other request is on its way to it.
    pub(super) fn begin(endpoint: &Arc<Endpoint>, repeatable: bool, now: Instant) -> Option<Self> {
        let standing = endpoint.standing();
        standing.start_trial(repeatable, now).then(|| Self {
            endpoint: Arc::clone(endpoint),
            began: Instant::now(),
            settled: false,
        })
    }

    /// Whether it has lasted long enough to tell.
    pub fn lasts_long(&self) -> bool {
        self.began.elapsed() >= LONG
    }

    /// The endpoint answered.
    pub fn succeeded(mut self, now: Instant) {
        self.settled = true;
        if self.endpoint.standing().trial_succeeded(now) {
            self.endpoint.readmitted();
        }
    }

    /// The endpoint failed.
    pub fn failed(mut self, rules: &OutlierDetection, now: Instant) {
        self.settled = true;
        let standing = self.endpoint.standing();
        standing.trial_failed(&rules.ejection, now, random());
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if !self.settled {
            self.endpoint.standing().trial_abandoned(Instant::now());
        }
    }
}
