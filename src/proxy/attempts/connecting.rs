//! The connection of an attempt: an idle one, a new one, or, where the upstream may have no more, the
//! next that comes free.

use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use crate::failure::Cause;
use crate::upstream::breaker::ConnectionPermit;
use crate::upstream::classify::detail;
use crate::upstream::connect::open;
use crate::upstream::connection::Connection;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::pool::Reuse;

use super::super::retry::Failed;
use super::{Attempts, Miss};

/// What a request gets.
enum Found {
    Idle(Box<Connection>),
    MayOpen(ConnectionPermit),
    /// The endpoint drains or is gone, and others are to be used.
    Gone,
}

impl Attempts<'_> {
    /// How long getting to an endpoint may take.
    pub(super) fn connect_time(&self) -> Duration {
        let limit = self.policy.timeouts.connect;
        self.clock.left().map_or(limit, |left| limit.min(left))
    }

    /// A connection, and since when the endpoint is being asked: the wait for others to free one is no
    /// time of its own.
    pub(super) async fn connection(
        &mut self,
        endpoint: &Endpoint,
        reconnecting: bool,
    ) -> Result<Option<(Box<Connection>, Instant)>, Box<Miss>> {
        let found = match self.look(endpoint, reconnecting).await {
            Some(found) => found,
            None => self.wait(endpoint, reconnecting).await?,
        };
        let asked = Instant::now();
        let connection = match found {
            Found::Idle(connection) => {
                self.upstream.metrics().connection_reused(self.worker);
                connection
            }
            Found::MayOpen(permit) => self.open(endpoint, (permit, asked)).await?,
            Found::Gone => return Ok(None),
        };
        Ok(Some((connection, asked)))
    }

    /// What can be had at once.
    async fn look(&self, endpoint: &Endpoint, reconnecting: bool) -> Option<Found> {
        let retry = &self.policy.retry;
        let repeatable = retry.attempts > 1 && (self.progress.idempotent || retry.non_idempotent);
        let reuse = if repeatable {
            Reuse::Any
        } else {
            Reuse::JustUsed
        };
        let pool = &self.upstream.policy().connection_pool;
        if !reconnecting && let Some(idle) = endpoint.take_idle(self.worker, reuse, pool).await {
            return Some(Found::Idle(idle));
        }
        self.upstream.connection_permit().map(Found::MayOpen)
    }

    /// Waits for a connection, as long as for a response: another endpoint would be no better, since
    /// the limit is that of the upstream.
    async fn wait(&self, endpoint: &Endpoint, reconnecting: bool) -> Result<Found, Box<Miss>> {
        let waits = self.upstream.wait_for_connection().map_err(unsent)?;
        let (pending, mut room_is_made) = waits;
        let within = self.clock.left().unwrap_or(self.policy.timeouts.request);
        let within = self.clock.per_try().map_or(within, |it| within.min(it));
        let deadline = (Instant::now() + within).into();
        loop {
            let mut freed = pin!(pending.freed());
            // From here on it hears of everything, so that it looks first and waits then.
            freed.as_mut().enable();
            if !self.upstream.uses(endpoint) {
                return Ok(Found::Gone);
            }
            if let Some(found) = self.look(endpoint, reconnecting).await {
                return Ok(found);
            }
            if !std::mem::take(&mut room_is_made) {
                let _told_when_it_is = self.upstream.close_an_idle_one();
            }
            if timeout_at(deadline, freed).await.is_err() {
                return Err(unsent(self.upstream.give_up_waiting()));
            }
        }
    }

    async fn open(
        &mut self,
        endpoint: &Endpoint,
        (permit, began): (ConnectionPermit, Instant),
    ) -> Result<Box<Connection>, Box<Miss>> {
        // An attempt that may take less than connecting takes it for its connection too.
        let shorten = |time: Duration| self.clock.per_try().map_or(time, |it| time.min(it));
        let limit = shorten(self.policy.timeouts.connect);
        let within = shorten(self.connect_time());
        let rules = self.registry.address_rules();
        let tls = self.upstream.tls().map(|tls| &**tls);
        let stream = open(endpoint.address(), within, rules, tls)
            .await
            .map_err(|error| {
                // The endpoint did not have the time that it is allowed.
                let cut = error.cause == Cause::ConnectTimeout && within < limit;
                let cause = if cut { self.clock.over() } else { error.cause };
                Box::new(Miss {
                    hint: error.hint,
                    detail: error.detail.map(|error| detail(&error)),
                    ..*unsent(cause)
                })
            })?;
        let took = began.elapsed();
        endpoint.connected(took);
        self.connected(took);
        let opened = self.upstream.metrics().connection(self.worker);
        Ok(Connection::start(stream, (opened, permit), endpoint.idle_life()).await?)
    }
}

/// Failed before anything was sent.
pub(super) fn unsent(cause: Cause) -> Box<Miss> {
    let failed = Failed {
        cause,
        unsent: true,
        stale: false,
    };
    Box::new(Miss {
        failed,
        ..cause.into()
    })
}
