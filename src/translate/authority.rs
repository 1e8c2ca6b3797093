//! Certificates by which endpoints are verified, from ConfigMaps.
//!
//! A ConfigMap that becomes unusable keeps the last certificates that were usable, for as long as it is
//! the same ConfigMap and exists: an edit that went wrong must not take every endpoint with it. One that
//! is gone is trusted no more. What was parsed is kept from one translation to the next.
//!
//! The label is asked for everywhere, though only a cluster needs it, so that what works from files
//! works in a cluster, too.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use foldhash::fast::FixedState;
use k8s_openapi::api::core::v1::ConfigMap;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::api::policy::upstream::{CA_KEY, CA_LABEL};
use crate::report::{Code, Kind, ObjectRef};

use super::names::{self, Key};
use super::{Objects, Origin};

/// What became of each ConfigMap that was asked for.
pub(super) type KnownAuthorities = HashMap<ObjectRef, Outcome, FixedState>;

/// Certificates, in DER.
pub(super) type Roots = Arc<[Vec<u8>]>;

/// What became of one ConfigMap.
#[derive(Clone)]
pub(super) struct Outcome {
    /// The form that was read.
    config_map: Arc<ConfigMap>,
    loaded: Loaded,
}

/// What a ConfigMap yields.
#[derive(Clone)]
pub(super) enum Loaded {
    /// The certificates that it holds.
    Usable(Roots),
    /// Those of an earlier form, since this one cannot be used.
    LastGood(Roots, Defect),
    /// None: nothing can be verified.
    Unusable(Defect),
}

/// Why a ConfigMap does not say by what to verify.
#[derive(Clone)]
pub(super) struct Defect {
    pub(super) code: Code,
    /// A clause with the ConfigMap as its subject.
    pub(super) why: String,
}

/// The ConfigMaps, read when asked for.
pub(super) struct Authorities<'a> {
    config_maps: HashMap<Key<'a>, &'a Arc<ConfigMap>, FixedState>,
    unreadable: &'a BTreeSet<ObjectRef>,
    origin: Origin,
    last: &'a KnownAuthorities,
    now: KnownAuthorities,
}

impl<'a> Authorities<'a> {
    /// Indexes the ConfigMaps.
    pub(super) fn new(objects: &'a Objects, origin: Origin, last: &'a KnownAuthorities) -> Self {
        let config_maps = objects.config_maps.iter();
        Self {
            config_maps: config_maps.map(|it| (names::key(&**it), it)).collect(),
            unreadable: &objects.unreadable,
            origin,
            last,
            now: KnownAuthorities::default(),
        }
    }

    /// The certificates of a ConfigMap.
    pub(super) fn load(&mut self, key: Key<'_>) -> Loaded {
        let object = names::reference(Kind::ConfigMap, key);
        let found = match self.config_maps.get(&key).copied() {
            Some(found) if is_labelled(found) => found,
            found => return Loaded::Unusable(self.absent(&object, found.is_some())),
        };
        let last = self.last.get(&object);
        let outcome = self.now.entry(object);
        let outcome = outcome.or_insert_with_key(|object| Outcome::of(object, found, last));
        outcome.loaded.clone()
    }

    /// What the next translation starts from: ConfigMaps that exist, also those not asked for now.
    pub(super) fn finish(mut self) -> KnownAuthorities {
        for (object, outcome) in self.last {
            let key = (&*object.namespace, &*object.name);
            if self.config_maps.get(&key).is_some_and(|it| is_labelled(it)) {
                let entry = self.now.entry(object.clone());
                entry.or_insert_with(|| outcome.clone());
            }
        }
        self.now
    }

    fn absent(&self, object: &ObjectRef, unlabelled: bool) -> Defect {
        let why = if unlabelled {
            format!("lacks the label {CA_LABEL}=true")
        } else if self.unreadable.contains(object) {
            "could not be read".to_owned()
        } else if self.origin == Origin::Cluster {
            format!("does not exist or lacks the label {CA_LABEL}=true")
        } else {
            "does not exist".to_owned()
        };
        Defect {
            code: Code::CaNotFound,
            why: format!("the {object} {why}"),
        }
    }
}

impl Outcome {
    /// Reads a ConfigMap, unless the form that was read before has the same contents.
    fn of(object: &ObjectRef, config_map: &Arc<ConfigMap>, last: Option<&Self>) -> Self {
        let uid = |it: &ConfigMap| it.metadata.uid.clone();
        let last = last.filter(|it| uid(&it.config_map) == uid(config_map));
        let known = last.filter(|it| same_contents(&it.config_map, config_map));
        let loaded = match known {
            Some(known) => known.loaded.clone(),
            None => match (read(config_map), last.and_then(|it| it.loaded.roots())) {
                (Ok(roots), _) => Loaded::Usable(roots),
                (Err(why), Some(roots)) => Loaded::LastGood(roots, invalid(object, &why)),
                (Err(why), None) => Loaded::Unusable(invalid(object, &why)),
            },
        };
        Self {
            config_map: Arc::clone(config_map),
            loaded,
        }
    }
}

impl Loaded {
    fn roots(&self) -> Option<Roots> {
        match self {
            Self::Usable(roots) | Self::LastGood(roots, _) => Some(Arc::clone(roots)),
            Self::Unusable(_) => None,
        }
    }
}

fn invalid(object: &ObjectRef, why: &str) -> Defect {
    Defect {
        code: Code::InvalidCa,
        why: format!("the {object} {why}"),
    }
}

fn is_labelled(config_map: &ConfigMap) -> bool {
    let labels = config_map.metadata.labels.as_ref();
    labels
        .and_then(|it| it.get(CA_LABEL))
        .is_some_and(|it| it == "true")
}

fn same_contents(a: &Arc<ConfigMap>, b: &Arc<ConfigMap>) -> bool {
    Arc::ptr_eq(a, b) || (a.data == b.data && a.binary_data == b.binary_data)
}

/// The certificates that can be used; the error continues a sentence.
fn read(config_map: &ConfigMap) -> Result<Roots, String> {
    let ConfigMap {
        binary_data,
        data,
        immutable: _,
        metadata: _,
    } = config_map;
    let text = data.as_ref().and_then(|it| it.get(CA_KEY));
    let bytes = binary_data.as_ref().and_then(|it| it.get(CA_KEY));
    let pem = text
        .map(String::as_bytes)
        .or(bytes.map(|it| it.0.as_slice()))
        .ok_or_else(|| format!("has no key {CA_KEY}"))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|_| format!("has no well-formed PEM in {CA_KEY}"))?;
    if certificates.is_empty() {
        return Err(format!("has no certificate in {CA_KEY}"));
    }
    let usable = certificates.into_iter().filter(|it| {
        let mut roots = RootCertStore::empty();
        roots.add(it.clone()).is_ok()
    });
    let usable: Vec<Vec<u8>> = usable.map(|it| it.to_vec()).collect();
    if usable.is_empty() {
        return Err(format!("has no certificate in {CA_KEY} that can be used"));
    }
    Ok(usable.into())
}
