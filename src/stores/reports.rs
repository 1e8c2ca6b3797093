//! What replicas tell each other: one ConfigMap each, which goes with its Pod.
//!
//! A replica that has no Pod (a process on somebody's machine) is taken for the only one and tells nobody.
//! Whoever leads watches the others; when a report changed is known by its own clock, since theirs may
//! be wrong.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Patch, PatchParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::watch;
use tracing::{debug, warn};

use super::cluster::Connection;
use super::installation::stable_hash;
use super::writer::WriteError;
use crate::report::traffic::ReplicaReport;

/// On a ConfigMap: the installation whose replica it is of.
const LABEL: &str = "bywash.dev/report";

/// What a report is called before the name of its replica.
pub const NAME: &str = "bywash-report-";

/// Where in a ConfigMap the report stands.
const KEY: &str = "report.json";

/// After which a Pod that was not there is looked for again, and a right that was missing.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// After which the server ends a watch, and it is resumed, in seconds.
const WATCH_SECONDS: u32 = 110;

/// What selects the reports of an installation, which is known by its field manager.
pub fn selector(field_manager: &str) -> String {
    format!("{LABEL}={}", label(field_manager))
}

fn label(field_manager: &str) -> String {
    format!("{:016x}", stable_hash([field_manager.as_bytes()]))
}

/// The reports of the replicas of one installation.
#[derive(Clone)]
pub struct Reports {
    requests: Client,
    watches: Client,
    namespace: String,
    field_manager: String,
    replica: String,
}

/// A report of another replica.
#[derive(Clone, Debug)]
pub struct Received {
    /// What it says.
    pub report: Arc<ReplicaReport>,
    /// When it changed.
    pub at: Instant,
}

/// By the name of the replica.
pub type Others = BTreeMap<String, Received>;

/// What owns the ConfigMap.
#[derive(Debug)]
enum Owner {
    /// Not looked for yet, or in vain, so that it is not looked for before.
    Unknown(Option<Instant>),
    /// The Pod with this identity.
    Pod(String),
}

impl Reports {
    /// Those in this namespace, of an installation that is known by its field manager.
    pub fn new(
        connection: &Connection,
        namespace: String,
        field_manager: String,
        replica: String,
    ) -> Self {
        Self {
            requests: connection.requests(),
            watches: connection.streams(),
            namespace,
            field_manager,
            replica,
        }
    }

    /// Tells what there is to tell, until there is nobody to tell of it.
    pub async fn tell(self, mut reports: watch::Receiver<Option<Arc<ReplicaReport>>>) {
        let mut owner = Owner::Unknown(None);
        let mut refused: Option<Instant> = None;
        while reports.changed().await.is_ok() {
            let Some(report) = reports.borrow_and_update().clone() else {
                continue;
            };
            if refused.is_some_and(|until| Instant::now() < until) {
                continue;
            }
            refused = match self.write(&mut owner, &report).await {
                Ok(()) => None,
                Err(error) => {
                    let lasts = !matches!(error, WriteError::Retry(_));
                    warn!(
                        error = &error as &dyn std::error::Error,
                        "other replicas cannot be told what this one sees"
                    );
                    lasts.then(|| Instant::now() + LOOK_AGAIN)
                }
            };
        }
    }

    async fn write(&self, owner: &mut Owner, report: &ReplicaReport) -> Result<(), WriteError> {
        let Some(uid) = self.owner(owner).await? else {
            return Ok(());
        };
        let name = format!("{NAME}{}", self.replica);
        // Serializing plain data does not fail; were it to, the report would be unreadable and ignored.
        let text = serde_json::to_string(report).unwrap_or_default();
        let intent = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": name,
                "namespace": self.namespace,
                "labels": {LABEL: label(&self.field_manager)},
                "ownerReferences": [{
                    "apiVersion": "v1", "kind": "Pod", "name": self.replica, "uid": uid,
                }],
            },
            "data": {KEY: text},
        });
        let params = PatchParams::apply(&self.field_manager).force();
        let api = Api::<ConfigMap>::namespaced(self.requests.clone(), &self.namespace);
        let written = api.patch(&name, &params, &Patch::Apply(intent)).await;
        written.map_err(|error| WriteError::of(error, "create and patch configmaps"))?;
        debug!(%name, "report written");
        Ok(())
    }

    /// The identity of our Pod, if there is one.
    async fn owner(&self, owner: &mut Owner) -> Result<Option<String>, WriteError> {
        match owner {
            Owner::Pod(uid) => return Ok(Some(uid.clone())),
            Owner::Unknown(Some(until)) if Instant::now() < *until => return Ok(None),
            Owner::Unknown(_) => {}
        }
        let api = Api::<Pod>::namespaced(self.requests.clone(), &self.namespace);
        let pod = api.get_opt(&self.replica).await;
        let pod = pod.map_err(|error| WriteError::of(error, "get pods"))?;
        let uid = pod.and_then(|pod| pod.metadata.uid);
        *owner = match &uid {
            Some(uid) => Owner::Pod(uid.clone()),
            None => Owner::Unknown(Some(Instant::now() + LOOK_AGAIN)),
        };
        Ok(uid)
    }

    /// Shows what the other replicas tell, for as long as this is polled.
    pub async fn watch(self, others: watch::Sender<Others>) {
        let api = Api::<ConfigMap>::namespaced(self.watches.clone(), &self.namespace);
        let labels = selector(&self.field_manager);
        let config = watcher::Config::default().timeout(WATCH_SECONDS);
        let events = watcher(api, config.labels(&labels)).default_backoff();
        let mut events = pin!(events);
        let mut listed: Option<Vec<String>> = None;
        loop {
            match events.try_next().await {
                Ok(Some(Event::Init)) => listed = Some(Vec::new()),
                Ok(Some(Event::InitApply(map))) => {
                    if let (Some(listed), Some(replica)) = (&mut listed, self.take(&map, &others)) {
                        listed.push(replica);
                    }
                }
                Ok(Some(Event::InitDone)) => {
                    let listed = listed.take().unwrap_or_default();
                    others.send_modify(|it| it.retain(|replica, _| listed.contains(replica)));
                }
                Ok(Some(Event::Apply(map))) => drop(self.take(&map, &others)),
                Ok(Some(Event::Delete(map))) => {
                    if let Some(report) = read(&map) {
                        others.send_modify(|it| drop(it.remove(&report.replica)));
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    warn!(%error, "what other replicas see cannot be read: going on with what is known");
                }
            }
        }
    }

    /// Whose report it is, if it is another's and can be read. One that says the same as before is as old.
    fn take(&self, map: &ConfigMap, others: &watch::Sender<Others>) -> Option<String> {
        let report = read(map).filter(|report| report.replica != self.replica)?;
        let replica = report.replica.clone();
        others.send_if_modified(|it| {
            if it
                .get(&replica)
                .is_some_and(|known| *known.report == report)
            {
                return false;
            }
            let received = Received {
                report: Arc::new(report),
                at: Instant::now(),
            };
            it.insert(replica.clone(), received);
            true
        });
        Some(replica)
    }
}

fn read(map: &ConfigMap) -> Option<ReplicaReport> {
    let text = map.data.as_ref()?.get(KEY)?;
    let report = serde_json::from_str::<ReplicaReport>(text);
    let report = report.inspect_err(|error| {
        let name = map.metadata.name.as_deref().unwrap_or_default();
        debug!(%error, name, "a report that this version does not understand");
    });
    report.ok().filter(|report| !report.replica.is_empty())
}

impl std::fmt::Debug for Reports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reports")
            .field("replica", &self.replica)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
