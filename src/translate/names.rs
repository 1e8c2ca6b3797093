//! Names of objects.
//!
//! A namespace is repeated by every object in it, and a Service's name by every route to it: each text
//! is kept once per translation and shared from there.

use std::collections::HashSet;
use std::sync::Arc;

use foldhash::fast::FixedState;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;

use crate::report::{Kind, ObjectRef};

/// Texts that were seen before.
#[derive(Default)]
pub(super) struct Names(HashSet<Arc<str>, FixedState>);

impl Names {
    /// The shared form of a text.
    pub(super) fn share(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = text.into();
        self.0.insert(Arc::clone(&new));
        new
    }

    /// What a namespaced object is called.
    pub(super) fn reference(&mut self, kind: Kind, metadata: &ObjectMeta) -> ObjectRef {
        ObjectRef {
            kind,
            namespace: self.share(namespace(metadata)),
            name: self.share(name(metadata)),
        }
    }
}

/// Namespace and name of an object, to look it up by.
pub(super) type Key<'a> = (&'a str, &'a str);

/// The key of a namespaced object.
pub(super) fn key<K>(object: &K) -> Key<'_>
where
    K: Resource,
{
    (namespace(object.meta()), name(object.meta()))
}

/// What an object is called.
pub(super) fn reference(kind: Kind, (namespace, name): Key<'_>) -> ObjectRef {
    let (namespace, name) = (namespace.into(), name.into());
    ObjectRef {
        kind,
        namespace,
        name,
    }
}

/// The namespace of a namespaced object; a manifest without one means `default`, as for kubectl.
pub(super) fn namespace(metadata: &ObjectMeta) -> &str {
    metadata.namespace.as_deref().unwrap_or("default")
}

/// The name of an object.
pub(super) fn name(metadata: &ObjectMeta) -> &str {
    metadata.name.as_deref().unwrap_or_default()
}
