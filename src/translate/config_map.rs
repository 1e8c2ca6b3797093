//! The ConfigMaps that policies name, by key.
//!
//! The label is asked for everywhere, though only a cluster needs it, so that what works from files
//! works in a cluster, too.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;
use k8s_openapi::api::core::v1::ConfigMap;

use crate::report::{Kind, ObjectRef, Unreadable};

use super::names::{self, Key};
use super::{Objects, Origin};

/// All of them.
pub(super) struct ConfigMaps<'a> {
    by_key: HashMap<Key<'a>, &'a Arc<ConfigMap>, FixedState>,
    unreadable: &'a Unreadable,
    origin: Origin,
}

impl<'a> ConfigMaps<'a> {
    /// Indexes them.
    pub(super) fn new(objects: &'a Objects, origin: Origin) -> Self {
        let config_maps = objects.config_maps.iter();
        Self {
            by_key: config_maps.map(|it| (names::key(&**it), it)).collect(),
            unreadable: &objects.unreadable,
            origin,
        }
    }

    /// The one of this name, if it has the label; or why there is none, in a clause with the ConfigMap
    /// as its subject.
    pub(super) fn find(&self, key: Key<'_>, label: &str) -> Result<&'a Arc<ConfigMap>, String> {
        let found = self.by_key.get(&key).copied();
        if let Some(found) = found
            && is_labelled(found, label)
        {
            return Ok(found);
        }
        let object = names::reference(Kind::ConfigMap, key);
        let why = if found.is_some() {
            format!("lacks the label {label}=true")
        } else if self.unreadable.contains_key(&object) {
            "could not be read".to_owned()
        } else if self.origin == Origin::Cluster {
            format!("does not exist or lacks the label {label}=true")
        } else {
            "does not exist".to_owned()
        };
        Err(format!("the {object} {why}"))
    }

    /// Whether it exists, with the label.
    pub(super) fn has(&self, object: &ObjectRef, label: &str) -> bool {
        let found = self.by_key.get(&(&*object.namespace, &*object.name));
        found.is_some_and(|it| is_labelled(it, label))
    }
}

/// Whether two forms of an object are forms of the same one.
pub(super) fn same_object(a: &ConfigMap, b: &ConfigMap) -> bool {
    a.metadata.uid == b.metadata.uid
}

/// Whether they hold the same.
pub(super) fn same_contents(a: &Arc<ConfigMap>, b: &Arc<ConfigMap>) -> bool {
    Arc::ptr_eq(a, b) || (a.data == b.data && a.binary_data == b.binary_data)
}

fn is_labelled(config_map: &ConfigMap, label: &str) -> bool {
    let labels = config_map.metadata.labels.as_ref();
    labels
        .and_then(|it| it.get(label))
        .is_some_and(|it| it == "true")
}
