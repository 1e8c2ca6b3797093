//! What there is for policies to be attached to.
//!
//! A Service belongs to no class, so that it is ours if an Ingress of ours leads there, or if it stands in
//! for what is ours: of two installations side by side only the one that sends requests there has a
//! say about a policy for it.

use std::collections::{BTreeSet, HashMap};

use foldhash::fast::FixedState;
use k8s_openapi::api::networking::v1::Ingress;

use crate::api::policy::{GatewayPolicy, TargetRef};
use crate::api::rules;
use crate::report::policy::PolicyTarget;
use crate::report::{Kind, ObjectRef};
use crate::routing::host::HostPattern;

use super::super::Objects;
use super::super::ingress::Claims;
use super::super::names::{self, Key};
use super::{Attachment, FallbackReference};

/// The objects that may be targets.
pub(super) struct Targets<'a> {
    ingresses: BTreeSet<Key<'a>>,
    /// Of our class, with the hosts of their rules.
    ours: HashMap<Key<'a>, BTreeSet<&'a HostPattern>, FixedState>,
    services: HashMap<Key<'a>, Reached, FixedState>,
}

/// Whose Ingresses lead to a Service, or what they lead to.
#[derive(Clone, Copy, Default)]
struct Reached {
    by_us: bool,
    by_others: bool,
}

/// What a reference leads to.
pub(super) enum Found {
    /// A target of ours.
    Ours(PolicyTarget, Attachment),
    /// Nothing, for this reason.
    Nothing(PolicyTarget, String),
    /// An Ingress of another class, or a Service to which only such Ingresses lead or their policies, as
    /// the sentence says.
    Foreign(String),
    /// The reference cannot be right, which another check says.
    Senseless,
}

impl<'a> Targets<'a> {
    /// `defaults` is the policy of our class, `stand_ins` is which policies have what stand in.
    pub(super) fn new(
        objects: &'a Objects,
        claims: &'a [Claims<'a>],
        defaults: Option<Key<'_>>,
        stand_ins: &'a [(&'a GatewayPolicy, FallbackReference)],
    ) -> Self {
        let ingresses = objects.ingresses.iter();
        let ours = claims.iter().map(|claim| {
            let key: Key<'a> = (&claim.object.namespace, &claim.object.name);
            (key, claim.hosts())
        });
        let mut targets = Self {
            ingresses: ingresses.map(|it| names::key(&**it)).collect(),
            ours: ours.collect(),
            services: HashMap::default(),
        };
        for service in &objects.services {
            let key = names::key(&**service);
            targets.services.insert(key, Reached::default());
        }
        for ingress in &objects.ingresses {
            let (namespace, name) = names::key(&**ingress);
            let ours = targets.ours.contains_key(&(namespace, name));
            for service in services_of(ingress) {
                if let Some(reached) = targets.services.get_mut(&(namespace, service)) {
                    reached.by_us |= ours;
                    reached.by_others |= !ours;
                }
            }
        }
        let named = stand_ins.iter().map(|(policy, stand_in)| {
            let key: Key<'a> = (&stand_in.namespace, &stand_in.service.name);
            (key, targets.reached(policy, defaults))
        });
        for (service, by) in named.collect::<Vec<_>>() {
            if let Some(reached) = targets.services.get_mut(&service) {
                reached.by_us |= by.by_us;
                reached.by_others |= by.by_others;
            }
        }
        targets
    }

    /// Whose what a policy is for is.
    fn reached(&self, policy: &GatewayPolicy, defaults: Option<Key<'_>>) -> Reached {
        let (namespace, name) = names::key(policy);
        let mut whole = Reached {
            by_us: defaults == Some((namespace, name)),
            by_others: false,
        };
        for target in policy.spec.target_refs.iter().flatten() {
            let key = (namespace, target.name.as_str());
            let reached = match target.kind.as_str() {
                "Service" => self.services.get(&key).copied().unwrap_or_default(),
                _ => Reached {
                    by_us: self.ours.contains_key(&key),
                    by_others: self.ingresses.contains(&key) && !self.ours.contains_key(&key),
                },
            };
            whole.by_us |= reached.by_us;
            whole.by_others |= reached.by_others;
        }
        whole
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
            return match self.services.get(&key) {
                Some(Reached { by_us: true, .. }) => {
                    Found::Ours(target, Attachment::Object(object))
                }
                Some(Reached {
                    by_others: true, ..
                }) => Found::Foreign(led_by_others(&object)),
                Some(_) => Found::Nothing(target, unreached(&object)),
                None => Found::Nothing(target, missing(&object)),
            };
        }
        let Some(hosts) = self.ours.get(&key) else {
            return match self.ingresses.contains(&key) {
                true => Found::Foreign(format!("the {object} is of another class")),
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

/// The Services that the backends of an Ingress name.
fn services_of(ingress: &Ingress) -> impl Iterator<Item = &str> {
    let spec = ingress.spec.as_ref();
    let rules = spec.and_then(|spec| spec.rules.as_deref());
    let rules = rules.unwrap_or_default().iter();
    let paths = rules
        .filter_map(|rule| rule.http.as_ref())
        .flat_map(|http| &http.paths);
    let backends = paths.map(|path| &path.backend);
    let default = spec.and_then(|spec| spec.default_backend.as_ref());
    let services = backends
        .chain(default)
        .filter_map(|backend| backend.service.as_ref());
    services.map(|service| service.name.as_str())
}

fn missing(object: &ObjectRef) -> String {
    format!("the {object} does not exist")
}

fn led_by_others(object: &ObjectRef) -> String {
    format!("only Ingresses of other classes lead to the {object}")
}

fn unreached(object: &ObjectRef) -> String {
    format!(
        "neither an Ingress nor a fallback leads to the {object}: the policy applies there once one does"
    )
}
