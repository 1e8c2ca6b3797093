//! The rights that are rendered, held against the table of the documents.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::helm::{all, flags, has_flag, rendered};
use crate::values::matrix;

/// (kind and namespace of the role, API group, resource, verb)
type Right = (String, String, String, String);

fn rights(objects: &[Value]) -> BTreeSet<Right> {
    let mut rights = BTreeSet::new();
    for kind in ["ClusterRole", "Role"] {
        for role in all(objects, kind) {
            let labels = &role["metadata"]["labels"];
            if labels["rbac.authorization.k8s.io/aggregate-to-admin"] == "true" {
                continue;
            }
            let namespace = role["metadata"]["namespace"].as_str().unwrap_or("*");
            for (group, resource, verb) in triples(role) {
                rights.insert((namespace.to_owned(), group, resource, verb));
            }
        }
    }
    rights
}

fn triples(role: &Value) -> Vec<(String, String, String)> {
    let texts = |value: &Value| -> Vec<String> {
        let items = value.as_array().unwrap().iter();
        items.map(|it| it.as_str().unwrap().to_owned()).collect()
    };
    let mut triples = Vec::new();
    for rule in role["rules"].as_array().unwrap() {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                for verb in texts(&rule["verbs"]) {
                    triples.push((group.clone(), resource.clone(), verb));
                }
            }
        }
    }
    triples
}

fn scoped(namespace: &str, rights: &[(&str, &str, &str)]) -> BTreeSet<Right> {
    let owned = |(group, resource, verbs): &(&str, &str, &str)| {
        let (group, resource) = ((*group).to_owned(), (*resource).to_owned());
        let verbs = verbs.split(' ').map(str::to_owned).collect::<Vec<_>>();
        verbs
            .into_iter()
            .map(move |verb| (namespace.to_owned(), group.clone(), resource.clone(), verb))
    };
    rights.iter().flat_map(owned).collect()
}

const ROUTES: [(&str, &str, &str); 10] = [
    ("networking.k8s.io", "ingresses", "list watch"),
    ("", "services", "list watch"),
    ("discovery.k8s.io", "endpointslices", "list watch"),
    ("", "configmaps", "list watch"),
    ("bywash.dev", "gatewaypolicies", "list watch"),
    ("", "pods", "list"),
    ("networking.k8s.io", "networkpolicies", "list"),
    ("networking.k8s.io", "ingresses/status", "patch"),
    ("bywash.dev", "gatewaypolicies/status", "patch"),
    ("", "events", "get create patch"),
];
const OWN: [(&str, &str, &str); 3] = [
    ("", "configmaps", "create patch"),
    ("", "pods", "get"),
    ("coordination.k8s.io", "leases", "get create patch"),
];
const CLASSES: [(&str, &str, &str); 1] = [("networking.k8s.io", "ingressclasses", "list watch")];
const SECRETS: [(&str, &str, &str); 1] = [("", "secrets", "list watch")];
const NODES: [(&str, &str, &str); 1] = [("", "nodes", "get")];
const NODE_PODS: [(&str, &str, &str); 1] = [("", "pods", "watch")];
const HEARING: [(&str, &str, &str); 1] = [("", "configmaps", "list watch")];

fn union(parts: &[BTreeSet<Right>]) -> BTreeSet<Right> {
    parts.iter().flatten().cloned().collect()
}

#[test]
fn in_the_whole_cluster_there_is_what_the_documents_list_and_nothing_else() {
    let wanted = union(&[
        scoped("*", &ROUTES),
        scoped("*", &CLASSES),
        scoped("*", &SECRETS),
        scoped("edge", &OWN),
    ]);
    assert_eq!(rights(&rendered(&json!({}))), wanted);
}

#[test]
fn in_one_namespace_there_is_neither_a_cluster_role_nor_a_class() {
    let one = rendered(&json!({"controller": {"scope": {"enabled": true}}}));
    for kind in ["ClusterRole", "ClusterRoleBinding", "IngressClass"] {
        assert!(all(&one, kind).is_empty(), "{kind}");
    }
    let wanted = [
        scoped("edge", &ROUTES),
        scoped("edge", &SECRETS),
        scoped("edge", &OWN),
    ];
    assert_eq!(rights(&one), union(&wanted));
    assert!(has_flag(&one, "--watch-namespace=edge"));
}

