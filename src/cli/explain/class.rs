//! To which class an Ingress belongs, and whether that is one of ours.
//!
//! <https://kubernetes.io/docs/concepts/services-networking/ingress/#ingress-class>

use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use kube::Resource;

use crate::api::metadata::{DEFAULT_CLASS, INGRESS_CLASS};

use super::facts::{Facts, name, similar};
use super::picture::{Level, Remark};
use super::{OURS, signs};

/// Whose an Ingress is.
pub(super) enum Belongs {
    /// Ours, or it cannot be told.
    Here {
        /// For people.
        class: String,
        /// Name of the class and its controller, where it was read.
        installation: Option<(String, String)>,
    },
    /// Somebody else's, or nobody's.
    Elsewhere(Remark),
}

/// Whose an Ingress is.
pub(super) fn of(ingress: &Ingress, facts: &Facts) -> Belongs {
    let wanted = annotated(ingress).or(named(ingress));
    let Some(classes) = &facts.classes else {
        return served(wanted.unwrap_or("not stated").to_owned());
    };
    let Some(wanted) = wanted else {
        return match default(classes) {
            Some(class) => at(class, " (the default class)", facts),
            None => match signs::of(ingress, None, facts) {
                Some(sign) => served(format!("not stated; Bywash serves it all the same, {sign}")),
                None => Belongs::Elsewhere(unclassed(classes, facts)),
            },
        };
    };
    match classes.iter().find(|class| name(*class) == wanted) {
        Some(class) => at(class, "", facts),
        // The annotation needs no class to exist.
        None if annotated(ingress).is_some() && wanted == "bywash" => {
            served(format!("{wanted} (by the annotation {INGRESS_CLASS})"))
        }
        None => match signs::of(ingress, Some(wanted), facts) {
            Some(sign) => served(format!(
                "{wanted}, of which there is no IngressClass; Bywash serves it by that name, {sign}"
            )),
            None => Belongs::Elsewhere(not_found(wanted, classes)),
        },
    }
}

/// The class and its controller, by the name that the Ingress gives, where no class was read that says more.
pub(super) fn by_name(ingress: &Ingress, facts: &Facts) -> Option<(String, String)> {
    let wanted = annotated(ingress).or(named(ingress))?;
    let mut classes = facts.classes.iter().flatten();
    let known = classes.any(|class| name(class) == wanted);
    let controller = facts.controller.clone().filter(|_| !known)?;
    Some((wanted.to_owned(), controller))
}

/// An empty one says nothing.
fn annotated(ingress: &Ingress) -> Option<&str> {
    let annotations = ingress.meta().annotations.as_ref();
    let annotated = annotations.and_then(|all| all.get(INGRESS_CLASS));
    annotated
        .map(String::as_str)
        .filter(|class| !class.is_empty())
}

fn named(ingress: &Ingress) -> Option<&str> {
    ingress.spec.as_ref()?.ingress_class_name.as_deref()
}

/// By an installation that no class names.
fn served(class: String) -> Belongs {
    Belongs::Here {
        class,
        installation: None,
    }
}

fn not_found(wanted: &str, classes: &[IngressClass]) -> Remark {
    let similar = similar(wanted, classes.iter().map(name));
    Remark::new(
        Level::Problem,
        "ClassNotFound",
        format!(
            "it names the IngressClass {wanted}, which does not exist{similar}. Nothing shows that a \
             Bywash serves it by that name alone, as one with --watch-namespace does"
        ),
    )
}

fn at(class: &IngressClass, how: &str, facts: &Facts) -> Belongs {
    let controller = class
        .spec
        .as_ref()
        .and_then(|spec| spec.controller.as_deref());
    let controller = controller.unwrap_or_default();
    if is_ours(controller, facts) {
        return Belongs::Here {
            class: format!("{}{how}, served by {controller}", name(class)),
            installation: Some((name(class).to_owned(), controller.to_owned())),
        };
    }
    Belongs::Elsewhere(Remark::new(
        Level::Note,
        "AnotherController",
        format!(
            "its class {}{how} belongs to the controller {controller}: Bywash leaves it alone{}",
            name(class),
            instead(facts)
        ),
    ))
}

fn is_ours(controller: &str, facts: &Facts) -> bool {
    match &facts.controller {
        Some(wanted) => controller == wanted,
        None => controller.starts_with(OURS),
    }
}

/// The newest one that says so, then the first by name, as the API server chooses for new Ingresses.
fn default(classes: &[IngressClass]) -> Option<&IngressClass> {
    let says_so = |class: &&IngressClass| {
        let annotations = class.metadata.annotations.as_ref();
        annotations.is_some_and(|all| all.get(DEFAULT_CLASS).is_some_and(|text| text == "true"))
    };
    let defaults = classes.iter().filter(says_so);
    defaults.min_by_key(|class| {
        let created = class.metadata.creation_timestamp.as_ref();
        (std::cmp::Reverse(created.map(|at| at.0)), name(*class))
    })
}

fn unclassed(classes: &[IngressClass], facts: &Facts) -> Remark {
    let message = if classes.is_empty() {
        "it names no class, and there is no IngressClass in the cluster".to_owned()
    } else {
        format!(
            "it names no class, and no class is the default{}",
            instead(facts)
        )
    };
    Remark::new(Level::Problem, "NoClass", message)
}

/// What would make it ours.
fn instead(facts: &Facts) -> String {
    let classes = facts.classes.iter().flatten();
    let ours = classes.filter(|class| {
        let spec = class.spec.as_ref();
        let controller = spec.and_then(|spec| spec.controller.as_deref());
        controller.is_some_and(|controller| is_ours(controller, facts))
    });
    let ours: Vec<&str> = ours.map(name).take(3).collect();
    match ours.as_slice() {
        [] => "; no IngressClass of this cluster is Bywash's".to_owned(),
        ours => format!(
            "; set spec.ingressClassName to {} to have it served by Bywash",
            ours.join(" or ")
        ),
    }
}
