//! Which statuses of policies are to be written, and which are written and not seen yet.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use super::SETTLE;
use crate::api::policy::GatewayPolicy;
use crate::api::status::GatewayPolicyStatus;
use crate::report::policy::PolicyReport;
use crate::report::{Kind, ObjectRef, Overload};
use crate::status::policy::Speaker;

/// Statuses of policies.
#[derive(Default)]
pub(super) struct Policies {
    wanted: BTreeMap<ObjectRef, GatewayPolicyStatus>,
    /// With the time before which they are not to be repeated.
    written: HashMap<ObjectRef, (GatewayPolicyStatus, Instant)>,
}

impl Policies {
    /// What has to be written, and from when on.
    pub(super) fn plan(
        &mut self,
        (reports, overloads): (&[PolicyReport], &[Overload]),
        policies: &[Arc<GatewayPolicy>],
        (controller, field_manager): (&str, &str),
        now: Instant,
    ) -> BTreeMap<ObjectRef, Instant> {
        let time = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let speaker = Speaker {
            controller,
            now: &time,
            overloads,
        };
        let current: HashMap<ObjectRef, &GatewayPolicy> = policies
            .iter()
            .map(|policy| (key(policy), &**policy))
            .collect();
        let unseen = GatewayPolicyStatus::default();
        self.wanted.clear();
        let mut due = BTreeMap::new();
        for report in reports {
            let Some(policy) = current.get(&report.object) else {
                continue;
            };
            let status = policy.status.as_ref().unwrap_or(&unseen);
            let Some(wanted) = speaker.wanted(report, status, owns(policy, field_manager)) else {
                self.written.remove(&report.object);
                continue;
            };
            let written = self.written.get(&report.object);
            let written = written.filter(|(written, _)| is_same(written, &wanted));
            due.insert(
                report.object.clone(),
                written.map_or(now, |(_, until)| *until),
            );
            self.wanted.insert(report.object.clone(), wanted);
        }
        self.written
            .retain(|policy, _| current.contains_key(policy));
        due
    }

    /// What is to be written on a policy.
    pub(super) fn wanted(&self, policy: &ObjectRef) -> Option<&GatewayPolicyStatus> {
        self.wanted.get(policy)
    }

    /// This was written: the watch will show it.
    pub(super) fn remember(&mut self, policy: &ObjectRef, status: GatewayPolicyStatus) {
        let until = Instant::now() + SETTLE;
        self.written.insert(policy.clone(), (status, until));
    }

    pub(super) fn forget(&mut self) {
        self.written.clear();
    }
}

/// Whether both say the same, whenever it became so.
fn is_same(a: &GatewayPolicyStatus, b: &GatewayPolicyStatus) -> bool {
    let timeless = |status: &GatewayPolicyStatus| {
        let mut status = status.clone();
        let ancestors = status.ancestors.iter_mut().flatten();
        let nested = ancestors.filter_map(|it| it.conditions.as_mut());
        for condition in status.conditions.iter_mut().chain(nested).flatten() {
            condition.last_transition_time.clear();
        }
        status
    };
    timeless(a) == timeless(b)
}

/// Whether conditions on the policy are of this manager; of its entries only those are kept.
fn owns(policy: &GatewayPolicy, field_manager: &str) -> bool {
    let entries = policy.metadata.managed_fields.as_deref();
    entries.unwrap_or_default().iter().any(|entry| {
        entry.manager.as_deref() == Some(field_manager)
            && entry.subresource.as_deref() == Some("status")
    })
}

fn key(policy: &GatewayPolicy) -> ObjectRef {
    let metadata = &policy.metadata;
    ObjectRef {
        kind: Kind::GatewayPolicy,
        namespace: metadata.namespace.as_deref().unwrap_or_default().into(),
        name: metadata.name.as_deref().unwrap_or_default().into(),
    }
}
