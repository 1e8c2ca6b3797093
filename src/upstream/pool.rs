//! Idle connections of one worker to one endpoint.
//!
//! Last in, first out, so that what is not needed goes stale and is closed. A connection goes back
//! when the response body has been read and the request body was sent; whether its task has settled
//! by then is awaited when the connection is taken, where it costs nothing in the common case.
//!
//! Upstreams that differ in their policy alone share a pool. Limits are those of the upstream whose
//! request takes a connection or gives it, so that each connection carries its own end with it. A task
//! closes what is due, as long as anything idles: it runs on the worker that owns the connections, so that
//! no other thread goes through all pools again and again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::routing::policy::upstream::ConnectionPool;

use super::connection::{Connection, Fitness};

/// What a request that must not be repeated takes has idled for at most this long: an endpoint may
/// be about to close an older one, and the request would be lost with it.
const JUST_USED: Duration = Duration::from_secs(1);

/// How long a connection that is about to settle is waited for.
const SETTLE: Duration = Duration::from_millis(10);

/// What is due within this time is closed together.
const TOGETHER: Duration = Duration::from_millis(20);

/// Which idle connections a request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// Any: it can be repeated.
    Any,
    /// Only one that was just used, and that the socket does not know to be closed: it cannot.
    JustUsed,
}

/// The idle connections.
#[derive(Debug, Default)]
pub struct Pool {
    idle: Mutex<Idles>,
    /// Tells the task that closes them to look again.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Idles {
    /// In the order of `since`: newest last.
    entries: Vec<Idle>,
    /// When the task that closes them looks next; absent: there is none.
    looks: Option<Instant>,
}

#[derive(Debug)]
struct Idle {
    connection: Box<Connection>,
    since: Instant,
    /// How long it may idle by the policy under which it was given.
    timeout: Duration,
}

impl Pool {
    /// Takes the newest connection that may serve such a request under this policy.
    pub async fn take(&self, reuse: Reuse, policy: &ConnectionPool) -> Option<Box<Connection>> {
        loop {
            let now = Instant::now();
            let (mut connection, idle_for) = self.pop(reuse, policy, now)?;
            let usable = match connection.fitness(idle_for, reuse == Reuse::JustUsed) {
                Fitness::Ready => true,
                Fitness::Settling => timeout(SETTLE, connection.settle()).await.unwrap_or(false),
                Fitness::Unusable => {
                    connection.rest.cut(now);
                    false
                }
            };
            if usable && connection.rest.end(now) {
                return Some(connection);
            }
        }
    }

    /// Gives a connection back after a complete exchange.
    pub fn give(self: &Arc<Self>, connection: Box<Connection>, policy: &ConnectionPool) {
        let now = Instant::now();
        let most = usize::from(policy.max_idle_per_endpoint);
        let limit = connection.idle_limit(policy.idle_timeout, now);
        let wanted = most > 0 && limit > Duration::ZERO && connection.may_serve(policy);
        if !wanted || connection.is_closed() || !connection.rest.begin(now) {
            return;
        }
        let mut idle = self.lock();
        // One that comes in under a lower limit does not drive out more than its like.
        let oldest = (idle.entries.len() >= most).then(|| idle.entries.remove(0));
        let position = idle.entries.partition_point(|entry| entry.since <= now);
        let entry = Idle {
            connection,
            since: now,
            timeout: policy.idle_timeout,
        };
        idle.entries.insert(position, entry);
        self.look_at(&mut idle, now + limit);
        drop(idle);
        drop(oldest);
    }

    /// Closes the one that idled longest; whether there was one that the endpoint had not closed.
    pub fn close_oldest(&self) -> bool {
        let mut idle = self.lock();
        let open = idle.entries.iter().position(|e| !e.connection.is_closed());
        let oldest = open.map(|position| idle.entries.remove(position));
        drop(idle);
        oldest.is_some()
    }

    /// Closes all.
    pub fn clear(&self) {
        let idle = std::mem::take(&mut self.lock().entries);
        drop(idle);
        self.changed.notify_one();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn pop(
        &self,
        reuse: Reuse,
        policy: &ConnectionPool,
        now: Instant,
    ) -> Option<(Box<Connection>, Duration)> {
        let most = match reuse {
            Reuse::Any => policy.idle_timeout,
            Reuse::JustUsed => policy.idle_timeout.min(JUST_USED),
        };
        let mut idle = self.lock();
        let young = idle.entries.iter().enumerate().rev();
        let mut young = young.take_while(|(_, entry)| entry.age(now) <= most);
        let (found, _) = young.find(|(_, entry)| {
            entry.age(now) < entry.limit(now) && entry.connection.may_serve(policy)
        })?;
        let entry = idle.entries.remove(found);
        Some((entry.connection, now.saturating_duration_since(entry.since)))
    }

    /// Sees to it that the idle connections are looked at then at the latest.
    fn look_at(self: &Arc<Self>, idle: &mut Idles, due: Instant) {
        match idle.looks {
            Some(planned) if planned <= due => return,
            Some(_) => self.changed.notify_one(),
            None => match Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn(close_when_due(Arc::clone(self)))),
                // The worker is gone, and this connection with it.
                Err(_) => return,
            },
        }
        idle.looks = Some(due);
    }

    /// Closes what has idled too long; when to look again, if anything is left.
    fn close_due(&self, now: Instant) -> Option<Instant> {
        let mut idle = self.lock();
        let due = |entry: &mut Idle| entry.age(now) >= entry.limit(now);
        let expired: Vec<Idle> = idle.entries.extract_if(.., due).collect();
        let next = idle
            .entries
            .iter()
            .map(|entry| entry.since + entry.limit(now));
        idle.looks = next.min().map(|due| due.max(now + TOGETHER));
        let looks = idle.looks;
        drop(idle);
        for entry in expired {
            if entry.connection.is_closed() {
                entry.connection.rest.cut(now);
            } else {
                entry.connection.rest.expired(now);
            }
        }
        looks
    }

    /// A list of connections is never half-changed, so that a poisoned lock can be used.
    fn lock(&self) -> MutexGuard<'_, Idles> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Idle {
    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// How long it may idle, by all that is known now.
    fn limit(&self, now: Instant) -> Duration {
        self.connection.idle_limit(self.timeout, now)
    }
}

/// Ends when nothing idles; the next connection that does starts another.
async fn close_when_due(pool: Arc<Pool>) {
    while let Some(look) = pool.close_due(Instant::now()) {
        tokio::select! {
            () = tokio::time::sleep_until(look.into()) => {}
            () = pool.changed.notified() => {}
        }
    }
}
