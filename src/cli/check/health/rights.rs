//! What the chart needs to be installed, and what the controller needs to run.

use crate::cli::sentence;
use crate::stores::reader::review::Right;
use crate::stores::reader::{Reader, Unread};

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

/// A group, a resource of it, and verbs.
type Needed = (&'static str, &'static str, &'static [&'static str]);

const READ: &[&str] = &["list", "watch"];

/// What the controller does wherever Ingresses are served, as the chart grants it.
const ROUTES: [Needed; 10] = [
    ("networking.k8s.io", "ingresses", READ),
    ("", "services", READ),
    ("discovery.k8s.io", "endpointslices", READ),
    ("", "configmaps", READ),
    ("bywash.dev", "gatewaypolicies", READ),
    ("", "pods", &["list"]),
    ("networking.k8s.io", "networkpolicies", &["list"]),
    ("networking.k8s.io", "ingresses/status", &["patch"]),
    ("bywash.dev", "gatewaypolicies/status", &["patch"]),
    ("", "events", &["get", "create", "patch"]),
];

/// What it does unless one namespace is all that it reads.
const CLASSES: [Needed; 1] = [("networking.k8s.io", "ingressclasses", READ)];

/// What it does wherever Ingresses are served, or in some namespaces only.
const SECRETS: [Needed; 1] = [("", "secrets", READ)];

/// What it does where its replicas run.
const OWN: [Needed; 3] = [
    ("", "configmaps", &["create", "patch"]),
    ("", "pods", &["get"]),
    ("coordination.k8s.io", "leases", &["get", "create", "patch"]),
];

/// What it does there besides, where its replicas run in another namespace than the one that is read.
const APART: [Needed; 1] = [("", "configmaps", READ)];

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
    const NAME: &str = "rights";
    let account = format!("the service account {}/{}", here.namespace, here.account);
    // In which namespaces Secrets are read, if not in all, is said to the controller alone.
    let secrets = match here.watched {
        None => rights(&SECRETS, None),
        Some(_) => Vec::new(),
    };
    let looked = async {
        let missing = lacking(reader, here, needed(here)).await?;
        Ok((missing, lacking(reader, here, secrets).await?))
    };
    let (missing, secrets) = match looked.await {
        Ok(missing) => missing,
        Err(error) => return not_shown(&error),
    };
    if !missing.is_empty() {
        return Item::failed(
            NAME,
            format!("{account} may not {}", missing.join(", ")),
            "docs/rbac.md lists the rights; --service-account and --controller-namespace say whose are meant",
        );
    }
    match secrets.is_empty() {
        true => Item::ok(NAME, format!("{account} has the rights of the controller")),
        false => Item::warning(
            NAME,
            format!(
                "{account} may not {} in the whole cluster",
                secrets.join(", ")
            ),
            "without --secret-namespaces the controller finds no certificate; with it, a Role in each of them is enough",
        ),
    }
}

fn not_shown(error: &Unread) -> Item {
    let message = format!(
        "the rights of the controller cannot be looked at: {}",
        sentence(error)
    );
    let next = "the log of the controller names each right that is missing";
    Item::warning("rights", message, next)
}

/// What the controller needs for certain.
fn needed(here: &Installation) -> Vec<Right<'_>> {
    let (own, watched) = (Some(here.namespace.as_str()), here.watched.as_deref());
    let mut needed = rights(&ROUTES, watched);
    needed.extend(rights(&OWN, own));
    match watched {
        None => needed.extend(rights(&CLASSES, None)),
        Some(_) => needed.extend(rights(&SECRETS, watched)),
    }
    if watched.is_some() && watched != own {
        needed.extend(rights(&APART, own));
    }
    needed
}

fn rights<'a>(needed: &[Needed], namespace: Option<&'a str>) -> Vec<Right<'a>> {
    let needed = needed.iter().flat_map(|&(group, resource, verbs)| {
        verbs.iter().map(move |&verb| Right {
            verb,
            group,
            resource,
            namespace,
        })
    });
    needed.collect()
}

/// Which of these rights the controller does not have.
async fn lacking(
    reader: &Reader,
    here: &Installation,
    rights: Vec<Right<'_>>,
) -> Result<Vec<String>, Unread> {
    let user = format!("system:serviceaccount:{}:{}", here.namespace, here.account);
    let mut missing = Vec::new();
    for right in rights {
        if !reader.may_other(&user, &right).await? {
            missing.push(format!("{} {}", right.verb, named(&right)));
        }
    }
    Ok(missing)
}

fn named(right: &Right<'_>) -> String {
    match right.group {
        "" => right.resource.to_owned(),
        group => format!("{}.{group}", right.resource),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// Where the roles of the chart come from.
    const TEMPLATE: &str = include_str!("../../../../charts/bywash/templates/_rbac.tpl");

    type Rights<'a> = BTreeMap<(&'a str, &'a str), BTreeSet<&'a str>>;

    /// What the chart grants under a name in any case: of several verbs for one resource, those that stand in each.
    fn granted(name: &str) -> Rights<'static> {
        let start = format!("{{{{- define \"bywash.rules.{name}\" -}}}}");
        let (_, rules) = TEMPLATE.split_once(&start).unwrap();
        let (rules, _) = rules.split_once("{{- end -}}").unwrap();
        let (mut granted, mut at) = (Rights::new(), ("", ""));
        for line in rules.lines() {
            let Some((field, list)) = line.trim_start_matches(['-', ' ']).split_once(": ") else {
                continue;
            };
            let list = list.trim_matches(['[', ']']);
            match field {
                "apiGroups" => at.0 = list.trim_matches('"'),
                "resources" => at.1 = list,
                "verbs" => {
                    let verbs: BTreeSet<&str> = list.split(", ").collect();
                    let known = granted.entry(at).or_insert_with(|| verbs.clone());
                    known.retain(|verb| verbs.contains(verb));
                }
                other => panic!("{other}: {line}"),
            }
        }
        granted
    }

    #[test]
    fn what_is_looked_at_is_what_the_chart_grants() {
        for (name, needed) in [
            ("routes", &ROUTES[..]),
            ("classes", &CLASSES),
            ("secrets", &SECRETS),
            ("own", &OWN),
        ] {
            let needed = needed.iter();
            let needed: Rights<'_> = needed
                .map(|(group, resource, verbs)| {
                    ((*group, *resource), verbs.iter().copied().collect())
                })
                .collect();
            assert_eq!(needed, granted(name), "{name}");
        }
    }
}
