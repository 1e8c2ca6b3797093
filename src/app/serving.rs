//! Serving what was reconciled: joining it with what lives, putting it in force, and saying so.
//!
//! One task does this for the whole process. Attaching and compiling take their time and run on a
//! blocking thread; putting in force is the swap of one pointer. What was replaced is kept here until
//! the last worker has let go of it and is dropped here, because dropping thousands of routes on a
//! worker would delay its requests. Only what is in force counts as processed.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::admin::debug::State;
use crate::admin::probes::Readiness;
use crate::admin::processed::Processed;
use crate::proxy::compile::compile;
use crate::proxy::serving::Serving;
use crate::reconcile::Reconciled;
use crate::report::Severity;
use crate::routing::snapshot::Snapshot;
use crate::status::Observed;
use crate::telemetry::metrics::{CertificateEnd, Metrics};
use crate::upstream::registry::Registry;

/// How often is looked whether what was replaced may be dropped.
const SWEEP: Duration = Duration::from_secs(1);

/// Joins snapshots with what lives.
#[derive(Clone, Debug)]
pub(super) struct Joiner {
    pub(super) registry: Arc<Registry>,
    pub(super) metrics: Arc<Metrics>,
}

impl Joiner {
    /// Takes its time: not for a thread that serves.
    pub(super) fn join(&self, snapshot: &Snapshot, before: &Serving) -> Serving {
        let attached = self.registry.attach(snapshot);
        compile(snapshot, &attached, before, &self.metrics)
    }
}

/// Where is told what is in force.
#[derive(Debug)]
pub(super) struct Announcements {
    pub(super) readiness: watch::Sender<Readiness>,
    pub(super) processed: watch::Sender<Processed>,
    pub(super) state: watch::Sender<State>,
    pub(super) observed: watch::Sender<Option<Arc<Observed>>>,
    pub(super) metrics: Arc<Metrics>,
}

impl Announcements {
    fn announce(&self, now: &Reconciled) {
        let control = self.metrics.control();
        control.set_generation(now.generation);
        control.set_findings(now.findings.iter().map(|finding| {
            let severity = match finding.severity() {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            (severity, finding.code.as_str())
        }));
        control.set_certificates(now.snapshot.expiries.iter().map(|(secret, not_after)| {
            CertificateEnd {
                namespace: Arc::clone(&secret.namespace),
                secret: Arc::clone(&secret.name),
                not_after: *not_after,
            }
        }));
        self.state.send_replace(State {
            snapshot: Some(Arc::clone(&now.snapshot)),
            findings: now.findings.as_slice().into(),
        });
        self.observed.send_replace(Some(Arc::new(Observed {
            ingresses: now.ingresses.clone(),
            policies: now.policies.clone(),
            findings: now.findings.clone(),
        })));
        self.processed.send_replace(Processed {
            versions: Arc::clone(&now.versions),
            generation: now.generation,
        });
        self.readiness.send_if_modified(|readiness| {
            let first = *readiness == Readiness::Starting;
            if first {
                *readiness = Readiness::Serving;
            }
            first
        });
    }
}

/// Serves what is reconciled until nothing is any more.
pub(super) async fn follow(
    joiner: Joiner,
    mut reconciled: watch::Receiver<Option<Arc<Reconciled>>>,
    serving: Arc<ArcSwap<Serving>>,
    announcements: Announcements,
) {
    let mut in_force = 0;
    let mut replaced: Vec<Arc<Serving>> = Vec::new();
    let mut sweep = interval(SWEEP);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            changed = reconciled.changed() => if changed.is_err() { return },
            _ = sweep.tick(), if !replaced.is_empty() => {
                replaced = drop_unused(replaced).await;
                continue;
            }
        }
        let Some(now) = reconciled.borrow_and_update().clone() else {
            continue;
        };
        if now.generation != in_force {
            let (joiner, snapshot) = (joiner.clone(), Arc::clone(&now.snapshot));
            let before = serving.load_full();
            let work = move || joiner.join(&snapshot, &before);
            match tokio::task::spawn_blocking(work).await {
                Ok(next) => replaced.push(serving.swap(Arc::new(next))),
                Err(error) => {
                    tracing::error!(%error, "a snapshot could not be compiled: what was served before stays in force");
                    continue;
                }
            }
            in_force = now.generation;
            tracing::info!(
                generation = now.generation,
                hosts = now.snapshot.hosts.len(),
                upstreams = now.snapshot.upstreams.len(),
                findings = now.findings.len(),
                "serving",
            );
        }
        announcements.announce(&now);
    }
}

/// Drops, on a thread where that may take its time, what no worker holds any more.
async fn drop_unused(replaced: Vec<Arc<Serving>>) -> Vec<Arc<Serving>> {
    let work = move || {
        let in_use = |serving: &Arc<Serving>| Arc::strong_count(serving) > 1;
        replaced.into_iter().filter(in_use).collect()
    };
    tokio::task::spawn_blocking(work).await.unwrap_or_default()
}
