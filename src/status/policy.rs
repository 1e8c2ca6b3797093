//! The status that a GatewayPolicy should have: a pure function of what became of it.
//!
//! The conditions at the top are about the whole policy, `ancestors` about each target. Ready is the
//! sum of the other three and never depends on traffic. Stalled is true only while the author alone
//! can repair the policy: a target or another object that it names and that does not exist yet may
//! still be on its way, a section that cannot be right is not.
//!
//! Several installations may have targets in one policy, and two of them one controller name: each speaks
//! as itself, with the name of its class. Each keeps its own entries in `ancestors`
//! and leaves those of others as they are; the first of them by name writes what is at the top. While
//! none of them has a target, because none exists or all are those of other controllers, all of them
//! say so there, and take it back once one of them has one. Entries that have not followed the policy to its
//! newest generation in time are of installations that are gone: they stay, and count no more.

use std::collections::BTreeSet;

use super::wanted::shorten;
use crate::api::status::{
    self, Ancestor, AncestorRef, Condition, EffectiveSection, GatewayPolicyStatus,
};
use crate::diagnose::judge::Judged;
use crate::report::Kind;
use crate::report::policy::{PolicyReport, Rejection, TargetReport};

mod traffic;

use traffic::{PENDING, is_good};

/// As many targets as are told.
const MOST_ANCESTORS: usize = 16;

/// A target may still be on its way.
const TARGET_NOT_FOUND: &str = "TargetNotFound";

/// So may an object that a section names, or its repair.
const REF_NOT_FOUND: &str = "RefNotFound";

/// What is said of a policy or a target.
struct Verdict {
    good: bool,
    reason: &'static str,
    message: String,
}

/// Who says it, about which generation, and when.
#[derive(Clone, Copy)]
pub(super) struct Speaker<'a> {
    /// The installation.
    pub(super) installation: &'a str,
    /// As Kubernetes writes times.
    pub(super) now: &'a str,
    /// What is known of requests and of other replicas.
    pub(super) judged: &'a Judged,
}

/// What a policy says already.
#[derive(Clone, Copy)]
pub(super) struct Standing<'a> {
    pub(super) status: &'a GatewayPolicyStatus,
    pub(super) ours: Share,
    /// Others have had the time to speak of its newest generation.
    pub(super) is_settled: bool,
}

/// How much of its conditions is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    Nothing,
    /// What is said of a policy without targets is said by every installation, and taken back when one of
    /// them has it.
    Part,
    /// The words too: if they are no longer right, nobody else corrects them.
    Words,
}

