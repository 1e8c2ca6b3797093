//! To which class an Ingress belongs, and whether that is one of ours.
//!
//! <https://kubernetes.io/docs/concepts/services-networking/ingress/#ingress-class>

use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use kube::Resource;

use super::facts::{Facts, name, similar};
use super::picture::{Level, Remark};

/// The annotation from before the field.
const LEGACY: &str = "kubernetes.io/ingress.class";

/// What makes a class the default.
const DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";

/// What all our controllers are called like.
const OURS: &str = "bywash.dev/";

/// Whose an Ingress is.
pub(super) enum Belongs {
    /// Ours, or it cannot be told.
    Here {
        /// For people.
        class: String,
        /// Name of the class and its controller, where it was read.
        installation: Option<(String, String)>,
        remark: Option<Remark>,
    },
    /// Somebody else's, or nobody's.
    Elsewhere(Remark),
}

/// Whose an Ingress is.
pub(super) fn of(ingress: &Ingress, facts: &Facts) -> Belongs {
    let annotations = ingress.meta().annotations.as_ref();
    let annotated = annotations.and_then(|all| all.get(LEGACY));
    let annotated = annotated.filter(|class| !class.is_empty());
    let spec = ingress.spec.as_ref();
    let named = spec.and_then(|spec| spec.ingress_class_name.as_ref());
    let Some(classes) = &facts.classes else {
        let class = annotated.or(named).map_or("not stated", String::as_str);
        return Belongs::Here {
            class: class.to_owned(),
            installation: None,
            remark: None,
        };
    };
    let Some(wanted) = annotated.or(named) else {
        return match default(classes) {
            Some(class) => at(class, " (the default class)", facts),
            None => Belongs::Elsewhere(unclassed(classes, facts)),
        };
    };
    match classes.iter().find(|class| name(*class) == wanted) {
        Some(class) => at(class, "", facts),
        // The annotation needs no class to exist.
        None if annotated.is_some() && wanted == "bywash" => Belongs::Here {
            class: format!("{wanted} (by the annotation {LEGACY})"),
            installation: None,
            remark: None,
        },
        None => {
            let similar = similar(wanted, classes.iter().map(name));
            Belongs::Elsewhere(Remark::new(
                Level::Problem,
                "ClassNotFound",
                format!("it names the IngressClass {wanted}, which does not exist{similar}"),
            ))
        }
    }
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
            remark: None,
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
        annotations.is_some_and(|all| all.get(DEFAULT).is_some_and(|text| text == "true"))
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
