//! Idle connections of one worker to one endpoint.
//!
//! Last in, first out, so that what is not needed goes stale and is closed. A connection goes back
//! when the response body has been read and the request body was sent; whether its task has settled
//! by then is awaited when the connection is taken, where it costs nothing in the common case.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::connection::{Connection, Fitness};

/// The most idle connections kept per endpoint and worker.
const MAX_IDLE: usize = 32;

/// How long a connection idles at most: below the 5 s after which Node.js, uvicorn and Apache close.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// How long a connection that is about to settle is waited for.
const SETTLE: Duration = Duration::from_millis(10);

/// The idle connections, newest last.
#[derive(Debug, Default)]
pub struct Pool {
    idle: Mutex<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

impl Pool {
    /// Takes the newest usable connection that was idle for at most `max_idle`.
    pub async fn take(&self, max_idle: Duration) -> Option<Connection> {
        loop {
            let Idle {
                mut connection,
                since,
            } = self.lock().pop()?;
            let idle_for = since.elapsed();
            if idle_for > connection.idle_limit(IDLE_TIMEOUT) {
                continue;
            }
            if idle_for > max_idle {
                // The others are older, but all may still serve a request that may be repeated.
                self.put_back(connection, since);
                return None;
            }
            // What may not be repeated must not meet a close that the socket knows of already.
            let certain = max_idle < IDLE_TIMEOUT;
            let usable = match connection.fitness(idle_for, certain) {
                Fitness::Ready => true,
                Fitness::Settling => timeout(SETTLE, connection.settle()).await.unwrap_or(false),
                Fitness::Unusable => false,
            };
            if usable {
                return Some(connection);
            }
        }
    }

    /// Gives a connection back after a complete exchange.
    pub fn give(&self, connection: Connection) {
        if !connection.is_closed() {
            self.put_back(connection, Instant::now());
        }
    }

    /// Closes what idled too long.
    pub fn sweep(&self, now: Instant) {
        let mut stale = Vec::new();
        let mut idle = self.lock();
        let mut kept = Vec::with_capacity(idle.len());
        for entry in idle.drain(..) {
            let limit = entry.connection.idle_limit(IDLE_TIMEOUT);
            let expired = now.saturating_duration_since(entry.since) > limit;
            let list = if expired || entry.connection.is_closed() {
                &mut stale
            } else {
                &mut kept
            };
            list.push(entry);
        }
        *idle = kept;
        drop(idle);
    }

    /// Closes the one that idled longest; whether there was one.
    pub fn close_oldest(&self) -> bool {
        let mut idle = self.lock();
        let oldest = (!idle.is_empty()).then(|| idle.remove(0));
        drop(idle);
        oldest.is_some()
    }

    /// Closes all.
    pub fn clear(&self) {
        let idle = std::mem::take(&mut *self.lock());
        drop(idle);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn put_back(&self, connection: Connection, since: Instant) {
        let mut idle = self.lock();
        let oldest = (idle.len() >= MAX_IDLE).then(|| idle.remove(0));
        idle.push(Idle { connection, since });
        drop(idle);
        drop(oldest);
    }

    /// A list of connections is never half-changed, so that a poisoned lock can be used.
    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
