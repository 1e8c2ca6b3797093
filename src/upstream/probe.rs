//! Active checks: every endpoint of an upstream is asked for its health, whether requests go there or
//! not.
//!
//! A probe goes over a connection of its own, opened as those of requests are, and is no request: it
//! takes no permit, counts in no average and is not logged. Probes run in the control runtime, one
//! task for each endpoint, so that one endpoint never has two of them at a time and a slow one delays
//! nobody. What they find is one verdict for all workers ([`verdict`]); the registry leaves endpoints
//! that are down out of what requests choose from, so that the choice itself pays nothing.
//!
//! Verdicts belong to an upstream, since another may ask other questions of the same endpoint.
//! Refused: a new endpoint that counts as down until its first good probe. It is ready, as the kubelet
//! says, and a restarted gateway would answer 503 to everybody until it had asked everybody.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use crate::routing::policy::upstream::HealthCheck;
use crate::routing::snapshot::UpstreamId;
use crate::telemetry::metrics::UpstreamMetrics;

use super::random::random;
pub(super) use ask::Question;
use bad::BadProbe;
use schedule::Joining;
use verdict::Verdict;

mod ask;
mod bad;
mod grpc;
mod http;
mod schedule;
mod verdict;

#[cfg(test)]
mod tests;

/// The probes of one upstream's endpoints; they end when this is dropped.
#[derive(Debug)]
pub(super) struct Prober {
    plan: Arc<Plan>,
    probed: BTreeMap<SocketAddr, Probed>,
}

/// What is the same for all endpoints of an upstream.
pub(super) struct Plan {
    /// Whose endpoints.
    pub(super) upstream: UpstreamId,
    /// What they are asked, and how.
    pub(super) question: Question,
    /// Where probes are counted.
    pub(super) metrics: Arc<UpstreamMetrics>,
    /// Called when an endpoint went down or came back.
    pub(super) changed: Box<dyn Fn() + Send + Sync>,
}

/// An endpoint that is probed until this is dropped.
#[derive(Debug)]
struct Probed {
    health: Arc<Health>,
    task: AbortHandle,
}

/// The last verdict on an endpoint; written by its task alone.
#[derive(Debug)]
struct Health {
    down: AtomicBool,
}

impl Prober {
    /// Probes nothing yet.
    pub(super) fn new(plan: Plan) -> Self {
        Self {
            plan: Arc::new(plan),
            probed: BTreeMap::new(),
        }
    }

    /// Probes these endpoints from now on, and no others. What is `known_down` begins as such.
    /// Must run inside a tokio runtime.
    pub(super) fn now_has(
        &mut self,
        addresses: impl IntoIterator<Item = SocketAddr>,
        known_down: impl Fn(SocketAddr) -> bool,
    ) {
        let mut before = std::mem::take(&mut self.probed);
        let joining = if before.is_empty() {
            Joining::Together
        } else {
            Joining::Later
        };
        for address in addresses {
            let probed = before.remove(&address).unwrap_or_else(|| {
                let down = known_down(address);
                Probed::start(Arc::clone(&self.plan), (address, down), joining)
            });
            self.probed.insert(address, probed);
        }
    }

    /// What its endpoints are asked, and when.
    pub(super) fn check(&self) -> &HealthCheck {
        self.plan.question.check()
    }

    /// All endpoints that are probed.
    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.probed.keys().copied()
    }

    /// Those that are down.
    pub(super) fn down(&self) -> HashSet<SocketAddr> {
        let down = self.probed.iter().filter(|(_, it)| it.health.is_down());
        down.map(|(address, _)| *address).collect()
    }

    /// Whether an endpoint is down, if it is probed.
    pub(super) fn is_down(&self, address: SocketAddr) -> Option<bool> {
        Some(self.probed.get(&address)?.health.is_down())
    }
}

impl Probed {
    fn start(plan: Arc<Plan>, (address, down): (SocketAddr, bool), joining: Joining) -> Self {
        let health = Arc::new(Health::new(down));
        let interval = plan.question.check().interval;
        let first = schedule::first(interval, joining, random());
        let take = taking(Arc::clone(&plan), address, &health);
        let task = tokio::spawn(async move {
            let probe = || plan.question.ask(address);
            repeat(interval, first, probe, take).await;
        });
        Self {
            health,
            task: task.abort_handle(),
        }
    }
}

impl Drop for Probed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Health {
    fn new(down: bool) -> Self {
        Self {
            down: AtomicBool::new(down),
        }
    }

    fn is_down(&self) -> bool {
        self.down.load(Relaxed)
    }

    fn set(&self, down: bool) {
        self.down.store(down, Relaxed);
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plan({}, {:?})", self.upstream, self.question)
    }
}

/// Probes again and again, until `take` says that nobody wants the result any more.
async fn repeat<F: Future<Output = Result<(), BadProbe>>>(
    interval: Duration,
    first: Duration,
    probe: impl Fn() -> F,
    mut take: impl FnMut(Result<(), BadProbe>) -> bool,
) {
    let mut start = Instant::now() + first;
    loop {
        sleep_until(start).await;
        let result = probe().await;
        if !take(result) {
            return;
        }
        start += schedule::next(interval, random());
        start = start.max(Instant::now());
    }
}

/// What is made of the results of one endpoint: they change its health, while that is of interest.
fn taking(
    plan: Arc<Plan>,
    address: SocketAddr,
    health: &Arc<Health>,
) -> impl FnMut(Result<(), BadProbe>) -> bool + Send + 'static {
    let mut verdict = Verdict::new(health.is_down());
    let health: Weak<Health> = Arc::downgrade(health);
    move |result| {
        let Some(health) = health.upgrade() else {
            return false;
        };
        if result.is_err_and(BadProbe::is_ours) {
            return true;
        }
        plan.metrics.probes().count(result.is_ok());
        let next = verdict.after(result.is_ok(), plan.question.check());
        let changed = next.is_down() != verdict.is_down();
        verdict = next;
        if changed {
            health.set(verdict.is_down());
            tell(&plan.upstream, address, result);
            (plan.changed)();
        }
        true
    }
}

fn tell(upstream: &UpstreamId, endpoint: SocketAddr, result: Result<(), BadProbe>) {
    match result {
        Ok(()) => tracing::info!(%upstream, %endpoint, "endpoint is up again by its probe"),
        Err(why) => tracing::warn!(%upstream, %endpoint, %why, "endpoint is down by its probe"),
    }
}
