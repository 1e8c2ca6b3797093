//! What GatewayPolicies say: of themselves, and of what they are attached to.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::Ingress;
use kube::Resource;

use crate::api::policy::GatewayPolicy;
use crate::api::status::{Ancestor, Condition};

use super::facts::{Facts, name, namespace};
use super::picture::{Explained, Level, Remark};
use super::{events, words};

/// The conditions that are bad when they are True.
const BAD_WHEN_TRUE: [&str; 5] = [
    "BadGateway",
    "GatewayTimeout",
    "Unavailable",
    "Stalled",
    "CircuitBreakerOpen",
];

/// Those that say no more than others do.
const REPEATS: [&str; 2] = ["Ready", "Stalled"];

/// What policies say of an Ingress: in their entries for it and for these Services.
pub(super) fn about(ingress: &Ingress, services: &[&Service], facts: &Facts) -> Vec<Remark> {
    let policies = facts.policies.iter().flatten();
    let policies = policies.filter(|policy| namespace(*policy) == namespace(ingress));
    let mut remarks = Vec::new();
    for policy in policies {
        let status = policy.status.as_ref();
        let ancestors = status.and_then(|status| status.ancestors.as_ref());
        for ancestor in ancestors.into_iter().flatten() {
            if concerns(ancestor, ingress, services) {
                let from = from(policy);
                let conditions = ancestor.conditions.iter().flatten();
                let bad = conditions.filter(|it| level(it) > Level::Note);
                remarks.extend(bad.map(|it| remark(it, &from)));
            }
        }
    }
    remarks
}

fn concerns(ancestor: &Ancestor, ingress: &Ingress, services: &[&Service]) -> bool {
    let about = &ancestor.ancestor_ref;
    match about.kind.as_str() {
        "Ingress" => about.name == name(ingress),
        "Service" => services.iter().any(|service| name(*service) == about.name),
        _ => false,
    }
}

/// Whether a policy is for an Ingress, or for one of these Services.
pub(super) fn is_for(policy: &GatewayPolicy, ingress: &Ingress, services: &[&Service]) -> bool {
    let targets = policy.spec.target_refs.iter().flatten();
    namespace(policy) == namespace(ingress)
        && targets
            .into_iter()
            .any(|target| match target.kind.as_str() {
                "Ingress" => target.name == name(ingress),
                "Service" => services.iter().any(|service| name(*service) == target.name),
                _ => false,
            })
}

/// Explains a policy.
pub(super) fn explain(policy: &GatewayPolicy, facts: &Facts) -> Explained {
    let status = policy.status.clone().unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let mut remarks = Vec::new();
    let observed = status.observed_generation.unwrap_or(-1);
    let generation = policy.meta().generation.unwrap_or_default();
    if conditions.is_empty() {
        remarks.push(Remark::new(
            Level::Warning,
            "NotLookedAt",
            "no Bywash has looked at it yet: its class may be another one, or none is running",
        ));
    } else if observed != generation {
        remarks.push(Remark::new(
            Level::Warning,
            "Outdated",
            format!(
                "what is said below is of generation {observed}; the policy is at {generation}"
            ),
        ));
    }
    for condition in &conditions {
        let repeated = REPEATS.contains(&condition.type_.as_str())
            && conditions.iter().any(|it| {
                level(it) > Level::Note
                    && !REPEATS.contains(&it.type_.as_str())
                    && it.message == condition.message
            });
        if level(condition) > Level::Note && !repeated {
            remarks.push(remark(condition, ""));
        }
    }
    for ancestor in status.ancestors.iter().flatten() {
        let about = &ancestor.ancestor_ref;
        let from = format!("{} {}", about.kind, about.name);
        let bad = ancestor
            .conditions
            .iter()
            .flatten()
            .filter(|it| level(it) > Level::Note);
        let news = bad.map(|it| remark(it, &from));
        let news = news.filter(|new| !remarks.iter().any(|it| it.message == new.message));
        let news: Vec<Remark> = news.collect();
        remarks.extend(news);
    }
    Explained {
        kind: "GatewayPolicy",
        namespace: namespace(policy).to_owned(),
        name: name(policy).to_owned(),
        about: lines(policy, &conditions, facts.now),
        remarks,
        ..Explained::default()
    }
    .judged()
}

/// What it is for, and what is well.
fn lines(
    policy: &GatewayPolicy,
    conditions: &[Condition],
    now: Timestamp,
) -> Vec<(&'static str, String)> {
    let targets = policy.spec.target_refs.iter().flatten();
    let targets: Vec<String> = targets
        .into_iter()
        .map(|target| match &target.section_name {
            Some(host) => format!("{} {} ({host})", target.kind, target.name),
            None => format!("{} {}", target.kind, target.name),
        })
        .collect();
    let mut lines = vec![(
        "for",
        match targets.as_slice() {
            [] => "the IngressClass that names it in spec.parameters".to_owned(),
            targets => targets.join(", "),
        },
    )];
    let ready = conditions
        .iter()
        .find(|it| it.type_ == "Ready" && it.status == "True");
    if let Some(ready) = ready {
        let since = since(ready).map(|at| words::moment(at, now));
        let since = since.map(|at| format!(" since {at}")).unwrap_or_default();
        lines.push(("ready", format!("{}{since}", ready.message)));
    }
    lines
}

/// How bad what a condition says is.
fn level(condition: &Condition) -> Level {
    let bad = if BAD_WHEN_TRUE.contains(&condition.type_.as_str()) {
        "True"
    } else {
        "False"
    };
    match condition.status.as_str() {
        status if status == bad => Level::Problem,
        _ => Level::Good,
    }
}

fn remark(condition: &Condition, from: &str) -> Remark {
    Remark {
        level: level(condition),
        reason: format!("{}: {}", condition.type_, condition.reason),
        message: condition.message.clone(),
        since: since(condition),
        last: None,
        from: from.to_owned(),
        samples: events::samples(&condition.message),
    }
}

fn since(condition: &Condition) -> Option<Timestamp> {
    condition.last_transition_time.parse().ok()
}

fn from(policy: &GatewayPolicy) -> String {
    format!("GatewayPolicy {}", name(policy))
}
