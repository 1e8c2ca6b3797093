//! Where objects come from, and where what is known about them goes.
//!
//! A cluster and a directory feed the same [`Source`]: the current objects of each kind, a signal
//! when they changed, and nothing at all before every kind was read once, so that nobody can take
//! "not read yet" for "there is none". Readers take a [`View`], a consistent copy made of shared
//! objects, whenever they are ready for one; a storm of changes therefore costs one view, not one
//! per change.
//!
//! Refused: kube's own reflector store (it shares guarded objects, so that every view would have to
//! clone each object out of its guard), a view per change sent through a channel (5,000 copies at
//! start-up), and a trait for sources (there is one concrete type, fed by whoever has objects).

pub mod cluster;
pub mod directory;
pub mod facts;
#[cfg(test)]
pub(crate) mod fake_api;
pub mod installation;
pub mod nodes;
mod outages;
pub mod ownership;
pub mod reader;
pub mod reports;
mod shelf;
pub mod writer;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::api::metadata::SERVICE_NAME;
use crate::api::policy::GatewayPolicy;
use crate::report::{FilePosition, Finding, Kind, ObjectRef, Unreadable};
use shelf::{Entry, Lack, Shelves, Step, Watched};

/// The objects at one moment, of all kinds.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// In the order of namespace and name, as all lists here.
    pub ingresses: Vec<Arc<Ingress>>,
    /// Cluster-scoped.
    pub classes: Vec<Arc<IngressClass>>,
    /// Of all types.
    pub services: Vec<Arc<Service>>,
    /// Of all Services.
    pub slices: Vec<Arc<EndpointSlice>>,
    /// From a cluster: only those of type `kubernetes.io/tls`.
    pub secrets: Vec<Arc<Secret>>,
    /// From a cluster: only those that are labelled as holding certificates or error pages.
    pub config_maps: Vec<Arc<ConfigMap>>,
    /// None where the cluster does not have the kind.
    pub policies: Vec<Arc<GatewayPolicy>>,
    /// Objects that exist but could not be read; in none of the lists above.
    pub unreadable: Unreadable,
    /// Why, and what is wrong with files.
    pub findings: Vec<Finding>,
    /// Where objects stand, if they are from files.
    pub positions: HashMap<ObjectRef, FilePosition>,
    /// The `resourceVersion` of every object, readable or not.
    pub versions: HashMap<ObjectRef, String>,
    /// The same in two views of a source whose objects differ in nothing that is served: in their
    /// versions, and in the status of Ingresses.
    pub revision: u64,
}

/// What identifies one incarnation of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its `uid`.
    pub uid: String,
    /// Its `resourceVersion` as last seen.
    pub version: String,
}

/// Whatever fed a source has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing feeds these objects any more")]
pub struct SourceClosed;

/// Reads objects. Clones share the same ones; each is told of changes on its own, beginning with what
/// was read before it was made.
pub struct Source {
    shelves: Arc<RwLock<Shelves>>,
    /// Bumped after each change, once everything has been read.
    revision: watch::Receiver<u64>,
}

/// Feeds a [`Source`].
pub struct Feed {
    shelves: Arc<RwLock<Shelves>>,
    revision: watch::Sender<u64>,
}

/// A source of objects, and what feeds it.
pub fn source() -> (Feed, Source) {
    let shelves = Arc::default();
    let (revision, receiver) = watch::channel(0);
    let source = Source {
        shelves: Arc::clone(&shelves),
        revision: receiver,
    };
    (Feed { shelves, revision }, source)
}

impl Source {
    /// Waits for a change that this clone has not been told of yet; the first is that every kind has
    /// been read.
    pub async fn changed(&mut self) -> Result<(), SourceClosed> {
        self.revision.changed().await.map_err(|_| SourceClosed)
    }

    /// Waits for such a change and shows what there is then; absent when nothing feeds this any more.
    pub async fn next(&mut self) -> Option<View> {
        loop {
            self.changed().await.ok()?;
            if let Some(view) = self.view() {
                return Some(view);
            }
        }
    }

    /// Whether every kind has been read at least once.
    pub fn is_synced(&self) -> bool {
        self.read().is_synced()
    }

    /// The objects now; absent until every kind has been read.
    pub fn view(&self) -> Option<View> {
        let shelves = self.read();
        shelves.is_synced().then(|| shelves.view())
    }

    /// All readable Ingresses.
    pub fn ingresses(&self) -> Vec<Arc<Ingress>> {
        self.read().ingresses.readable().cloned().collect()
    }

    /// All readable GatewayPolicies.
    pub fn policies(&self) -> Vec<Arc<GatewayPolicy>> {
        self.read().policies.readable().cloned().collect()
    }

    /// One Service; also the one whose addresses are published, wherever it is.
    pub fn service(&self, namespace: &str, name: &str) -> Option<Arc<Service>> {
        let key = ObjectRef {
            kind: Kind::Service,
            namespace: namespace.into(),
            name: name.into(),
        };
        let shelves = self.read();
        let entry = shelves
            .services
            .get(&key)
            .or_else(|| shelves.published.get(&key));
        entry.and_then(Entry::readable).cloned()
    }

