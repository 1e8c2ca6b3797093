//! From what changed to what is served: view, translate, publish.
//!
//! The first change is translated at once and the following ones at most every 50 ms, so that a
//! single `kubectl apply` is served as fast as can be and a storm of changes costs twenty
//! translations a second, whatever its size. A change during a pause or a translation is never lost:
//! the next one begins with a new view. Translation runs on a thread where it may take its time.
//!
//! What comes out names the version of every object that went in, so that whoever serves it can say
//! what it has processed. Where the snapshot is equal to the one before, its `Arc` and its
//! generation stay the same, and nobody compiles it again; versions and findings are published all
//! the same. The statuses that we write ourselves come back as changes too: they are not translated
//! at all.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::error;

use crate::report::policy::PolicyReport;
use crate::report::{Finding, ObjectRef};
use crate::routing::snapshot::Snapshot;
use crate::stores::{Source, View};
use crate::translate::{LastGood, Objects, Settings, Translation, translate};

/// The least time between two translations.
const PAUSE: Duration = Duration::from_millis(50);

/// What there is to serve, and to say.
#[derive(Clone, Debug)]
pub struct Reconciled {
    /// The same `Arc` for as long as nothing in it differs.
    pub snapshot: Arc<Snapshot>,
    /// Defects of objects and of files, with positions where these are known.
    pub findings: Vec<Finding>,
    /// The Ingresses of our class.
    pub ingresses: Vec<ObjectRef>,
    /// What became of each GatewayPolicy.
    pub policies: Vec<PolicyReport>,
    /// The version of every object that went into this.
    pub versions: Arc<HashMap<ObjectRef, String>>,
    /// Counts snapshots, from 1: higher exactly where the snapshot differs from the one before.
    pub generation: u64,
}

/// Reconciles until the source ends or nobody listens. Nothing is published before the source has
/// been read completely.
pub async fn run(
    mut source: Source,
    settings: Settings,
    publish: watch::Sender<Option<Arc<Reconciled>>>,
) {
    let settings = Arc::new(settings);
    let mut memory = Arc::new(LastGood::default());
    // The revision of the view that was translated last.
    let mut served = None;
    loop {
        let view = tokio::select! {
            view = source.next() => view,
            () = publish.closed() => return,
        };
        let Some(view) = view else { return };
        let pause = Instant::now() + PAUSE;
        let last = publish.borrow().clone();
        let revision = view.revision;
        if let Some(last) = &last
            && served == Some(revision)
        {
            publish.send_replace(Some(Arc::new(last.with_versions(view.versions))));
        } else if let Some(translated) = Translated::of(view, &settings, &memory).await {
            served = Some(revision);
            memory = Arc::clone(&translated.memory);
            publish.send_replace(Some(Arc::new(translated.join(last.as_deref()))));
        }
        tokio::select! {
            () = sleep_until(pause) => {}
            () = publish.closed() => return,
        }
    }
}

impl Reconciled {
    /// The same, after changes to nothing that is served.
    fn with_versions(&self, versions: HashMap<ObjectRef, String>) -> Self {
        Self {
            versions: Arc::new(versions),
            ..self.clone()
        }
    }
}

/// What a translation has made of a view.
struct Translated {
    snapshot: Snapshot,
    findings: Vec<Finding>,
    ingresses: Vec<ObjectRef>,
    policies: Vec<PolicyReport>,
    versions: HashMap<ObjectRef, String>,
    memory: Arc<LastGood>,
}

impl Translated {
    /// Translates on a thread where that may take its time. Absent if translation panicked, which
    /// leaves in force what was published before.
    async fn of(view: View, settings: &Arc<Settings>, memory: &Arc<LastGood>) -> Option<Self> {
        let (settings, memory) = (Arc::clone(settings), Arc::clone(memory));
        let work = move || Self::from_view(view, &settings, &memory);
        tokio::task::spawn_blocking(work)
            .await
            .inspect_err(
                |error| error!(%error, "translation failed: what was served before stays in force"),
            )
            .ok()
    }

    fn from_view(view: View, settings: &Settings, memory: &LastGood) -> Self {
        let View {
            ingresses,
            classes,
            services,
            slices,
            secrets,
            config_maps,
            policies,
            unreadable,
            findings: read,
            positions,
            versions,
            revision: _,
        } = view;
        let objects = Objects {
            ingresses,
            classes,
            services,
            slices,
            secrets,
            config_maps,
            policies,
            unreadable,
        };
        let Translation {
            snapshot,
            findings: mut made,
            ingresses,
            policies,
            last_good,
        } = translate(&objects, settings, memory);
        for finding in &mut made {
            let object = finding.object.as_ref();
            finding.position = object.and_then(|object| positions.get(object)).cloned();
        }
        let mut findings = read;
        findings.append(&mut made);
        Self {
            snapshot,
            findings,
            ingresses,
            policies,
            versions,
            memory: Arc::new(last_good),
        }
    }

    /// The same snapshot and generation as `last` where nothing to serve differs.
    fn join(self, last: Option<&Reconciled>) -> Reconciled {
        let (snapshot, generation) = match last {
            Some(last) if *last.snapshot == self.snapshot => {
                (Arc::clone(&last.snapshot), last.generation)
            }
            last => (
                Arc::new(self.snapshot),
                last.map_or(0, |last| last.generation) + 1,
            ),
        };
        Reconciled {
            snapshot,
            findings: self.findings,
            ingresses: self.ingresses,
            policies: self.policies,
            versions: Arc::new(self.versions),
            generation,
        }
    }
}

#[cfg(test)]
mod tests;