#[test]
fn of_another_namespace_there_are_the_routes_and_of_ones_own_the_published_service() {
    let other = rendered(&json!({"controller": {
        "scope": {"enabled": true, "namespace": "shop"},
        "ingressClassResource": {"default": true, "parameters": {"name": "defaults"}},
    }}));
    let wanted = union(&[
        scoped("shop", &ROUTES),
        scoped("shop", &SECRETS),
        scoped("edge", &OWN),
        scoped("edge", &HEARING),
        scoped("edge", &[("", "services", "list watch")]),
    ]);
    assert_eq!(rights(&other), wanted);
    for flag in [
        "--watch-namespace=shop",
        "--default-class=true",
        "--class-policy=shop/defaults",
        "--publish-service=edge/bywash",
    ] {
        assert!(has_flag(&other, flag), "{flag} in {:?}", flags(&other));
    }
}

#[test]
fn secrets_of_some_namespaces_are_read_by_a_role_in_each_and_by_no_cluster_role() {
    let some = rendered(&json!({"rbac": {
        "secretAccess": "namespaces", "secretNamespaces": ["shop", "blog"],
    }}));
    let wanted = union(&[
        scoped("*", &ROUTES),
        scoped("*", &CLASSES),
        scoped("shop", &SECRETS),
        scoped("blog", &SECRETS),
        scoped("edge", &OWN),
    ]);
    assert_eq!(rights(&some), wanted);
    assert!(has_flag(&some, "--secret-namespaces=shop,blog"));
}

#[test]
fn nodes_are_read_only_where_their_addresses_are_published() {
    for (name, values) in matrix() {
        let objects = rendered(&values);
        let reads = rights(&objects).iter().any(|right| right.2 == "nodes");
        let publishes = has_flag(&objects, "--publish-node-addresses");
        let in_one = flags(&objects)
            .iter()
            .any(|flag| flag.starts_with("--watch-namespace="));
        assert_eq!(reads, publishes && !in_one, "{name}");
    }
    let published = rendered(&json!({"controller": {"publishService": {"enabled": false}}}));
    let wanted = union(&[
        scoped("*", &ROUTES),
        scoped("*", &CLASSES),
        scoped("*", &SECRETS),
        scoped("*", &NODES),
        scoped("edge", &OWN),
        scoped("edge", &NODE_PODS),
    ]);
    assert_eq!(rights(&published), wanted);
}

#[test]
fn in_one_namespace_without_a_service_the_addresses_are_those_of_the_pods_nodes() {
    let one = rendered(&json!({"controller": {
        "scope": {"enabled": true}, "service": {"enabled": false},
    }}));
    assert!(has_flag(&one, "--publish-node-addresses"));
    let wanted = [
        scoped("edge", &ROUTES),
        scoped("edge", &SECRETS),
        scoped("edge", &OWN),
        scoped("edge", &NODE_PODS),
    ];
    assert_eq!(rights(&one), union(&wanted));
}

#[test]
fn no_role_has_a_wildcard_and_each_is_bound_to_the_account_alone() {
    for (name, values) in matrix() {
        let objects = rendered(&values);
        for kind in ["ClusterRole", "Role"] {
            for role in all(&objects, kind) {
                let text = role["rules"].to_string();
                assert!(!text.contains('*'), "{name}: {text}");
            }
        }
        for kind in ["ClusterRoleBinding", "RoleBinding"] {
            for binding in all(&objects, kind) {
                let account = json!([{
                    "kind": "ServiceAccount", "name": "bywash", "namespace": "edge",
                }]);
                assert_eq!(binding["subjects"], account, "{name}");
            }
        }
    }
}

#[test]
fn owners_of_namespaces_get_policies_and_never_their_status() {
    let objects = rendered(&json!({}));
    let aggregated = |to: &str| -> BTreeSet<(String, String)> {
        let label = format!("rbac.authorization.k8s.io/aggregate-to-{to}");
        let roles = all(&objects, "ClusterRole").into_iter();
        let roles = roles.filter(|role| role["metadata"]["labels"][&label] == "true");
        roles
            .flat_map(triples)
            .map(|(_, resource, verb)| (resource, verb))
            .collect()
    };
    let on_policies = |verbs: &[&str]| -> BTreeSet<(String, String)> {
        let verbs = verbs.iter();
        verbs
            .map(|verb| ("gatewaypolicies".to_owned(), (*verb).to_owned()))
            .collect()
    };
    let read = ["get", "list", "watch"];
    let write = ["create", "update", "patch", "delete", "deletecollection"];
    assert_eq!(aggregated("view"), on_policies(&read));
    let both = [&read[..], &write[..]].concat();
    assert_eq!(aggregated("edit"), on_policies(&both));
    assert_eq!(aggregated("admin"), on_policies(&both));

    for values in [
        json!({"rbac": {"aggregateClusterRoles": false}}),
        json!({"controller": {"scope": {"enabled": true}}}),
    ] {
        let without = rendered(&values).into_iter();
        let labels = without.map(|it| it["metadata"]["labels"].to_string());
        assert_eq!(labels.filter(|it| it.contains("aggregate-to")).count(), 0);
    }
}
