//! What a peer is to do, and what has reached it: all that its connections share.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, watch};

use super::script::{Plan, Script};

/// Of each connection, how many of the bytes received are kept.
const KEPT: usize = 256 * 1024;

/// Of how many connections, the first ones, the bytes are kept.
const KEPT_CONNECTIONS: usize = 1024;

/// What reached a peer so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections accepted.
    pub connections: usize,
    /// Of those, the ones that are over.
    pub ended: usize,
    /// Of those that are over, the ones that the other side ended (FIN) before this one did.
    pub left: usize,
    /// Request heads read.
    pub requests: usize,
    /// Connections that wait at a gate.
    pub waiting: usize,
    /// Bytes received.
    pub received: u64,
    /// Bytes handed to the kernel.
    pub sent: u64,
}

/// What reached a peer on one connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Where from.
    pub from: Option<SocketAddr>,
    /// At which of the peer's addresses.
    pub at: Option<SocketAddr>,
    /// The bytes as received: the first 256 KiB.
    pub bytes: Vec<u8>,
    /// All that were received.
    pub total: u64,
    /// Request heads read.
    pub requests: usize,
}

/// What the tasks of a peer share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) name: String,
    pub(super) scripts: Mutex<Scripts>,
    pub(super) counts: watch::Sender<Counts>,
    pub(super) received: Mutex<Vec<Received>>,
    pub(super) gate: Semaphore,
}

/// What is still to be played.
#[derive(Debug)]
pub(super) struct Scripts {
    /// Each for one connection or one request.
    pub(super) once: VecDeque<Arc<Script>>,
    /// After these, in turn.
    pub(super) always: Vec<Arc<Script>>,
    /// Which of `always` is next.
    pub(super) turn: usize,
}

impl Scripts {
    pub(super) fn new(Plan(scripts): Plan) -> Self {
        Self {
            once: VecDeque::new(),
            always: scripts.into_iter().map(Arc::new).collect(),
            turn: 0,
        }
    }

    pub(super) fn next(&self) -> Option<&Arc<Script>> {
        self.once.front().or_else(|| self.always.get(self.turn))
    }

    pub(super) fn take(&mut self) -> Option<Arc<Script>> {
        if let Some(once) = self.once.pop_front() {
            return Some(once);
        }
        let script = self.always.get(self.turn).cloned();
        self.turn = (self.turn + 1) % self.always.len().max(1);
        script
    }
}

impl Shared {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn scripts(&self) -> MutexGuard<'_, Scripts> {
        self.scripts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn records(&self) -> MutexGuard<'_, Vec<Received>> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Counts)) {
        self.counts.send_modify(change);
    }

    /// The script of a new connection, if that begins before the first request.
    pub(super) fn script_on_connection(&self) -> Option<Arc<Script>> {
        let mut scripts = self.scripts();
        let waits = scripts.next()?.on_connection.is_empty();
        if waits { None } else { scripts.take() }
    }

    /// The script of a request whose head has been read.
    pub(super) fn script_on_request(&self) -> Option<Arc<Script>> {
        self.scripts().take()
    }

    pub(super) fn connected(&self, from: SocketAddr, at: Option<SocketAddr>) -> usize {
        let mut records = self.records();
        if records.len() < KEPT_CONNECTIONS {
            records.push(Received {
                from: Some(from),
                at,
                ..Received::default()
            });
        }
        drop(records);
        let mut index = 0;
        self.count(|counts| {
            index = counts.connections;
            counts.connections += 1;
        });
        index
    }

    pub(super) fn requested(&self, index: usize) {
        if let Some(record) = self.records().get_mut(index) {
            record.requests += 1;
        }
        self.count(|counts| counts.requests += 1);
    }

    pub(super) fn received(&self, index: usize, bytes: &[u8]) {
        if let Some(record) = self.records().get_mut(index) {
            let room = KEPT - record.bytes.len();
            let kept = bytes.get(..room).unwrap_or(bytes);
            record.bytes.extend_from_slice(kept);
            record.total += bytes.len() as u64;
        }
        self.count(|counts| counts.received += bytes.len() as u64);
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.count(|counts| counts.sent += bytes as u64);
    }

    pub(super) async fn gate(&self) {
        self.count(|counts| counts.waiting += 1);
        if let Ok(permit) = self.gate.acquire().await {
            permit.forget();
        }
        self.count(|counts| counts.waiting -= 1);
    }
}
