//! The objects of one kind, and all kinds together.
//!
//! A list that follows an outage is gathered beside the current objects and takes their place at
//! its end, so that there is no moment with half a list or with none. A kind counts as read after
//! its first complete list. An object that cannot be decoded keeps its place as unreadable: whoever
//! knows its last good form can then tell "broken" from "gone".

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use tokio::time::Instant;

mod lack;

pub(crate) use lack::Lack;

use super::directory::{Contents, Object};
use super::outages::Outages;
use super::{Identity, View};
use crate::api::policy::GatewayPolicy;
use crate::report::{Code, FilePosition, Finding, Kind, ObjectRef};

mod config_maps;
mod kinds;
mod secrets;

/// A kind that is watched.
pub(crate) trait Watched:
    Resource<DynamicType = ()> + Clone + Send + Sync + 'static
{
    /// Which.
    const KIND: Kind;

    /// Where its objects are.
    fn shelf(shelves: &mut Shelves) -> &mut Shelf<Self>;

    /// Whether two versions of an object say the same to whoever serves it.
    fn is_alike(&self, _other: &Self) -> bool {
        false
    }
}

/// All kinds.
#[derive(Default)]
pub(crate) struct Shelves {
    pub(crate) ingresses: Shelf<Ingress>,
    pub(crate) classes: Shelf<IngressClass>,
    pub(crate) services: Shelf<Service>,
    pub(crate) slices: Shelf<EndpointSlice>,
    pub(crate) secrets: Shelf<Secret>,
    /// Those of namespaces that are watched one by one.
    pub(crate) listed_secrets: BTreeMap<String, Shelf<Secret>>,
    /// Those that hold certificates; from files, all.
    pub(crate) config_maps: Shelf<ConfigMap>,
    /// Those that hold error pages.
    pub(crate) pages: Shelf<ConfigMap>,
    pub(crate) policies: Shelf<GatewayPolicy>,
    /// The Service whose addresses are published, when it is outside the watched namespace.
    pub(crate) published: Shelf<Service>,
    /// Of objects from files.
    pub(crate) positions: HashMap<ObjectRef, FilePosition>,
    /// About files.
    pub(crate) findings: Vec<Finding>,
    /// The kinds that cannot be followed now.
    pub(crate) outages: Outages,
}

/// One kind.
pub(crate) struct Shelf<K> {
    current: BTreeMap<ObjectRef, Entry<K>>,
    /// A list that is not complete yet.
    incoming: BTreeMap<ObjectRef, Entry<K>>,
    synced: bool,
    /// Why the kind cannot be read although nobody waits for it, if it cannot.
    lacking: Option<Finding>,
    /// Since when the kind is refused before it was ever read.
    refused: Option<Instant>,
    /// Counts the changes that matter to whoever serves the objects.
    revision: u64,
}

/// One object.
#[derive(Clone, Debug)]
pub(crate) enum Entry<K> {
    Readable { object: Arc<K>, identity: Identity },
    Unreadable { error: String, identity: Identity },
}

/// What an event of a watch does to the objects.
pub(crate) enum Step<K> {
    Begin,
    Gather(ObjectRef, Entry<K>),
    Complete,
    Put(ObjectRef, Entry<K>),
    Remove(ObjectRef),
}

impl<K> Default for Shelf<K> {
    fn default() -> Self {
        Self {
            current: BTreeMap::new(),
            incoming: BTreeMap::new(),
            synced: false,
            lacking: None,
            refused: None,
            revision: 0,
        }
    }
}

impl<K> Entry<K> {
    /// The object, if it could be read.
    pub(crate) fn readable(&self) -> Option<&Arc<K>> {
        match self {
            Self::Readable { object, .. } => Some(object),
            Self::Unreadable { .. } => None,
        }
    }

    fn identity(&self) -> &Identity {
        match self {
            Self::Readable { identity, .. } | Self::Unreadable { identity, .. } => identity,
        }
    }
}

impl<K: Watched> Entry<K> {
    fn of_guarded(guarded: DeserializeGuard<K>) -> (ObjectRef, Self) {
        let meta = guarded.meta();
        let key = ObjectRef {
            kind: K::KIND,
            namespace: meta.namespace.as_deref().unwrap_or_default().into(),
            name: meta.name.as_deref().unwrap_or_default().into(),
        };
        let identity = Identity::of(meta);
        let entry = match guarded.0 {
            Ok(object) => Self::Readable {
                object: Arc::new(object),
                identity,
            },
            // What is wrong with a Secret would show what nobody may see.
            Err(_) if K::KIND == Kind::Secret => Self::Unreadable {
                error: "it is not a Secret as Kubernetes has them".to_owned(),
                identity,
            },
            Err(invalid) => Self::Unreadable {
                error: invalid.error,
                identity,
            },
        };
        (key, entry)
    }
}

impl<K: Watched> Step<K> {
    /// What the event means.
    pub(crate) fn of(event: Event<DeserializeGuard<K>>) -> Self {
        match event {
            Event::Init => Self::Begin,
            Event::InitApply(object) => {
                let (key, entry) = Entry::of_guarded(object);
                Self::Gather(key, entry)
            }
            Event::InitDone => Self::Complete,
            Event::Apply(object) => {
                let (key, entry) = Entry::of_guarded(object);
                Self::Put(key, entry)
            }
            Event::Delete(object) => Self::Remove(Entry::of_guarded(object).0),
        }
    }
}

impl Identity {
    fn of(meta: &ObjectMeta) -> Self {
        Self {
            uid: meta.uid.clone().unwrap_or_default(),
            version: meta.resource_version.clone().unwrap_or_default(),
        }
    }
}

