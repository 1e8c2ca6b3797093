//! Which statuses of policies are to be written, and which are written and not seen yet.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;
use tracing::warn;

use super::memory::Memory;
use crate::api::policy::GatewayPolicy;
use crate::api::status::GatewayPolicyStatus;
use crate::diagnose::judge::Judged;
use crate::report::policy::PolicyReport;
use crate::report::{Kind, ObjectRef};
use crate::status::policy::{Share, Speaker, Standing};
use crate::stores::ownership;

/// How long another installation has to speak of a policy that is for it before we say that it is not
/// for us, and of a new generation before it counts as gone: most do, and then nothing need be taken back.
const COURTESY: Duration = Duration::from_secs(30);

/// Statuses of policies.
pub(super) struct Policies {
    /// Policies of which another controller may be about to speak, with when we do.
    elsewhere: HashMap<ObjectRef, Instant>,
    /// Policies of whose newest generation others have not spoken yet, with when they count no more.
    behind: HashMap<ObjectRef, (i64, Instant)>,
    wanted: BTreeMap<ObjectRef, GatewayPolicyStatus>,
    /// Without times.
    written: Memory<GatewayPolicyStatus>,
}

impl Policies {
    pub(super) fn new() -> Self {
        Self {
            elsewhere: HashMap::new(),
            behind: HashMap::new(),
            wanted: BTreeMap::new(),
            written: Memory::new(),
        }
    }

    /// What has to be written, and from when on.
    pub(super) fn plan(
        &mut self,
        (reports, judged): (&[PolicyReport], &Judged),
        policies: &[Arc<GatewayPolicy>],
        (installation, field_manager): (&str, &str),
        now: Instant,
    ) -> BTreeMap<ObjectRef, Instant> {
        let time = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let speaker = Speaker {
            installation,
            now: &time,
            judged,
        };
        let current: HashMap<ObjectRef, &GatewayPolicy> = policies
            .iter()
            .map(|policy| (key(policy), &**policy))
            .collect();
        let unseen = GatewayPolicyStatus::default();
        self.wanted.clear();
        let mut due = BTreeMap::new();
        for report in reports.iter().filter(|it| judged.has_looked_at(it)) {
            let Some(policy) = current.get(&report.object) else {
                continue;
            };
            let status = policy.status.as_ref().unwrap_or(&unseen);
            let behind = speaker.others_are_behind(report.generation, status);
            let standing = Standing {
                status,
                ours: share(policy, field_manager),
                is_settled: self.is_settled(report, behind, now),
            };
            let Some(wanted) = speaker.wanted(report, standing) else {
                continue;
            };
            let mut from = self.written.due(&report.object, &timeless(&wanted), now);
            if report.is_elsewhere() && wanted.conditions.is_some() {
                let ours = self.elsewhere.entry(report.object.clone());
                from = from.max(*ours.or_insert(now + COURTESY));
            } else {
                self.elsewhere.remove(&report.object);
            }
            due.insert(report.object.clone(), from);
            self.wanted.insert(report.object.clone(), wanted);
        }
        self.written.retain(|policy| current.contains_key(policy));
        let wanted = &self.wanted;
        self.written
            .prune(|policy| wanted.contains_key(policy), now);
        self.elsewhere
            .retain(|policy, _| current.contains_key(policy));
        self.behind.retain(|policy, _| current.contains_key(policy));
        due
    }

    /// Whether others have had the time to speak of the newest generation.
    fn is_settled(&mut self, report: &PolicyReport, behind: bool, now: Instant) -> bool {
        if !behind {
            self.behind.remove(&report.object);
            return true;
        }
        let new = (report.generation, now + COURTESY);
        let since = self.behind.entry(report.object.clone()).or_insert(new);
        if since.0 != report.generation {
            *since = new;
        }
        now >= since.1
    }

    /// What is to be written on a policy.
    pub(super) fn wanted(&self, policy: &ObjectRef) -> Option<&GatewayPolicyStatus> {
        self.wanted.get(policy)
    }

    /// This was written: the watch will show it.
    pub(super) fn remember(
        &mut self,
        policy: &ObjectRef,
        status: &GatewayPolicyStatus,
        now: Instant,
    ) {
        if self.written.remember(policy, timeless(status), now) {
            warn!(%policy, "somebody else keeps changing the status here: writing ours less often");
        }
    }

    pub(super) fn forget(&mut self) {
        self.elsewhere.clear();
        self.behind.clear();
        self.written.clear();
    }
}

/// What is said, whenever it became so.
fn timeless(status: &GatewayPolicyStatus) -> GatewayPolicyStatus {
    let mut status = status.clone();
    let ancestors = status.ancestors.iter_mut().flatten();
    let nested = ancestors.filter_map(|it| it.conditions.as_mut());
    for condition in status.conditions.iter_mut().chain(nested).flatten() {
        condition.last_transition_time.clear();
    }
    status
}

