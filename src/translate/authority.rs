//! Certificates by which endpoints are verified, from ConfigMaps.
//!
//! A ConfigMap that becomes unusable keeps the last certificates that were usable, for as long as it is
//! the same ConfigMap and exists: an edit that went wrong must not take every endpoint with it. One that
//! is gone is trusted no more. What was parsed is kept from one translation to the next.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;
use k8s_openapi::api::core::v1::ConfigMap;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::api::metadata::CA;
use crate::api::policy::upstream::CA_KEY;
use crate::report::{Code, Kind, ObjectRef};

use super::config_map::{ConfigMaps, same_contents, same_object};
use super::names::{self, Key};

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
    config_maps: &'a ConfigMaps<'a>,
    last: &'a KnownAuthorities,
    now: KnownAuthorities,
}

impl<'a> Authorities<'a> {
    /// None read yet.
    pub(super) fn new(config_maps: &'a ConfigMaps<'a>, last: &'a KnownAuthorities) -> Self {
        Self {
            config_maps,
            last,
            now: KnownAuthorities::default(),
        }
    }

    /// The certificates of a ConfigMap.
    pub(super) fn load(&mut self, key: Key<'_>) -> Loaded {
        let found = match self.config_maps.find(key, CA) {
            Ok(found) => found,
            Err(why) => {
                let code = Code::CaNotFound;
                return Loaded::Unusable(Defect { code, why });
            }
        };
        let object = names::reference(Kind::ConfigMap, key);
        let last = self.last.get(&object);
        let outcome = self.now.entry(object);
        let outcome = outcome.or_insert_with_key(|object| Outcome::of(object, found, last));
        outcome.loaded.clone()
    }

    /// What the next translation starts from: ConfigMaps that exist, also those not asked for now.
    pub(super) fn finish(mut self) -> KnownAuthorities {
        for (object, outcome) in self.last {
            if self.config_maps.has(object, CA) {
                let entry = self.now.entry(object.clone());
                entry.or_insert_with(|| outcome.clone());
            }
        }
        self.now
    }
}

impl Outcome {
    /// Reads a ConfigMap, unless the form that was read before has the same contents.
    fn of(object: &ObjectRef, config_map: &Arc<ConfigMap>, last: Option<&Self>) -> Self {
        let last = last.filter(|it| same_object(&it.config_map, config_map));
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
