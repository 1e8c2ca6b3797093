//! Active checks: every endpoint of an upstream is asked for its health, whether requests go there or
//! not.
//!
//! A probe goes over a connection of its own, opened as those of requests are, and is no request: it
//! takes no permit, counts in no average and is not logged. Probes run in the control runtime, one
//! task for each endpoint, so that one endpoint never has two of them at a time and a slow one delays
//! nobody. What they find is one verdict for all workers ([`verdict`]); the registry leaves endpoints
//! that are down out of what requests choose from, so that the choice itself pays nothing.
//!
//! Verdicts belong to what is asked, since another upstream may ask other questions of the same endpoint.
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

use crate::routing::snapshot::ServicePort;
use crate::telemetry::metrics::UpstreamMetrics;

use super::random::random;
pub(super) use ask::Question;
use bad::BadProbe;
use queue::Part;
pub(super) use queue::Queue;
use schedule::Joining;
use verdict::Verdict;

mod ask;
mod bad;
mod grpc;
mod http;
mod queue;
mod schedule;
mod verdict;

#[cfg(test)]
mod tests;

/// The probes of the endpoints of upstreams that ask the same; they end when this is dropped.
#[derive(Debug)]
pub(super) struct Prober {
    plan: Arc<Plan>,
    probed: BTreeMap<SocketAddr, Probed>,
}

/// What is the same for all of them.
pub(super) struct Plan {
    /// Whose endpoints.
    pub(super) service: ServicePort,
    /// What they are asked, and how.
    pub(super) question: Question,
    /// Where a probe gets its place.
    pub(super) queue: Part,
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

/// The last verdict on an endpoint.
#[derive(Debug)]
struct Health {
    /// As its task found it.
    down: AtomicBool,
    /// As it was taken over for requests.
    known_down: AtomicBool,
}

impl Prober {
    /// Probes nothing yet.
    pub(super) fn new(plan: Plan) -> Self {
        Self {
            plan: Arc::new(plan),
            probed: BTreeMap::new(),
        }
    }

    /// Probes these endpoints too from now on. What is `known_down` begins as such. Must run inside a
    /// tokio runtime.
    pub(super) fn also(
        &mut self,
        addresses: &[SocketAddr],
        known_down: impl Fn(SocketAddr) -> bool,
    ) {
        let joining = if self.probed.is_empty() {
            Joining::Together
        } else {
            Joining::Later
        };
        for address in addresses {
            self.probed.entry(*address).or_insert_with(|| {
                let down = known_down(*address);
                Probed::start(Arc::clone(&self.plan), (*address, down), joining)
            });
        }
    }

    /// Probes no others any more.
    pub(super) fn retain(&mut self, addresses: &HashSet<SocketAddr>) {
        self.probed.retain(|address, _| addresses.contains(address));
    }

    /// Takes over what its probes have found.
    pub(super) fn take_over(&self) {
        let all = self.probed.values().map(|probed| &probed.health);
        all.for_each(|health| health.known_down.store(health.is_down(), Relaxed));
    }

    /// Whether an endpoint is down, if it is probed, as it was taken over last.
    pub(super) fn is_down(&self, address: SocketAddr) -> Option<bool> {
        Some(self.probed.get(&address)?.health.known_down.load(Relaxed))
    }
}

impl Probed {
    fn start(plan: Arc<Plan>, (address, down): (SocketAddr, bool), joining: Joining) -> Self {
        let health = Arc::new(Health::new(down));
        let interval = plan.question.check().interval;
        let first = schedule::first(interval, joining, random());
        let take = taking(Arc::clone(&plan), address, &health);
        let task = tokio::spawn(async move {
            let probe = async || {
                let _place = plan.queue.place().await;
                plan.question.ask(address).await
            };
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
            known_down: AtomicBool::new(down),
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
        write!(f, "Plan({}, {:?})", self.service, self.question)
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
            tell(&plan.service, address, result);
            (plan.changed)();
        }
        true
    }
}

fn tell(upstream: &ServicePort, endpoint: SocketAddr, result: Result<(), BadProbe>) {
    match result {
        Ok(()) => tracing::info!(%upstream, %endpoint, "endpoint is up again by its probe"),
        Err(why) => tracing::warn!(%upstream, %endpoint, %why, "endpoint is down by its probe"),
    }
}
