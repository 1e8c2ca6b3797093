//! Requests at a pace, over all hosts and both replicas.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::host;
use crate::client::{Connection, request};
use crate::wait::{SOON, eventually};

/// One client sends so many requests a second.
const EACH: u32 = 4;

/// Clients that send one request after the other, each on a connection that is kept.
pub(super) struct Traffic {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    /// Which host and replica is next.
    next: AtomicUsize,
    /// Answered with 200.
    good: AtomicU64,
    /// Answered otherwise.
    failed: AtomicU64,
    stopped: AtomicBool,
}

impl Traffic {
    /// So many requests a second.
    pub(super) fn start(rate: u32, replicas: [SocketAddr; 2]) -> Self {
        let shared = Arc::<Shared>::default();
        let mut clients = JoinSet::new();
        for number in 0..rate.div_ceil(EACH) {
            let replica = replicas[number as usize % replicas.len()];
            clients.spawn(client(replica, Arc::clone(&shared)));
        }
        Self { shared, clients }
    }

    /// Requests that failed so far.
    pub(super) fn failed(&self) -> u64 {
        self.shared.failed.load(Ordering::Relaxed)
    }

    /// Waits until this many more requests were answered with 200.
    pub(super) async fn succeeds(&self, more: u64) {
        reaches("requests that succeed", &self.shared.good, more).await;
    }

    /// Waits until this many more requests have failed.
    pub(super) async fn fails(&self, more: u64) {
        reaches("requests that fail", &self.shared.failed, more).await;
    }

    /// Ends it.
    pub(super) async fn stop(mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        while let Some(ended) = self.clients.join_next().await {
            ended.unwrap();
        }
    }
}

async fn reaches(what: &str, counter: &AtomicU64, more: u64) {
    let goal = counter.load(Ordering::Relaxed) + more;
    eventually(what, SOON, async || {
        let now = counter.load(Ordering::Relaxed);
        (now >= goal)
            .then_some(())
            .ok_or(format!("{now} of {goal}"))
    })
    .await;
}

async fn client(replica: SocketAddr, shared: Arc<Shared>) {
    let mut connection = Connection::open(replica).await.unwrap();
    let mut pace = interval(Duration::from_secs(1) / EACH);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    while !shared.stopped.load(Ordering::Relaxed) {
        pace.tick().await;
        let next = shared.next.fetch_add(1, Ordering::Relaxed);
        let request = request(&host(next % super::INGRESSES), "/");
        let reply = connection.send(request).await.unwrap();
        let counter = match reply.status.is_success() {
            true => &shared.good,
            false => &shared.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
