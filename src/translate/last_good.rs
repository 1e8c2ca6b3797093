//! What one translation leaves to the next.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use kube::Resource;

use crate::report::{Kind, ObjectRef, Unreadable};

use super::Objects;
use super::authority::KnownAuthorities;
use super::certificate::Parsed;
use super::names;
use super::pages::KnownPages;
use super::policy::KnownSections;

/// The last good form of each object that exists, and what was read from them before: certificates,
/// authorities, sections of policies, error pages.
///
/// Cheap to clone. The default is that of a process that has seen nothing yet.
#[derive(Clone, Default)]
pub struct LastGood {
    /// Each existing object in its last readable form; nothing is unreadable in there.
    objects: Arc<Objects>,
    certificates: Arc<Parsed>,
    authorities: Arc<KnownAuthorities>,
    sections: Arc<KnownSections>,
    pages: Arc<KnownPages>,
}

impl fmt::Debug for LastGood {
    /// Never shows a Secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LastGood").finish_non_exhaustive()
    }
}

impl LastGood {
    /// The objects, with those that cannot be read any more in their last good form.
    pub(super) fn complete(&self, now: &Objects) -> Objects {
        let Objects {
            ingresses,
            classes,
            services,
            slices,
            secrets,
            config_maps,
            policies,
            unreadable,
        } = now;
        let last = &self.objects;
        Objects {
            ingresses: with_last(Kind::Ingress, ingresses, &last.ingresses, unreadable),
            classes: with_last(Kind::IngressClass, classes, &last.classes, unreadable),
            services: with_last(Kind::Service, services, &last.services, unreadable),
            slices: with_last(Kind::EndpointSlice, slices, &last.slices, unreadable),
            secrets: with_last(Kind::Secret, secrets, &last.secrets, unreadable),
            config_maps: with_last(Kind::ConfigMap, config_maps, &last.config_maps, unreadable),
            policies: with_last(Kind::GatewayPolicy, policies, &last.policies, unreadable),
            unreadable: unreadable.clone(),
        }
    }

    pub(super) fn certificates(&self) -> &Parsed {
        &self.certificates
    }

    pub(super) fn authorities(&self) -> &KnownAuthorities {
        &self.authorities
    }

    pub(super) fn sections(&self) -> &KnownSections {
        &self.sections
    }

    pub(super) fn pages(&self) -> &KnownPages {
        &self.pages
    }

    /// What the next translation starts from.
    pub(super) fn next(
        &self,
        mut objects: Objects,
        (certificates, authorities): (Parsed, KnownAuthorities),
        (sections, pages): (KnownSections, KnownPages),
    ) -> Self {
        objects.unreadable.clear();
        Self {
            objects: Arc::new(objects),
            certificates: Arc::new(certificates),
            authorities: Arc::new(authorities),
            sections: Arc::new(sections),
            pages: Arc::new(pages),
        }
    }
}

fn with_last<K>(kind: Kind, now: &[Arc<K>], last: &[Arc<K>], unreadable: &Unreadable) -> Vec<Arc<K>>
where
    K: Resource,
{
    let missing = unreadable.iter().filter(|(it, _)| it.kind == kind);
    let mut missing: BTreeMap<&ObjectRef, &str> =
        missing.map(|(it, uid)| (it, uid.as_str())).collect();
    let mut complete = now.to_vec();
    if missing.is_empty() {
        return complete;
    }
    for object in now {
        missing.remove(&reference(kind, object));
    }
    // One that was created anew is another.
    let kept = last.iter().filter(|object| {
        let uid = object.meta().uid.as_deref().unwrap_or_default();
        missing.get(&reference(kind, object)) == Some(&uid)
    });
    complete.extend(kept.cloned());
    complete
}

fn reference<K>(kind: Kind, object: &Arc<K>) -> ObjectRef
where
    K: Resource,
{
    let (namespace, name) = names::key(&**object);
    let namespace = if kind == Kind::IngressClass {
        ""
    } else {
        namespace
    };
    names::reference(kind, (namespace, name))
}
