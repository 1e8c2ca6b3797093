//! What there is for policies to be attached to.

use std::collections::{BTreeSet, HashMap};

use foldhash::fast::FixedState;

use crate::api::policy::TargetRef;
use crate::api::rules;
use crate::report::policy::PolicyTarget;
use crate::report::{Kind, ObjectRef};
use crate::routing::host::HostPattern;

use super::super::Objects;
use super::super::ingress::Claims;
use super::super::names::{self, Key};
use super::Attachment;

/// The objects that may be targets.
pub(super) struct Targets<'a> {
    ingresses: BTreeSet<Key<'a>>,
    /// Of our class, with the hosts of their rules.
    ours: HashMap<Key<'a>, BTreeSet<&'a HostPattern>, FixedState>,
    services: BTreeSet<Key<'a>>,
}

/// What a reference leads to.
pub(super) enum Found {
    /// A target of ours.
    Ours(PolicyTarget, Attachment),
    /// Nothing, for this reason.
    Nothing(PolicyTarget, String),
    /// An Ingress of another class.
    Foreign,
    /// The reference cannot be right, which another check says.
    Senseless,
}

impl<'a> Targets<'a> {
    pub(super) fn new(objects: &'a Objects, claims: &'a [Claims<'a>]) -> Self {
        let ingresses = objects.ingresses.iter();
        let services = objects.services.iter();
        let ours = claims.iter().map(|claim| {
            let key: Key<'a> = (&claim.object.namespace, &claim.object.name);
            (key, claim.hosts())
        });
        Self {
            ingresses: ingresses.map(|it| names::key(&**it)).collect(),
            ours: ours.collect(),
            services: services.map(|it| names::key(&**it)).collect(),
        }
    }

    /// Looks a target up in the policy's own namespace.
    pub(super) fn find(&self, namespace: &str, reference: &TargetRef) -> Found {
        if rules::broken(rules::TARGET, reference).next().is_some() {
            return Found::Senseless;
        }
        let key = (namespace, reference.name.as_str());
        let kind = match reference.kind.as_str() {
            "Service" => Kind::Service,
            _ => Kind::Ingress,
        };
        let object = names::reference(kind, key);
        let target = PolicyTarget {
            object: object.clone(),
            section_name: reference.section_name.clone(),
        };
        if kind == Kind::Service {
            return match self.services.contains(&key) {
                true => Found::Ours(target, Attachment::Object(object)),
                false => Found::Nothing(target, missing(&object)),
            };
        }
        let Some(hosts) = self.ours.get(&key) else {
            return match self.ingresses.contains(&key) {
                true => Found::Foreign,
                false => Found::Nothing(target, missing(&object)),
            };
        };
        let Some(section) = &reference.section_name else {
            return Found::Ours(target, Attachment::Object(object));
        };
        match host(section).filter(|host| hosts.contains(host)) {
            Some(host) => Found::Ours(target, Attachment::Host(object, host)),
            None => {
                let why = format!("the {object} has no rule for the host '{section}'");
                Found::Nothing(target, why)
            }
        }
    }
}

/// The host that a `sectionName` means.
fn host(section: &str) -> Option<HostPattern> {
    match section {
        "*" => Some(HostPattern::Any),
        _ => HostPattern::parse(section).ok(),
    }
}

fn missing(object: &ObjectRef) -> String {
    format!("the {object} does not exist")
}
