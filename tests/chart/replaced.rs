//! How Pods are replaced, by an upgrade or a drain of their nodes.

use serde_json::json;

use crate::helm::{all, only, rendered};

#[test]
fn a_deployment_of_two_replaces_its_pods_one_after_the_other() {
    let objects = rendered(&json!({}));
    let spec = &only(&objects, "Deployment")["spec"];
    assert_eq!(spec["replicas"], 2);
    assert_eq!(
        spec["strategy"]["rollingUpdate"],
        json!({"maxSurge": 1, "maxUnavailable": 0})
    );
    assert_eq!(
        only(&objects, "PodDisruptionBudget")["spec"]["minAvailable"],
        1
    );
}

#[test]
fn one_replica_has_no_budget_that_would_hold_up_every_drain() {
    let objects = rendered(&json!({"controller": {"replicaCount": 1}}));
    assert!(all(&objects, "PodDisruptionBudget").is_empty());
}

/// A port of a node is taken once: one more Pod first would find no node where each has one already.
#[test]
fn at_the_ports_of_nodes_one_pod_ends_before_the_next_is_made() {
    for said in [
        json!({"hostPort": {"enabled": true}}),
        json!({"hostNetwork": true}),
    ] {
        let objects = rendered(&json!({"controller": said}));
        let strategy = &only(&objects, "Deployment")["spec"]["strategy"];
        let replaced = json!({"maxSurge": 0, "maxUnavailable": 1});
        assert_eq!(strategy["rollingUpdate"], replaced, "{said}");
    }
    let own = json!({"hostNetwork": true, "updateStrategy": {"type": "Recreate"}});
    let objects = rendered(&json!({"controller": own}));
    let strategy = &only(&objects, "Deployment")["spec"]["strategy"];
    assert_eq!(strategy, &json!({"type": "Recreate"}));
}
