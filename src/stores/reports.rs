//! What replicas tell each other: one ConfigMap each, which goes with its Pod.
//!
//! A replica that has no Pod (a process on somebody's machine) is taken for the only one and tells nobody.
//! Whoever leads watches the others; when a report changed is known by its own clock, or, of those that are
//! older than its watch, by the server's, since theirs may be wrong.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Patch, PatchParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{debug, warn};

use super::cluster::Connection;
use super::installation::stable_hash;
use super::writer::{WriteCounts, WriteError, Writer};
use crate::api::metadata::REPORT;
use crate::report::traffic::ReplicaReport;

/// What a report is called before the name of its replica.
pub const NAME: &str = "bywash-report-";

/// Where in a ConfigMap the report stands.
const KEY: &str = "report.json";

/// After which a Pod that was not there is looked for again, and a right that was missing.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// The least time between two attempts to write a report.
const APART: Duration = Duration::from_secs(2);

/// The longest wait before a report that the server failed to take is tried again.
const LONGEST: Duration = Duration::from_secs(30);

/// After which the server ends a watch, and it is resumed, in seconds.
const WATCH_SECONDS: u32 = 110;

/// What selects the reports of an installation, which is known by its field manager.
pub fn selector(field_manager: &str) -> String {
    format!("{REPORT}={}", label(field_manager))
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
    counts: WriteCounts,
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

/// A ConfigMap with a report of another replica.
#[derive(Debug)]
struct Heard {
    report: ReplicaReport,
    /// Its Pod.
    uid: Option<String>,
    /// When it was written, by the clock of the server.
    written: Option<Timestamp>,
}

/// What owns the ConfigMap.
#[derive(Debug)]
enum Owner {
    /// Not looked for yet, or in vain, so that it is not looked for before.
    Unknown(Option<Instant>),
    /// The Pod with this identity.
    Pod(String),
}

impl Reports {
    /// Those in this namespace, of the installation of this writer, whose writes count together with its own.
    pub fn new(
        connection: &Connection,
        namespace: String,
        replica: String,
        writer: &Writer,
    ) -> Self {
        Self {
            requests: connection.requests(),
            watches: connection.streams(),
            namespace,
            field_manager: writer.field_manager().to_owned(),
            replica,
            counts: writer.counts(),
        }
    }

    /// Tells the newest of what there is to tell, until there is nobody to tell of it. What could not be written
    /// is tried again soon, whether or not there is anything newer by then.
    pub async fn tell(self, mut reports: watch::Receiver<Option<Arc<ReplicaReport>>>) {
        let mut owner = Owner::Unknown(None);
        while reports.changed().await.is_ok() {
            let mut failures = 0;
            loop {
                let Some(report) = reports.borrow_and_update().clone() else {
                    break;
                };
                let begun = Instant::now();
                let written = self.write(&mut owner, &report).await;
                let pause = match &written {
                    Ok(()) => APART,
                    Err(error) => {
                        let again = again(error, failures);
                        warn!(
                            error = error as &dyn std::error::Error,
                            again_in_seconds = again.as_secs(),
                            "other replicas cannot be told what this one sees"
                        );
                        again
                    }
                };
                sleep(pause.saturating_sub(begun.elapsed())).await;
                if written.is_ok() {
                    break;
                }
                failures += 1;
            }
        }
    }

    /// Writes a report, where there is a Pod that it can go with, and counts that.
    async fn write(&self, owner: &mut Owner, report: &ReplicaReport) -> Result<(), WriteError> {
        let result = match self.owner(owner).await {
            Ok(Some(uid)) => self.apply(&uid, report).await,
            Ok(None) => return Ok(()),
            Err(error) => Err(error),
        };
        self.counts.count("ConfigMap", result)
    }

    async fn apply(&self, uid: &str, report: &ReplicaReport) -> Result<(), WriteError> {
        let name = format!("{NAME}{}", self.replica);
        // Serializing plain data does not fail; were it to, the report would be unreadable and ignored.
        let text = serde_json::to_string(report).unwrap_or_default();
        let intent = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": name,
                "namespace": self.namespace,
                "labels": {REPORT: label(&self.field_manager)},
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
        let mut listed = Vec::new();
        loop {
            match events.try_next().await {
                Ok(Some(Event::Init)) => listed.clear(),
                Ok(Some(Event::InitApply(map))) => listed.extend(self.hear(&map)),
                Ok(Some(Event::InitDone)) => {
                    self.take_all(std::mem::take(&mut listed), &others).await
                }
                Ok(Some(Event::Apply(map))) => {
                    let heard = self
                        .hear(&map)
                        .filter(|it| it.report.replica != self.replica);
                    if let Some(heard) = heard {
                        others.send_if_modified(|it| take(heard.report, Instant::now(), it));
                    }
                }
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

    /// Takes all reports that there are. How old they are tells the clock of the server, which wrote down when
    /// each was written, our own among them; so a report that nobody renews is no younger for a leader
    /// that has just begun. Those whose Pods have ended count no more.
    async fn take_all(&self, listed: Vec<Heard>, others: &watch::Sender<Others>) {
        let newest = listed.iter().filter_map(|it| it.written).max();
        let now = Instant::now();
        let mut living = Others::new();
        for heard in listed {
            if heard.report.replica == self.replica {
                continue;
            }
            let age = newest.zip(heard.written).map(|(newest, written)| {
                let age = newest.duration_since(written);
                age.unsigned_abs()
            });
            let at = age.and_then(|age| now.checked_sub(age)).unwrap_or(now);
            if !self.has_ended(&heard).await {
                take(heard.report, at, &mut living);
            }
        }
        others.send_modify(|known| {
            known.retain(|replica, _| living.contains_key(replica));
            for Received { report, at } in living.into_values() {
                take(Arc::unwrap_or_clone(report), at, known);
            }
        });
    }

    /// Whether the Pod of a report is known to be gone, or to run no more.
    async fn has_ended(&self, heard: &Heard) -> bool {
        let api = Api::<Pod>::namespaced(self.requests.clone(), &self.namespace);
        let pod = match api.get_opt(&heard.report.replica).await {
            Ok(Some(pod)) => pod,
            Ok(None) => return true,
            Err(error) => {
                debug!(%error, replica = heard.report.replica, "whether a replica lives is not known");
                return false;
            }
        };
        let another = heard.uid.is_some() && heard.uid != pod.metadata.uid;
        let phase = pod.status.and_then(|status| status.phase);
        another || matches!(phase.as_deref(), Some("Succeeded" | "Failed"))
    }

    /// What a ConfigMap tells, and from when it is.
    fn hear(&self, map: &ConfigMap) -> Option<Heard> {
        let report = read(map)?;
        let mut owners = map.metadata.owner_references.iter().flatten();
        let owner = owners.find(|it| it.kind == "Pod" && it.name == report.replica);
        let entries = map.metadata.managed_fields.iter().flatten();
        let ours = entries.filter(|it| it.manager.as_ref() == Some(&self.field_manager));
        Some(Heard {
            uid: owner.map(|it| it.uid.clone()),
            written: ours.filter_map(|it| Some(it.time.as_ref()?.0)).max(),
            report,
        })
    }
}

/// Takes what another replica tells; whether it is news. What says the same as before is as old.
fn take(report: ReplicaReport, at: Instant, others: &mut Others) -> bool {
    let known = others.get(&report.replica);
    if known.is_some_and(|known| *known.report == report) {
        return false;
    }
    let replica = report.replica.clone();
    let report = Arc::new(report);
    others.insert(replica, Received { report, at });
    true
}

/// After which a report is written again that could not be, after so many failures before this one.
fn again(error: &WriteError, failures: u32) -> Duration {
    match error {
        WriteError::Retry(_) => APART
            .saturating_mul(2_u32.saturating_pow(failures))
            .min(LONGEST),
        // A right, or the namespace: nothing that mends itself.
        _ => LOOK_AGAIN,
    }
}

/// What a ConfigMap tells, if it can be read.
pub(super) fn read(map: &ConfigMap) -> Option<ReplicaReport> {
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
