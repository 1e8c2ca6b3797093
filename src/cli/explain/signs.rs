//! What shows that an Ingress is served though no IngressClass says so.
//!
//! With `--watch-namespace` no IngressClass is read: an Ingress is served for the name that it gives, or, with
//! `--default-class`, without one. Whoever asks may read more than Bywash does, and finds no such class; it must
//! not be told that nobody serves what is served.

use k8s_openapi::api::networking::v1::Ingress;
use kube::Resource;

use crate::api::policy::GatewayPolicy;
use crate::api::status::Ancestor;
use crate::stores::installation;

use super::facts::{Facts, name, namespace};
use super::{OURS, ingress};

/// What shows it, for people; `class` is what the Ingress names.
pub(super) fn of(ingress: &Ingress, class: Option<&str>, facts: &Facts) -> Option<String> {
    seen(ingress, facts)
        .or_else(|| written(ingress, class, facts))
        .or_else(|| told(ingress, class, facts))
}

/// A replica has routes of it.
fn seen(ingress: &Ingress, facts: &Facts) -> Option<String> {
    let wanted = format!("{}/{}", namespace(ingress), name(ingress));
    let mut replicas = facts.live.iter();
    let replica = replicas.find(|it| it.live.routes.iter().any(|it| it.ingress == wanted))?;
    Some(format!("as {} sees it", replica.name))
}

/// One of our installations, and of this class, has written the addresses in its status, which it takes back when
/// it serves the Ingress no more.
fn written(ingress: &Ingress, class: Option<&str>, facts: &Facts) -> Option<String> {
    let entries = ingress.meta().managed_fields.iter().flatten();
    let mut statuses = entries.filter(|it| it.subresource.as_deref() == Some("status"));
    let ours = statuses.any(|it| {
        let manager = it.manager.as_deref().unwrap_or_default();
        is_manager(manager, class, facts.controller.as_deref())
    });
    (ours && !ingress::addresses(ingress).is_empty())
        .then(|| "as the address below shows, which it wrote".to_owned())
}

fn is_manager(manager: &str, class: Option<&str>, controller: Option<&str>) -> bool {
    if let (Some(controller), Some(class)) = (controller, class) {
        return manager == installation::name(controller, class);
    }
    let readable = |name: &str| name.rsplit_once('-').map(|(name, _)| name.to_owned());
    let begin = installation::name(controller.unwrap_or(OURS), "");
    let (Some(name), Some(begin)) = (readable(manager), readable(&begin)) else {
        return false;
    };
    let rest = name.strip_prefix(&begin);
    rest.is_some_and(|rest| {
        rest.starts_with('-') && class.is_none_or(|class| rest.ends_with(&format!("-{class}")))
    })
}

/// A policy says that it is in force for it.
fn told(ingress: &Ingress, class: Option<&str>, facts: &Facts) -> Option<String> {
    let policies = facts.policies.iter().flatten();
    let mut policies = policies.filter(|policy| namespace(*policy) == namespace(ingress));
    let policy = policies.find(|policy| {
        let mut ancestors = ancestors(policy);
        ancestors.any(|it| {
            let speaker = it.controller_name.as_str();
            is_about(it, ingress) && is_speaker(speaker, class, facts.controller.as_deref())
        })
    })?;
    Some(format!("as GatewayPolicy {} says", name(policy)))
}

fn ancestors(policy: &GatewayPolicy) -> impl Iterator<Item = &Ancestor> {
    let status = policy.status.iter();
    status.flat_map(|status| status.ancestors.iter().flatten())
}

fn is_about(ancestor: &Ancestor, ingress: &Ingress) -> bool {
    let about = &ancestor.ancestor_ref;
    let mut conditions = ancestor.conditions.iter().flatten();
    about.kind == "Ingress"
        && about.name == name(ingress)
        && conditions.any(|it| it.type_ == "Accepted" && it.status == "True")
}

fn is_speaker(speaker: &str, class: Option<&str>, controller: Option<&str>) -> bool {
    if let (Some(controller), Some(class)) = (controller, class) {
        return speaker == installation::path(controller, class);
    }
    let begin = match controller {
        Some(controller) => format!("{controller}/"),
        None => OURS.to_owned(),
    };
    let rest = speaker.strip_prefix(&begin);
    rest.is_some_and(|rest| {
        class.is_none_or(|class| rest == class || rest.ends_with(&format!("/{class}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installation_is_known_by_its_controller_and_its_class() {
        let ours = installation::name("bywash.dev/ingress-controller", "web");
        let theirs = installation::name("example.com/ingress", "web");
        let example = Some("example.com/ingress");
        for (manager, class, controller, expected) in [
            (&ours, Some("web"), None, true),
            (&ours, None, None, true),
            (&ours, Some("eb"), None, false),
            (&ours, Some("web"), example, false),
            (&ours, None, example, false),
            (&theirs, Some("web"), None, false),
            (&theirs, Some("web"), example, true),
            (&theirs, None, example, true),
        ] {
            let found = is_manager(manager, class, controller);
            assert_eq!(found, expected, "{manager} {class:?} {controller:?}");
        }
    }

    #[test]
    fn an_installation_speaks_for_its_class() {
        let ours = installation::path("bywash.dev/ingress-controller", "web");
        let example = Some("example.com/ingress");
        for (class, controller, expected) in [
            (Some("web"), None, true),
            (None, None, true),
            (Some("eb"), None, false),
            (Some("web"), example, false),
            (None, example, false),
        ] {
            let found = is_speaker(&ours, class, controller);
            assert_eq!(found, expected, "{class:?} {controller:?}");
        }
    }
}
