//! What stands on the objects when a replica begins to lead.
//!
//! Trouble does not end because another replica tells of it, and must not be told anew by it.

use std::collections::BTreeMap;

use crate::api::status::{Ancestor, Condition, GatewayPolicyStatus};
use crate::diagnose::wording;
use crate::failure::Trouble;
use crate::report::policy::PolicyTarget;
use crate::report::{Kind, ObjectRef};

use super::Verdict;

/// What is said of one object, or of one target of a policy.
type Place = (ObjectRef, Option<PolicyTarget>);

/// What stands somewhere.
#[derive(Clone, Debug)]
pub struct Seed {
    pub(super) verdict: Verdict,
    pub(super) since: u64,
}

/// What stands everywhere.
#[derive(Clone, Debug, Default)]
pub struct Seeds(BTreeMap<Place, Vec<Seed>>);

impl Seeds {
    /// Adds what stands on a policy, as this controller wrote it.
    pub fn policy(&mut self, object: &ObjectRef, status: &GatewayPolicyStatus, controller: &str) {
        self.add((object.clone(), None), status.conditions.as_deref());
        let ancestors = status.ancestors.iter().flatten();
        for ancestor in ancestors.filter(|it| it.controller_name == controller) {
            if let Some(target) = target(ancestor) {
                let place = (object.clone(), Some(target));
                self.add(place, ancestor.conditions.as_deref());
            }
        }
    }

    /// Adds the error that stands on the ports of an Ingress.
    pub fn ingress(&mut self, object: &ObjectRef, error: &str) {
        let mut troubles = Trouble::ALL.into_iter();
        if let Some(trouble) = troubles.find(|it| it.port_error() == error) {
            let verdict = Verdict {
                condition: trouble.condition(),
                status: Some(true),
                reason: wording::NOT_KNOWN,
                message: String::new(),
            };
            let seed = Seed { verdict, since: 0 };
            self.0.insert((object.clone(), None), vec![seed]);
        }
    }

    pub(super) fn objects(&self) -> impl Iterator<Item = &ObjectRef> {
        self.0.keys().map(|(object, _)| object)
    }

    pub(super) fn take(&mut self, object: &ObjectRef, target: Option<&PolicyTarget>) -> Vec<Seed> {
        let place = (object.clone(), target.cloned());
        self.0.remove(&place).unwrap_or_default()
    }

    fn add(&mut self, place: Place, conditions: Option<&[Condition]>) {
        let conditions = conditions.unwrap_or_default().iter();
        let seeds: Vec<Seed> = conditions.filter_map(seed).collect();
        if !seeds.is_empty() {
            self.0.insert(place, seeds);
        }
    }
}

fn seed(condition: &Condition) -> Option<Seed> {
    let troubles = Trouble::ALL.map(Trouble::condition);
    let mut known = troubles
        .into_iter()
        .chain([wording::UPSTREAMS_HEALTHY, wording::CIRCUIT_BREAKER_OPEN]);
    let since = condition.last_transition_time.parse::<jiff::Timestamp>();
    let since = since.ok().and_then(|it| u64::try_from(it.as_second()).ok());
    Some(Seed {
        verdict: Verdict {
            condition: known.find(|it| *it == condition.type_)?,
            status: match condition.status.as_str() {
                "True" => Some(true),
                "False" => Some(false),
                _ => None,
            },
            reason: wording::reason(&condition.reason),
            message: condition.message.clone(),
        },
        since: since.unwrap_or(0),
    })
}

fn target(ancestor: &Ancestor) -> Option<PolicyTarget> {
    let reference = &ancestor.ancestor_ref;
    Some(PolicyTarget {
        object: ObjectRef {
            kind: Kind::parse(&reference.kind)?,
            namespace: reference.namespace.as_deref().unwrap_or_default().into(),
            name: reference.name.as_str().into(),
        },
        section_name: reference.section_name.clone(),
    })
}
