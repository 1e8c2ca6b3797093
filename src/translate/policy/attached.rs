//! One policy: what it says, and what became of it.

use std::collections::BTreeSet;

use crate::api::policy::{GatewayPolicy, TargetRef};
use crate::api::rules;
use crate::report::policy::{Defect, Instead, PolicyTarget, Rejection};
use crate::report::{Kind, ObjectRef};
use crate::routing::snapshot::UpstreamId;

use super::super::names;
use super::{Attachment, KnownSections, Sections};

/// The field that is no section.
const TARGETS: &str = "targetRefs";

/// One policy.
pub(super) struct Attached {
    pub(super) object: ObjectRef,
    pub(super) uid: Option<String>,
    pub(super) generation: i64,
    pub(super) sections: Sections,
    pub(super) defects: Vec<Defect>,
    /// The fields that are not known: a sentence each.
    pub(super) unknown: Vec<String>,
    pub(super) unresolved: Vec<String>,
    /// Where it is attached, or why not.
    pub(super) targets: Vec<(PolicyTarget, Result<Attachment, Rejection>)>,
    pub(super) foreign: Vec<String>,
    pub(super) limited: BTreeSet<UpstreamId>,
}

impl Attached {
    /// What a policy says, before it is attached.
    pub(super) fn read(policy: &GatewayPolicy, last: &KnownSections) -> Self {
        let object = names::reference(Kind::GatewayPolicy, names::key(policy));
        let identity = (object.clone(), policy.metadata.uid.clone());
        let (sections, mut defects) = Sections::read(policy, last.get(&identity));
        let refs = policy.spec.target_refs.as_deref().unwrap_or_default();
        defects.extend(target_defects(refs));
        Self {
            generation: policy.metadata.generation.unwrap_or_default(),
            sections,
            defects,
            unknown: policy.spec.reading.unknown.clone(),
            unresolved: Vec::new(),
            targets: Vec::new(),
            foreign: Vec::new(),
            limited: BTreeSet::new(),
            object,
            uid: identity.1,
        }
    }

    /// Whether it asks for TLS in a way that cannot be right, and never did in another.
    pub(super) fn is_wrong_about_tls(&self) -> bool {
        let mut defects = self.defects.iter();
        defects.any(|it| it.instead == Instead::NothingSent)
    }
}

fn target_defects(targets: &[TargetRef]) -> Vec<Defect> {
    let broken: BTreeSet<&str> = targets
        .iter()
        .flat_map(|target| rules::broken(rules::TARGET, target))
        .collect();
    let defects = broken.into_iter();
    defects
        .map(|why| Defect {
            section: TARGETS,
            why: why.to_owned(),
            instead: Instead::NoEffect,
        })
        .collect()
}