impl Speaker<'_> {
    /// The part of the status that is ours, with the entries of others; absent where that is what the
    /// policy has already.
    pub(super) fn wanted(
        self,
        report: &PolicyReport,
        standing: Standing<'_>,
    ) -> Option<GatewayPolicyStatus> {
        let current = standing.status;
        let listed = current.ancestors.iter().flatten();
        let (mine, others): (Vec<&Ancestor>, Vec<&Ancestor>) =
            listed.partition(|it| it.controller_name == self.installation);
        let lives = |it: &&Ancestor| !standing.is_settled || !is_behind(it, report.generation);
        let living: Vec<&Ancestor> = others.iter().copied().filter(lives).collect();
        let mut ancestors: Vec<Ancestor> = report
            .targets
            .iter()
            .filter(|target| !target.is_missing())
            .map(|target| self.ancestor(target, report, &mine))
            .collect();
        let has = !ancestors.is_empty();
        ancestors.sort_by_key(is_good);
        // What others say is theirs to leave out.
        let room = MOST_ANCESTORS.saturating_sub(others.len());
        let left_out = ancestors.len().saturating_sub(room);
        ancestors.truncate(room);
        ancestors.extend(others.iter().map(|other| (*other).clone()));
        ancestors.sort_by(|a, b| a.controller_name.cmp(&b.controller_name));

        let first = living
            .iter()
            .all(|it| *it.controller_name > *self.installation);
        let concerned = has || living.is_empty();
        let known = current.conditions.as_deref().unwrap_or_default();
        let conditions = (first && concerned).then(|| self.conditions(report, known));
        let silent = mine.is_empty() && !has;
        let wanted = GatewayPolicyStatus {
            observed_generation: conditions.is_some().then_some(report.generation),
            conditions,
            ancestors: (!silent).then_some(ancestors),
            ancestors_left_out: i64::try_from(left_out).ok().filter(|it| *it > 0 && !silent),
        };
        let speaks = Speaks {
            has,
            shared: !others.is_empty(),
        };
        (!is_said((&wanted, speaks), standing)).then_some(wanted)
    }

    /// Whether entries of others are about an older generation.
    pub(super) fn others_are_behind(self, generation: i64, current: &GatewayPolicyStatus) -> bool {
        let mut listed = current.ancestors.iter().flatten();
        listed.any(|it| it.controller_name != self.installation && is_behind(it, generation))
    }

    fn conditions(self, report: &PolicyReport, known: &[Condition]) -> Vec<Condition> {
        let (accepted, resolved, mut programmed) =
            (accepted(report), resolved(report), programmed(report));
        let pending = self.pending(&report.object, report.generation, known);
        if let Some(pending) = pending.filter(|_| programmed.good) {
            programmed = pending;
        }
        let bad = [&accepted, &resolved, &programmed]
            .into_iter()
            .find(|verdict| !verdict.good);
        let ready = match bad {
            Some(bad) => Verdict {
                good: false,
                reason: bad.reason,
                message: bad.message.clone(),
            },
            None => good("Ready", "in force as written".to_owned()),
        };
        // Where it stands already it is made False: removing it could leave another writer's.
        let passing = [TARGET_NOT_FOUND, REF_NOT_FOUND, PENDING];
        let stalls = !ready.good && !passing.contains(&ready.reason);
        let stalled = (stalls || known.iter().any(|it| it.type_ == "Stalled")).then(|| Verdict {
            good: stalls,
            reason: ready.reason,
            message: ready.message.clone(),
        });
        let verdicts = [
            ("Accepted", Some(accepted)),
            ("ResolvedRefs", Some(resolved)),
            ("Programmed", Some(programmed)),
            ("Ready", Some(ready)),
            ("Stalled", stalled),
        ];
        let verdicts = verdicts.into_iter();
        let conditions = verdicts.filter_map(|(name, verdict)| {
            Some(self.condition(name, verdict?, report.generation, known))
        });
        let said = self.judged.said.policies.get(&report.object);
        let observed = self.observed(said, report.generation, known);
        conditions.chain(observed).collect()
    }

    fn ancestor(
        self,
        target: &TargetReport,
        report: &PolicyReport,
        mine: &[&Ancestor],
    ) -> Ancestor {
        let generation = report.generation;
        let object = &target.target.object;
        let ancestor_ref = AncestorRef {
            group: target.target.group().to_owned(),
            kind: object.kind.as_str().to_owned(),
            namespace: (object.kind != Kind::IngressClass).then(|| object.namespace.to_string()),
            name: object.name.to_string(),
            section_name: target.target.section_name.clone(),
        };
        let before = mine.iter().find(|it| it.ancestor_ref == ancestor_ref);
        let known = before.and_then(|it| it.conditions.as_deref());
        let verdict = match &target.rejection {
            None => good("Accepted", "the policy applies here".to_owned()),
            Some(rejection) => rejected(rejection),
        };
        let sections = target.sections.iter().map(|section| EffectiveSection {
            name: section.name.to_owned(),
            origin: match &section.origin {
                Some(origin) => shorten(&origin.to_string(), status::LONGEST_ORIGIN),
                None => "built-in".to_owned(),
            },
            values: shorten(&section.values, status::LONGEST_VALUES),
        });
        let sections: Vec<EffectiveSection> = sections.collect();
        let known = known.unwrap_or_default();
        let place = (report.object.clone(), target.target.clone());
        let said = self.judged.said.targets.get(&place);
        let said = said.filter(|_| target.rejection.is_none());
        let mut conditions = vec![self.condition("Accepted", verdict, generation, known)];
        conditions.extend(self.observed(said, generation, known));
        Ancestor {
            ancestor_ref,
            controller_name: self.installation.to_owned(),
            conditions: Some(conditions),
            sections: (!sections.is_empty()).then_some(sections),
            upstreams: traffic::upstreams(said),
        }
    }

    /// A condition that is true or false since when it became so.
    fn condition(
        self,
        name: &str,
        verdict: Verdict,
        generation: i64,
        known: &[Condition],
    ) -> Condition {
        let status = if verdict.good { "True" } else { "False" };
        let before = known.iter().find(|it| it.type_ == name);
        let since = before.filter(|it| it.status == status);
        Condition {
            type_: name.to_owned(),
            status: status.to_owned(),
            reason: verdict.reason.to_owned(),
            message: shorten(&verdict.message, status::LONGEST_MESSAGE),
            last_transition_time: since
                .map_or_else(|| self.now.to_owned(), |it| it.last_transition_time.clone()),
            observed_generation: Some(generation),
        }
    }
}

fn good(reason: &'static str, message: String) -> Verdict {
    Verdict {
        good: true,
        reason,
        message,
    }
}