    /// The readable EndpointSlices of a Service.
    pub fn slices(&self, namespace: &str, service: &str) -> Vec<Arc<EndpointSlice>> {
        let shelves = self.read();
        let slices = shelves.slices.readable().filter(|slice| {
            let labels = slice.metadata.labels.as_ref();
            let of = labels.and_then(|labels| labels.get(SERVICE_NAME));
            slice.metadata.namespace.as_deref() == Some(namespace)
                && of.is_some_and(|of| of == service)
        });
        slices.cloned().collect()
    }

    /// For how long the objects of some kind cannot be followed, if they cannot: what is known of them
    /// may be out of date.
    pub fn behind(&self) -> Option<Duration> {
        self.read().outages.longest(Instant::now())
    }

    /// Which incarnation of an object is known, readable or not.
    pub fn identity(&self, object: &ObjectRef) -> Option<Identity> {
        self.read().identity(object)
    }

    fn read(&self) -> RwLockReadGuard<'_, Shelves> {
        self.shelves.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clone for Source {
    fn clone(&self) -> Self {
        let mut revision = self.revision.clone();
        if self.is_synced() {
            revision.mark_changed();
        }
        Self {
            shelves: Arc::clone(&self.shelves),
            revision,
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("synced", &self.is_synced())
            .finish_non_exhaustive()
    }
}

impl Feed {
    /// Applies one event of a watch.
    pub(crate) fn apply<K: Watched>(&self, event: Event<DeserializeGuard<K>>) {
        let step = Step::of(event);
        self.update(|shelves| K::shelf(shelves).apply(step));
    }

    /// Applies one event of the watch on the Service whose addresses are published.
    pub(crate) fn apply_published(&self, event: Event<DeserializeGuard<Service>>) {
        let step = Step::of(event);
        self.update(|shelves| shelves.published.apply(step));
    }

    /// Applies one event of the watch on ConfigMaps that hold error pages.
    pub(crate) fn apply_pages(&self, event: Event<DeserializeGuard<ConfigMap>>) {
        let step = Step::of(event);
        self.update(|shelves| shelves.pages.apply(step));
    }

    /// They cannot be read, because of this.
    pub(crate) fn lacks_pages(&self, finding: Finding, lack: Lack) {
        self.update(|shelves| shelves.pages.lack(finding, lack));
    }

    /// IngressClasses are not watched: there are none to wait for.
    pub(crate) fn has_no_classes(&self) {
        self.update(|shelves| shelves.classes.apply(Step::Complete));
    }

    /// Secrets are watched in these namespaces only, each by itself.
    pub(crate) fn lists_secrets_of(&self, namespaces: &[String]) {
        self.update(|shelves| {
            shelves.list_secrets_of(namespaces);
            true
        });
    }

    /// Applies one event of the watch on the Secrets of a listed namespace.
    pub(crate) fn apply_secrets_of(&self, namespace: &str, event: Event<DeserializeGuard<Secret>>) {
        let step = Step::of(event);
        self.update(|shelves| {
            let shelf = shelves.listed_secrets.get_mut(namespace);
            shelf.is_some_and(|shelf| shelf.apply(step))
        });
    }

    /// They cannot be read, because of this.
    pub(crate) fn lacks_secrets_of(&self, namespace: &str, finding: Finding, lack: Lack) {
        self.update(|shelves| {
            let shelf = shelves.listed_secrets.get_mut(namespace);
            shelf.is_some_and(|shelf| shelf.lack(finding, lack))
        });
    }

    /// A kind cannot be read, because of this, and nobody shall wait for it for ever.
    pub(crate) fn lacks<K: Watched>(&self, finding: Finding, lack: Lack) {
        self.update(|shelves| K::shelf(shelves).lack(finding, lack));
    }

    /// The objects of a kind cannot be followed now.
    pub(crate) fn lost_sight(&self, kind: Kind) {
        self.write().outages.failed(kind, Instant::now());
    }

    /// They can be again.
    pub(crate) fn sees_again(&self, kind: Kind) {
        self.write().outages.over(kind);
    }

    /// Takes everything that a directory holds.
    fn replace(&self, contents: directory::Contents) {
        self.update(|shelves| {
            shelves.replace(contents);
            true
        });
    }

    /// Lets `change` edit the objects, then wakes the readers if it says that there is something to
    /// see.
    fn update(&self, change: impl FnOnce(&mut Shelves) -> bool) {
        let visible = {
            let mut shelves = self.write();
            change(&mut shelves) && shelves.is_synced()
        };
        if visible {
            self.revision.send_modify(|revision| *revision += 1);
        }
    }

    fn write(&self) -> RwLockWriteGuard<'_, Shelves> {
        self.shelves.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
