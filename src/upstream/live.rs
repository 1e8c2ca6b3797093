//! An upstream as requests meet it: a choice of endpoints, and what is shared over all of them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::futures::Notified;

use crate::failure::Cause;
use crate::routing::policy::upstream::UpstreamPolicy;
use crate::routing::snapshot::UpstreamId;
use crate::telemetry::metrics::{BreakerLimit, UpstreamMetrics};

use super::balance::pin::EndpointPin;
use super::balance::set::{EndpointSet, Member};
use super::balance::turns::Turns;
use super::balance::{Balancer, Choice, Wish, last_resort};
use super::breaker::{ConnectionPermit, Load, Pending, RequestPermit};
use super::budget::Budget;
use super::endpoint::Endpoint;
use super::latency::Latency;
use super::names::Resolution;
use super::random::with_rng;
use super::tls::ClientTls;
use super::turned_away::TurnedAway;

/// What an upstream without any history is assumed to take, in microseconds.
const UNKNOWN: f32 = 30_000.0;

/// A live upstream.
#[derive(Debug)]
pub struct Upstream {
    pub(super) id: UpstreamId,
    pub(super) shared: Arc<Shared>,
    pub(super) endpoints: Endpoints,
    pub(super) turns: Turns,
    pub(super) turned_away: TurnedAway,
}

/// What upstreams share that differ in their policy alone; lives as long as one of them.
#[derive(Debug)]
pub(super) struct Shared {
    /// Of requests that succeeded, whatever the endpoint.
    pub(super) typical: Latency,
    pub(super) budget: Budget,
    pub(super) load: Arc<Load>,
    /// How TLS is spoken, if it is.
    pub(super) tls: Option<Arc<ClientTls>>,
    pub(super) metrics: Arc<UpstreamMetrics>,
    /// Locked while an ejection is decided.
    pub(super) ejecting: Mutex<()>,
}

/// Where its endpoints come from.
#[derive(Debug)]
pub(super) enum Endpoints {
    Known(ArcSwap<EndpointSet>),
    Named(Arc<NamedUpstream>),
}

/// An upstream whose addresses come from a name.
#[derive(Debug)]
pub(super) struct NamedUpstream {
    pub(super) id: UpstreamId,
    pub(super) shared: Arc<Shared>,
    pub(super) resolved: Resolution,
}

impl Shared {
    /// Nothing is behind the lock that could be poisoned.
    pub(super) fn lock(&self) -> MutexGuard<'_, ()> {
        self.ejecting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Upstream {
    /// Its identity.
    pub fn id(&self) -> &UpstreamId {
        &self.id
    }

    /// How it is treated.
    pub fn policy(&self) -> &UpstreamPolicy {
        &self.id.policy
    }

    /// The time to a response head over all its endpoints, in microseconds.
    pub fn typical(&self, now: Instant) -> f32 {
        self.shared.typical.micros(now).unwrap_or(UNKNOWN)
    }

    /// Takes an answer of one of its endpoints that is not an error of the server.
    pub fn succeeded(&self, took: Duration, now: Instant) {
        self.shared.typical.success(took, now);
    }

    /// What its retries may cost.
    pub fn budget(&self) -> &Budget {
        &self.shared.budget
    }

    /// How TLS is spoken to its endpoints, if it is.
    pub fn tls(&self) -> Option<&Arc<ClientTls>> {
        self.shared.tls.as_ref()
    }

    /// Where what happens to it is counted.
    pub fn metrics(&self) -> &Arc<UpstreamMetrics> {
        &self.shared.metrics
    }

    /// Lets a request in, if its circuit breaker does; nothing is counted where there is none.
    ///
    /// # Errors
    /// When too many are under way.
    pub fn admit(&self) -> Result<Option<RequestPermit>, Cause> {
        let Some(limits) = &self.policy().circuit_breaker else {
            return Ok(None);
        };
        let permit = self.shared.load.request(limits);
        permit
            .map(Some)
            .ok_or_else(|| self.turn_away(BreakerLimit::Requests))
    }

    /// Allows a connection to be opened, if another may be.
    pub fn connection_permit(&self) -> Option<ConnectionPermit> {
        let limits = self.policy().circuit_breaker.as_ref();
        self.shared.load.connection(limits)
    }

    /// Allows a connection that no request waits for.
    pub fn background_permit(&self) -> ConnectionPermit {
        self.shared.load.further_connection()
    }

    /// Lets a request wait for a connection, and tells whether one is being closed for it. What idles
    /// elsewhere is no load: where it makes room, that is no waiting, however few may.
    ///
    /// # Errors
    /// When too many do.
    pub fn wait_for_connection(&self) -> Result<(Pending, bool), Cause> {
        let limits = self.policy().circuit_breaker.unwrap_or_default();
        let load = &self.shared.load;
        if let Some(pending) = load.pending(&limits) {
            return Ok((pending, false));
        }
        match self.close_an_idle_one() {
            true => Ok((load.further_pending(), true)),
            false => Err(self.turn_away(BreakerLimit::Pending)),
        }
    }

    /// A request has waited in vain for a connection.
    pub fn give_up_waiting(&self) -> Cause {
        self.turn_away(BreakerLimit::Connections)
    }

    fn turn_away(&self, limit: BreakerLimit) -> Cause {
        self.shared.metrics.turned_away(limit);
        self.turned_away.note(limit);
        Cause::LimitReached
    }

    /// Whether an ejected endpoint is being connected to, while nothing else is left to a request that
    /// has tried these.
    pub fn is_connecting(&self, tried: &[SocketAddr]) -> bool {
        self.with_set(|set| last_resort::is_under_way(set.usable(), tried))
            .unwrap_or(false)
    }

    /// When the next connection that no request waits for stands, or is not to be had.
    pub fn background(&self) -> Notified<'_> {
        self.shared.load.background()
    }