/// How much of the conditions on the policy is of this manager.
fn share(policy: &GatewayPolicy, field_manager: &str) -> Share {
    let metadata = &policy.metadata;
    match ownership::has_status(metadata, field_manager) {
        true if ownership::has_the_words(metadata, field_manager) => Share::Words,
        true => Share::Part,
        false => Share::Nothing,
    }
}

fn key(policy: &GatewayPolicy) -> ObjectRef {
    let metadata = &policy.metadata;
    ObjectRef {
        kind: Kind::GatewayPolicy,
        namespace: metadata.namespace.as_deref().unwrap_or_default().into(),
        name: metadata.name.as_deref().unwrap_or_default().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::generations::Reach;

    fn policy() -> Arc<GatewayPolicy> {
        let policy = serde_json::json!({
            "apiVersion": "bywash.dev/v1alpha1", "kind": "GatewayPolicy",
            "metadata": {"name": "p", "namespace": "shop", "generation": 1}, "spec": {},
        });
        Arc::new(serde_json::from_value(policy).unwrap())
    }

    fn report(policy: &GatewayPolicy, foreign: &[&str]) -> PolicyReport {
        PolicyReport {
            object: key(policy),
            generation: 1,
            defects: Vec::new(),
            unresolved: Vec::new(),
            targets: Vec::new(),
            foreign: foreign.iter().map(|why| (*why).to_owned()).collect(),
            limited: Vec::new(),
        }
    }

    /// Served by every replica.
    fn looked_at(report: &PolicyReport) -> Judged {
        let reach = Reach {
            generation: report.generation,
            behind: Vec::new(),
        };
        Judged {
            reach: BTreeMap::from([(report.object.clone(), reach)]),
            ..Judged::default()
        }
    }

    const NAMES: (&str, &str) = ("ours", "ours");

    #[test]
    fn a_status_that_somebody_takes_away_is_not_written_again_at_once() {
        let bare = policy();
        let report = [report(&bare, &[])];
        let mut policies = Policies::new();
        let now = Instant::now();
        let plan = |policies: &mut Policies, policy: &Arc<GatewayPolicy>| {
            let due = policies.plan(
                (&report, &looked_at(&report[0])),
                &[Arc::clone(policy)],
                NAMES,
                now,
            );
            due.into_values().next()
        };
        assert_eq!(plan(&mut policies, &bare), Some(now));
        let status = policies.wanted(&key(&bare)).unwrap().clone();
        policies.remember(&key(&bare), &status, Instant::now());
        let told = Arc::new(GatewayPolicy {
            status: Some(status),
            ..GatewayPolicy::clone(&bare)
        });
        assert_eq!(plan(&mut policies, &told), None);
        assert!(plan(&mut policies, &bare) > Some(now));
    }

    #[test]
    fn nothing_is_said_of_a_generation_before_it_is_known_who_serves_it() {
        let policy = policy();
        let now = Instant::now();
        let newer = PolicyReport {
            generation: 2,
            ..report(&policy, &[])
        };
        let due = |judged: &Judged| {
            let reports = std::slice::from_ref(&newer);
            let mut policies = Policies::new();
            let due = policies.plan((reports, judged), &[Arc::clone(&policy)], NAMES, now);
            due.len()
        };
        assert_eq!(due(&looked_at(&report(&policy, &[]))), 0);
        assert_eq!(due(&looked_at(&newer)), 1);
    }

    #[test]
    fn others_that_do_not_follow_a_policy_to_its_new_generation_count_no_more_after_a_while() {
        let policy = policy();
        let mut policies = Policies::new();
        let start = Instant::now();
        let mut settled = |generation, behind, seconds| {
            let report = PolicyReport {
                generation,
                ..report(&policy, &[])
            };
            policies.is_settled(&report, behind, start + Duration::from_secs(seconds))
        };
        assert!(settled(1, false, 0));
        assert!(!settled(2, true, 10));
        assert!(!settled(2, true, 39));
        assert!(settled(2, true, 40));
        assert!(!settled(3, true, 41));
        assert!(settled(3, false, 42));
        assert!(!settled(4, true, 80));
    }

    #[test]
    fn another_controller_may_speak_first_of_what_may_be_its_own() {
        let policy = policy();
        let report = |foreign: &[&str]| report(&policy, foreign);
        let mut policies = Policies::new();
        let start = Instant::now();
        let mut due = |report: PolicyReport, seconds| {
            let now = start + Duration::from_secs(seconds);
            let due = policies.plan(
                (std::slice::from_ref(&report), &looked_at(&report)),
                &[Arc::clone(&policy)],
                NAMES,
                now,
            );
            due.into_values()
                .next()
                .unwrap()
                .duration_since(start)
                .as_secs()
        };
        let theirs = ["the Ingress shop/web is of another class"];
        assert_eq!(due(report(&theirs), 0), 30);
        assert_eq!(due(report(&theirs), 10), 30);
        assert_eq!(due(report(&[]), 20), 20);
        assert_eq!(due(report(&theirs), 40), 70);
    }
}