impl<K: Watched> Shelf<K> {
    fn gather(&mut self, key: ObjectRef, object: Arc<K>) {
        let identity = Identity::of(object.meta());
        self.incoming
            .insert(key, Entry::Readable { object, identity });
    }

    /// Does a step; true if the current objects may differ now.
    pub(crate) fn apply(&mut self, step: Step<K>) -> bool {
        match step {
            Step::Begin => {
                self.incoming.clear();
                return false;
            }
            Step::Gather(key, entry) => {
                self.incoming.insert(key, entry);
                return false;
            }
            Step::Complete => {
                self.current = std::mem::take(&mut self.incoming);
                self.synced = true;
                self.lacking = None;
                self.refused = None;
            }
            Step::Put(key, entry) => {
                let before = self.current.get(&key).and_then(Entry::readable);
                let alike = match (before, entry.readable()) {
                    (Some(before), Some(now)) => before.is_alike(now),
                    _ => false,
                };
                self.current.insert(key, entry);
                self.revision += u64::from(!alike);
                return true;
            }
            Step::Remove(key) => {
                if self.current.remove(&key).is_none() {
                    return false;
                }
            }
        }
        self.revision += 1;
        true
    }
}

impl<K> Shelf<K> {
    /// Whether a complete list has been seen.
    pub(crate) fn is_synced(&self) -> bool {
        self.synced
    }

    /// One object.
    pub(crate) fn get(&self, key: &ObjectRef) -> Option<&Entry<K>> {
        self.current.get(key)
    }

    /// The objects that could be read.
    pub(crate) fn readable(&self) -> impl Iterator<Item = &Arc<K>> {
        self.current.values().filter_map(Entry::readable)
    }

    fn show(&self, view: &mut View) -> Vec<Arc<K>> {
        self.tell(view);
        self.readable().cloned().collect()
    }

    /// Everything but the objects that can be read.
    fn tell(&self, view: &mut View) {
        for (key, entry) in &self.current {
            view.versions
                .insert(key.clone(), entry.identity().version.clone());
            if let Entry::Unreadable { error, identity } = entry {
                view.unreadable.insert(key.clone(), identity.uid.clone());
                view.findings.push(Finding {
                    object: Some(key.clone()),
                    position: None,
                    code: Code::InvalidObject,
                    message: format!(
                        "cannot be read ({error}); its last good form, where one is known, stays in force"
                    ),
                });
            }
        }
        let lacking = self.lacking.iter();
        let news: Vec<Finding> = lacking
            .filter(|it| !view.findings.contains(it))
            .cloned()
            .collect();
        view.findings.extend(news);
    }
}

impl Shelves {
    /// Whether every kind has been read.
    pub(crate) fn is_synced(&self) -> bool {
        self.ingresses.is_synced()
            && self.classes.is_synced()
            && self.services.is_synced()
            && self.slices.is_synced()
            && self.are_secrets_synced()
            && self.config_maps.is_synced()
            && self.pages.is_synced()
            && self.policies.is_synced()
    }

    /// Takes everything that a directory holds.
    pub(super) fn replace(&mut self, contents: Contents) {
        for (key, object) in contents.objects {
            match object {
                Object::Ingress(object) => self.ingresses.gather(key, object),
                Object::IngressClass(object) => self.classes.gather(key, object),
                Object::Service(object) => self.services.gather(key, object),
                Object::EndpointSlice(object) => self.slices.gather(key, object),
                Object::Secret(object) => self.secrets.gather(key, object),
                Object::ConfigMap(object) => self.config_maps.gather(key, object),
                Object::GatewayPolicy(object) => self.policies.gather(key, object),
            }
        }
        self.ingresses.apply(Step::Complete);
        self.classes.apply(Step::Complete);
        self.services.apply(Step::Complete);
        self.slices.apply(Step::Complete);
        self.secrets.apply(Step::Complete);
        self.config_maps.apply(Step::Complete);
        self.pages.apply(Step::Complete);
        self.policies.apply(Step::Complete);
        self.positions = contents.positions;
        self.findings = contents.findings;
    }

    /// All objects.
    pub(crate) fn view(&self) -> View {
        let mut view = View {
            findings: self.findings.clone(),
            positions: self.positions.clone(),
            revision: self.ingresses.revision
                + self.classes.revision
                + self.services.revision
                + self.slices.revision
                + self.revision_of_secrets()
                + self.config_maps.revision
                + self.pages.revision
                + self.policies.revision,
            ..View::default()
        };
        view.ingresses = self.ingresses.show(&mut view);
        view.classes = self.classes.show(&mut view);
        view.services = self.services.show(&mut view);
        view.slices = self.slices.show(&mut view);
        view.secrets = self.show_secrets(&mut view);
        view.config_maps = self.show_config_maps(&mut view);
        view.policies = self.policies.show(&mut view);
        view
    }

    /// Which incarnation of an object is here.
    pub(crate) fn identity(&self, key: &ObjectRef) -> Option<Identity> {
        match key.kind {
            Kind::Ingress => self.ingresses.get(key).map(Entry::identity),
            Kind::IngressClass => self.classes.get(key).map(Entry::identity),
            Kind::Service => self.services.get(key).map(Entry::identity),
            Kind::EndpointSlice => self.slices.get(key).map(Entry::identity),
            Kind::Secret => self.identity_of_secret(key),
            Kind::ConfigMap => self.identity_of_config_map(key),
            Kind::GatewayPolicy => self.policies.get(key).map(Entry::identity),
        }
        .cloned()
    }
}