    /// Closes an idle connection of any worker, so that another may be opened; whether there was one.
    pub fn close_an_idle_one(&self) -> bool {
        let close = |set: &EndpointSet| {
            let mut members = set.usable().iter();
            members.any(|member| member.endpoint.close_an_idle_one())
        };
        self.with_set(close).unwrap_or(false)
    }

    /// Whether its endpoints are known: a name must have been looked up.
    pub fn is_known(&self) -> bool {
        match &self.endpoints {
            Endpoints::Known(_) => true,
            Endpoints::Named(named) => named.resolved.is_known(),
        }
    }

    /// Waits until they are, or until it is known why they are not.
    pub async fn known(&self) {
        if let Endpoints::Named(named) = &self.endpoints {
            named.resolved.known().await;
        }
    }

    /// Chooses an endpoint.
    ///
    /// # Errors
    /// With the cause, when there is none to choose from.
    pub fn choose(&self, wish: &Wish<'_>) -> Result<Choice, Cause> {
        let choose = |set: &EndpointSet| {
            let now = Instant::now();
            let balancer = Balancer {
                policy: self.policy(),
                turns: &self.turns,
                typical: self.typical(now),
                now,
            };
            let members = set.usable();
            with_rng(|rng| balancer.choose(members, wish, rng)).ok_or(Cause::NoEndpoints)
        };
        self.with_set(choose).flatten()
    }

    /// How many endpoints a request may use now.
    pub fn usable(&self) -> usize {
        self.with_set(|set| set.usable().len()).unwrap_or(0)
    }

    /// Those of them that are not ejected.
    pub(super) fn usable_now(&self) -> u64 {
        let closed = |member: &&Member| member.endpoint.standing().is_closed();
        let count = |set: &EndpointSet| set.usable().iter().filter(closed).count() as u64;
        self.with_set(count).unwrap_or(0)
    }

    /// Whether a request may use this endpoint now: it may have left since it was chosen.
    pub fn uses(&self, endpoint: &Endpoint) -> bool {
        let is_it = |member: &Member| std::ptr::eq(&*member.endpoint, endpoint);
        self.with_set(|set| set.usable().iter().any(is_it))
            .unwrap_or(false)
    }

    /// Whether one of its endpoints has this pin.
    pub fn has(&self, pin: EndpointPin) -> bool {
        let is_one = |set: &EndpointSet| set.all().any(|member| member.pin == pin);
        self.with_set(is_one).unwrap_or(false)
    }

    /// Reads its endpoints as they are now.
    pub(super) fn with_set<T>(&self, read: impl FnOnce(&EndpointSet) -> T) -> Result<T, Cause> {
        match &self.endpoints {
            Endpoints::Known(set) => Ok(read(&set.load())),
            Endpoints::Named(named) => match &**named.resolved.load() {
                Ok(set) => Ok(read(set)),
                Err(cause) => Err(*cause),
            },
        }
    }
}

impl NamedUpstream {
    /// Keeps the last addresses, if there ever were any.
    pub(super) fn not_resolved(&self, cause: Cause) {
        if self.resolved.load().is_err() {
            self.resolved.store(Arc::new(Err(cause)));
        }
    }
}
