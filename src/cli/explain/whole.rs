//! From what was read to the whole explanation: which objects are meant, and in which order.

use kube::Resource;

use super::class::{self, Belongs};
use super::facts::{Facts, name, similar};
use super::picture::{self, Explained, Level, Picture, Remark};
use super::target::{Kind, Target};
use super::{ingress, policy};

/// The whole explanation.
pub(super) fn picture(target: &Target, facts: Facts) -> Picture {
    let mut objects = match target.kind {
        Kind::Ingress => ingresses(target, &facts),
        Kind::Policy => policies(target, &facts),
    };
    if let (Some(wanted), true) = (&target.name, objects.is_empty()) {
        objects.push(missing(target.kind, wanted, &facts));
    }
    if target.name.is_none() {
        objects.sort_by_key(|object| std::cmp::Reverse(object.level));
    }
    Picture {
        version: picture::VERSION,
        time: facts.now,
        objects,
        live: facts.live.into_iter().map(|replica| replica.name).collect(),
        unread: facts.unread,
    }
}

fn is_wanted(target: &Target, object: &impl Resource) -> bool {
    target
        .name
        .as_deref()
        .is_none_or(|wanted| name(object) == wanted)
}

fn ingresses(target: &Target, facts: &Facts) -> Vec<Explained> {
    let wanted = facts.ingresses.iter().filter(|it| is_wanted(target, *it));
    let explained = wanted.map(|it| ingress::explain(it, facts));
    // Among many, those of others only stand in the way.
    let ours = explained.filter(|it| target.name.is_some() || it.verdict != "not Bywash's");
    ours.collect()
}

/// Each policy, and, where one was asked for, the Ingresses that it is for.
fn policies(target: &Target, facts: &Facts) -> Vec<Explained> {
    let mut explained = Vec::new();
    let policies = facts.policies.iter().flatten();
    for it in policies.filter(|it| is_wanted(target, *it)) {
        explained.push(policy::explain(it, facts));
        if target.name.is_none() {
            continue;
        }
        let concerned = facts.ingresses.iter().filter(|ingress| {
            let services = ingress::services(ingress, facts);
            policy::is_for(it, ingress, &services)
        });
        explained.extend(concerned.map(|it| ingress::explain(it, facts)));
    }
    explained
}

/// Where nothing of that name is.
fn missing(kind: Kind, wanted: &str, facts: &Facts) -> Explained {
    let names: Vec<&str> = match kind {
        Kind::Ingress => facts.ingresses.iter().map(name).collect(),
        Kind::Policy => facts.policies.iter().flatten().map(name).collect(),
    };
    let place = match &facts.namespace {
        Some(namespace) => format!("in namespace {namespace}"),
        None => "in any namespace".to_owned(),
    };
    let elsewhere = match &facts.namespace {
        Some(_) => "; -n NAMESPACE or -A looks elsewhere",
        None => "",
    };
    let similar = similar(wanted, names);
    let message = format!(
        "there is no {} {wanted} {place}{similar}{elsewhere}",
        kind.as_str()
    );
    Explained {
        kind: kind.as_str(),
        namespace: facts.namespace.clone().unwrap_or_else(|| "*".to_owned()),
        name: wanted.to_owned(),
        level: Level::Problem,
        verdict: "not found",
        remarks: vec![Remark::new(Level::Problem, "NotFound", message)],
        ..Explained::default()
    }
}

/// The one Ingress that is asked for, as `namespace/name`.
pub(super) fn wanted(target: &Target, facts: &Facts) -> Option<String> {
    let namespace = facts.namespace.as_ref()?;
    let name = target.name.as_ref()?;
    (target.kind == Kind::Ingress).then(|| format!("{namespace}/{name}"))
}

/// The class of the first Ingress that is ours, or may be, and its controller.
pub(super) fn installation(target: &Target, facts: &Facts) -> Option<(String, String)> {
    let ingresses = facts.ingresses.iter();
    let mut wanted = ingresses.filter(|it| target.kind == Kind::Policy || is_wanted(target, *it));
    wanted.find_map(|it| match class::of(it, facts) {
        Belongs::Here {
            installation: Some(known),
            ..
        } => Some(known),
        Belongs::Here { .. } | Belongs::Elsewhere(_) => class::by_name(it, facts),
    })
}
