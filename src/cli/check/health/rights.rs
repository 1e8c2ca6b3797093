//! What the chart needs to be installed, and what the controller needs to run.

use crate::cli::sentence;
use crate::stores::reader::Reader;
use crate::stores::reader::review::Right;

use super::super::item::Item;
use super::Installation;

const RBAC: &str = "rbac.authorization.k8s.io";

/// What the chart creates: group, resource, and whether it has a namespace.
const CREATED: [(&str, &str, bool); 10] = [
    ("apps", "deployments", true),
    ("", "services", true),
    ("", "serviceaccounts", true),
    (RBAC, "roles", true),
    (RBAC, "rolebindings", true),
    (RBAC, "clusterroles", false),
    (RBAC, "clusterrolebindings", false),
    ("networking.k8s.io", "ingressclasses", false),
    ("apiextensions.k8s.io", "customresourcedefinitions", false),
    ("policy", "poddisruptionbudgets", true),
];

/// What the controller does: verb, group, resource, and whether only in its own namespace.
const NEEDED: [(&str, &str, &str, bool); 19] = [
    ("list", "networking.k8s.io", "ingresses", false),
    ("watch", "networking.k8s.io", "ingresses", false),
    ("list", "networking.k8s.io", "ingressclasses", false),
    ("watch", "networking.k8s.io", "ingressclasses", false),
    ("list", "", "services", false),
    ("watch", "", "services", false),
    ("list", "discovery.k8s.io", "endpointslices", false),
    ("watch", "discovery.k8s.io", "endpointslices", false),
    ("list", "bywash.dev", "gatewaypolicies", false),
    ("watch", "bywash.dev", "gatewaypolicies", false),
    ("patch", "networking.k8s.io", "ingresses/status", false),
    ("patch", "bywash.dev", "gatewaypolicies/status", false),
    ("create", "", "events", false),
    ("patch", "", "events", false),
    ("create", "", "configmaps", true),
    ("patch", "", "configmaps", true),
    ("get", "coordination.k8s.io", "leases", true),
    ("create", "coordination.k8s.io", "leases", true),
    ("patch", "coordination.k8s.io", "leases", true),
];

/// Whether whoever asks may create what the chart has.
pub(super) async fn to_install(reader: &Reader, here: &Installation) -> Vec<Item> {
    let namespace = here.namespace.as_str();
    let mut missing = Vec::new();
    let created = CREATED.into_iter();
    // For one namespace the chart creates nothing outside.
    let created = created.filter(|(_, _, namespaced)| *namespaced || here.watched.is_none());
    for (group, resource, namespaced) in created {
        let right = Right {
            verb: "create",
            group,
            resource,
            namespace: namespaced.then_some(namespace),
        };
        match reader.may(&right).await {
            Ok(true) => {}
            Ok(false) => missing.push(named(&right)),
            Err(error) => return vec![super::unread("rights", &error)],
        }
    }
    vec![match missing.is_empty() {
        true => Item::ok(
            "rights",
            format!("you may create what the chart needs in namespace {namespace}"),
        ),
        false => Item::failed(
            "rights",
            format!("you may not create {}", missing.join(", ")),
            "ask for these rights, or install with controller.scope.enabled=true, which needs none in the whole cluster",
        ),
    }]
}

/// Whether the controller may do what it does.
pub(super) async fn of_account(reader: &Reader, here: &Installation) -> Item {
    let namespace = here.namespace.as_str();
    let user = format!("system:serviceaccount:{namespace}:{}", here.account);
    let mut missing = Vec::new();
    let watched = here.watched.as_deref();
    let needed = NEEDED.into_iter();
    let needed = needed.filter(|(_, _, it, _)| watched.is_none() || *it != "ingressclasses");
    for (verb, group, resource, own) in needed {
        let right = Right {
            verb,
            group,
            resource,
            namespace: if own { Some(namespace) } else { watched },
        };
        match reader.may_other(&user, &right).await {
            Ok(true) => {}
            Ok(false) => missing.push(format!("{verb} {}", named(&right))),
            Err(error) => {
                let message = format!(
                    "the rights of the controller cannot be looked at: {}",
                    sentence(&error)
                );
                return Item::warning(
                    "rights",
                    message,
                    "the log of the controller names each right that is missing",
                );
            }
        }
    }
    match missing.is_empty() {
        true => Item::ok(
            "rights",
            format!(
                "the service account {namespace}/{} has the rights of the controller",
                here.account
            ),
        ),
        false => Item::failed(
            "rights",
            format!(
                "the service account {namespace}/{} may not {}",
                here.account,
                missing.join(", ")
            ),
            "docs/rbac.md lists the rights; --service-account and --controller-namespace say whose are meant",
        ),
    }
}

fn named(right: &Right<'_>) -> String {
    match right.group {
        "" => right.resource.to_owned(),
        group => format!("{}.{group}", right.resource),
    }
}
