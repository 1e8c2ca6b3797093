//! Which Ingresses are ours.
//!
//! An Ingress names its class in `spec.ingressClassName` or in the older annotation, which wins where
//! both are there (the API's own documentation of the field says so). One without any belongs to the
//! default class. The API server fills in the default when an Ingress is created, so that what is
//! asked here is only about those that are older than the default class or come from files. Where one
//! namespace is all that is read, no IngressClass is, and the operator says what it would say.
//!
//! <https://kubernetes.io/docs/concepts/services-networking/ingress/#ingress-class>

use std::cmp::Reverse;
use std::sync::Arc;

use k8s_openapi::api::networking::v1::{
    Ingress, IngressClass, IngressClassParametersReference, IngressClassSpec,
};

use crate::api::GROUP;
use crate::api::metadata::{DEFAULT_CLASS, INGRESS_CLASS};
use crate::report::{Code, Kind, ObjectRef};

use super::findings::Findings;
use super::names;
use super::{ClassSource, Origin, Settings};

/// What decides whether an Ingress is ours.
pub(super) struct Classes<'a> {
    /// The name that our Ingresses give.
    ours: &'a str,
    /// Whether there is an object of that name, or none is needed.
    exists: bool,
    /// Whether an Ingress that names our class in the field is served.
    by_field: bool,
    /// Whether one that names it in the annotation is served; it never needed an object.
    by_annotation: bool,
    /// Whether one that names none is served.
    by_default: bool,
    /// Namespace and name of the GatewayPolicy with the defaults of the class.
    parameters: Option<(String, String)>,
}

impl<'a> Classes<'a> {
    /// Finds our class and whether it is the default.
    pub(super) fn read(
        classes: &[Arc<IngressClass>],
        settings: &'a Settings,
        findings: &mut Findings,
    ) -> Self {
        let ours = settings.ingress_class.as_str();
        if let ClassSource::Operator { is_default, policy } = &settings.class {
            return Self {
                ours,
                exists: true,
                by_field: true,
                by_annotation: true,
                by_default: *is_default,
                parameters: policy.clone(),
            };
        }
        let object = classes.iter().find(|it| names::name(&it.metadata) == ours);
        let Some(class) = object else {
            let files = settings.origin == Origin::Directory;
            return Self {
                ours,
                exists: files,
                by_field: files,
                by_annotation: true,
                by_default: files && default_class(classes).is_none(),
                parameters: None,
            };
        };
        let IngressClassSpec {
            controller,
            parameters,
        } = class.spec.clone().unwrap_or_default();
        let matches = controller.as_ref() == Some(&settings.controller_name);
        let object = ObjectRef {
            kind: Kind::IngressClass,
            namespace: "".into(),
            name: ours.into(),
        };
        let mut policy = None;
        if matches {
            warn_of_defaults(classes, class, &object, findings);
            policy = read_parameters(parameters.as_ref(), &object, findings);
        } else {
            let message = format!(
                "its controller is '{}' and this one is '{}': none of its Ingresses are served here",
                controller.as_deref().unwrap_or_default(),
                settings.controller_name
            );
            findings.add(&object, Code::ClassController, message);
        }
        Self {
            ours,
            exists: true,
            by_field: matches,
            by_annotation: matches,
            by_default: matches
                && default_class(classes).is_some_and(|it| names::name(&it.metadata) == ours),
            parameters: policy,
        }
    }

    /// Namespace and name of the GatewayPolicy with the defaults of the class.
    pub(super) fn parameters(&self) -> Option<&(String, String)> {
        self.parameters.as_ref()
    }

    /// Whether the Ingress is ours.
    pub(super) fn select(&self, ingress: &Ingress, findings: &mut Findings) -> bool {
        let annotations = ingress.metadata.annotations.as_ref();
        let annotation = annotations.and_then(|it| it.get(INGRESS_CLASS));
        let annotation = annotation.map(String::as_str).filter(|it| !it.is_empty());
        let field = ingress.spec.as_ref();
        let field = field.and_then(|spec| spec.ingress_class_name.as_deref());
        if let (Some(annotation), Some(field)) = (annotation, field)
            && annotation != field
            && [annotation, field].contains(&self.ours)
        {
            let object = names::reference(Kind::Ingress, names::key(ingress));
            let message = format!(
                "the annotation {INGRESS_CLASS} says '{annotation}' and spec.ingressClassName says \
                 '{field}': the annotation wins; remove it"
            );
            findings.add(&object, Code::ClassMismatch, message);
        }
        match (annotation, field) {
            (Some(annotation), _) => self.by_annotation && annotation == self.ours,
            (None, Some(field)) if !self.exists && field == self.ours => {
                let object = names::reference(Kind::Ingress, names::key(ingress));
                let message =
                    format!("the IngressClass '{field}' does not exist: nothing is served");
                findings.add(&object, Code::ClassNotFound, message);
                false
            }
            (None, Some(field)) => self.by_field && field == self.ours,
            (None, None) => self.by_default,
        }
    }
}

fn is_default(class: &IngressClass) -> bool {
    let annotations = class.metadata.annotations.as_ref();
    annotations
        .and_then(|it| it.get(DEFAULT_CLASS))
        .is_some_and(|it| it == "true")
}

/// The default class; of several the newest, then the first by name, as the API server chooses.
fn default_class(classes: &[Arc<IngressClass>]) -> Option<&Arc<IngressClass>> {
    let defaults = classes.iter().filter(|class| is_default(class));
    defaults.min_by_key(|class| {
        let metadata = &class.metadata;
        (
            Reverse(metadata.creation_timestamp.as_ref()),
            names::name(metadata),
        )
    })
}

fn warn_of_defaults(
    classes: &[Arc<IngressClass>],
    ours: &IngressClass,
    object: &ObjectRef,
    findings: &mut Findings,
) {
    let defaults = classes.iter().filter(|class| is_default(class)).count();
    if is_default(ours)
        && defaults > 1
        && let Some(chosen) = default_class(classes)
    {
        let message = format!(
            "{defaults} IngressClasses are marked as the default: an Ingress without a class belongs \
             to the newest of them, '{}'; leave the mark on one",
            names::name(&chosen.metadata)
        );
        findings.add(object, Code::SeveralDefaultClasses, message);
    }
}

/// The GatewayPolicy that the parameters name; anything else there has no effect.
fn read_parameters(
    parameters: Option<&IngressClassParametersReference>,
    object: &ObjectRef,
    findings: &mut Findings,
) -> Option<(String, String)> {
    let IngressClassParametersReference {
        api_group,
        kind,
        name,
        namespace,
        scope,
    } = parameters?;
    let group = api_group.as_deref().unwrap_or("core");
    let ours = group == GROUP && kind == Kind::GatewayPolicy.as_str();
    if let (true, Some("Namespace"), Some(namespace)) = (ours, scope.as_deref(), namespace) {
        return Some((namespace.clone(), name.clone()));
    }
    let message = if ours {
        format!(
            "spec.parameters names the GatewayPolicy '{name}' without scope: Namespace and its \
                 namespace: add both, or it has no effect"
        )
    } else {
        format!(
            "spec.parameters names {kind}.{group} '{name}', which has no effect here; remove it"
        )
    };
    findings.add(object, Code::UnsupportedParameters, message);
    None
}