fn bad(reason: &'static str, message: String) -> Verdict {
    Verdict {
        good: false,
        reason,
        message,
    }
}

fn rejected(rejection: &Rejection) -> Verdict {
    let reason = match rejection {
        Rejection::Conflicted(_) => "Conflicted",
        Rejection::NotFound(_) => TARGET_NOT_FOUND,
    };
    bad(reason, rejection.to_string())
}

fn accepted(report: &PolicyReport) -> Verdict {
    if let Some(invalid) = invalid(report) {
        return invalid;
    }
    let rejections = || report.targets.iter().filter_map(|it| it.rejection.as_ref());
    let conflict = rejections().find(|it| matches!(it, Rejection::Conflicted(_)));
    if let Some(rejection) = conflict.or_else(|| rejections().next()) {
        return rejected(rejection);
    }
    if report.is_elsewhere() {
        return bad(TARGET_NOT_FOUND, report.foreign.join("; "));
    }
    if report.targets.is_empty() {
        let message = "it has no targetRefs and no IngressClass names it: add a target";
        return bad("NoTarget", message.to_owned());
    }
    good(
        "Accepted",
        "understood, and the first on each target".to_owned(),
    )
}

fn resolved(report: &PolicyReport) -> Verdict {
    let rejections = report.targets.iter().filter_map(|it| it.rejection.as_ref());
    let missing: BTreeSet<&str> = rejections
        .filter_map(|rejection| match rejection {
            Rejection::NotFound(why) => Some(why.as_str()),
            Rejection::Conflicted(_) => None,
        })
        .collect();
    let reason = match missing.is_empty() {
        true => REF_NOT_FOUND,
        false => TARGET_NOT_FOUND,
    };
    let unresolved = report.unresolved.iter().map(String::as_str);
    let all: Vec<&str> = missing.into_iter().chain(unresolved).collect();
    if all.is_empty() {
        return good("ResolvedRefs", "all that it names exists".to_owned());
    }
    bad(reason, all.join("; "))
}

/// Whether requests are served by this generation.
fn programmed(report: &PolicyReport) -> Verdict {
    if let Some(invalid) = invalid(report) {
        return invalid;
    }
    if report.targets.iter().any(|it| it.rejection.is_none()) {
        return good("Programmed", "requests are served by it".to_owned());
    }
    let why = accepted(report);
    bad(why.reason, "no request is served by it".to_owned())
}

fn invalid(report: &PolicyReport) -> Option<Verdict> {
    let defects = report.defects.iter();
    let defects: Vec<String> = defects.map(ToString::to_string).collect();
    (!defects.is_empty()).then(|| bad("Invalid", defects.join("; ")))
}

fn says_the_same(a: &Condition, b: &Condition) -> bool {
    let said = |it: &Condition| (it.type_.clone(), it.status.clone(), it.observed_generation);
    said(a) == said(b)
}

/// Whether an entry is about an older generation.
fn is_behind(ancestor: &Ancestor, generation: i64) -> bool {
    let mut conditions = ancestor.conditions.iter().flatten();
    !conditions.any(|it| it.observed_generation.is_some_and(|of| of >= generation))
}

/// Of whom an installation speaks.
#[derive(Clone, Copy)]
struct Speaks {
    /// It has a target of the policy.
    has: bool,
    /// Others speak of the policy, too.
    shared: bool,
}

/// Whether the policy says already what is wanted, and nothing of ours beyond it. Of a policy in which
/// nobody has a target another installation may say the same in other words.
fn is_said((wanted, speaks): (&GatewayPolicyStatus, Speaks), standing: Standing<'_>) -> bool {
    let current = standing.status;
    if wanted.ancestors.is_some() && wanted.ancestors != current.ancestors {
        return false;
    }
    // There is one number for all: where others speak too, theirs is not ours to lower.
    let left_out = |it: &GatewayPolicyStatus| it.ancestors_left_out.unwrap_or(0);
    let (ours, known) = (left_out(wanted), left_out(current));
    let is_counted = ours == known || (speaks.shared && ours < known);
    if wanted.ancestors.is_some() && !is_counted {
        return false;
    }
    let Some(conditions) = &wanted.conditions else {
        return standing.ours == Share::Nothing;
    };
    let known = current.conditions.as_deref().unwrap_or_default();
    let is_known = |it: &Condition| match speaks.has || standing.ours == Share::Words {
        true => known.contains(it),
        false => known.iter().any(|known| says_the_same(known, it)),
    };
    current.observed_generation == wanted.observed_generation && conditions.iter().all(is_known)
}

#[cfg(test)]
mod tests;
