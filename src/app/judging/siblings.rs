//! Which replicas there are beside this one, before they tell: the ready Pods behind the Service whose
//! addresses are published.
//!
//! EndpointSlices are read for backends already, so it takes no further right. Where no Service is published,
//! or its slices are not read (another namespace is watched), replicas are known by what they tell alone. So they
//! are where this replica is not behind the Service: it is somebody else's, then.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::Place;

/// The names of the ready ones.
pub(super) fn ready(place: &Place) -> Vec<String> {
    let Some((namespace, name)) = &place.service else {
        return Vec::new();
    };
    of_slices(&place.source.slices(namespace, name), &place.replica)
}

fn of_slices(slices: &[Arc<EndpointSlice>], own: &str) -> Vec<String> {
    let mut pods: BTreeMap<&str, bool> = BTreeMap::new();
    for endpoint in slices.iter().flat_map(|slice| &slice.endpoints) {
        let target = endpoint.target_ref.as_ref();
        let pod = target.filter(|it| it.kind.as_deref() == Some("Pod"));
        let Some(pod) = pod.and_then(|it| it.name.as_deref()) else {
            continue;
        };
        let conditions = endpoint.conditions.clone().unwrap_or_default();
        // Nothing said means yes, and that it stays.
        let ready = conditions.ready != Some(false) && conditions.terminating != Some(true);
        *pods.entry(pod).or_default() |= ready;
    }
    if pods.remove(own).is_none() {
        return Vec::new();
    }
    let ready = pods.into_iter().filter(|(_, ready)| *ready);
    ready.map(|(pod, _)| pod.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn slice(endpoints: Value) -> Arc<EndpointSlice> {
        let slice = json!({
            "metadata": {}, "addressType": "IPv4", "endpoints": endpoints, "ports": [],
        });
        Arc::new(serde_json::from_value(slice).unwrap())
    }

    fn endpoint(pod: &str, conditions: Value) -> Value {
        json!({
            "addresses": ["10.0.0.1"], "conditions": conditions,
            "targetRef": {"kind": "Pod", "name": pod},
        })
    }

    #[test]
    fn ready_pods_behind_the_service_are_replicas_and_each_counts_once() {
        let v4 = slice(json!([
            endpoint("bywash-0", json!({"ready": true})),
            endpoint("bywash-1", json!({})),
            endpoint("starts", json!({"ready": false})),
            endpoint("ends", json!({"ready": true, "terminating": true})),
            {"addresses": ["10.0.0.9"]},
        ]));
        let v6 = slice(json!([endpoint("bywash-1", json!({"ready": true}))]));
        assert_eq!(of_slices(&[v4, v6], "bywash-0"), ["bywash-1"]);
    }

    #[test]
    fn a_service_that_this_replica_is_not_behind_tells_nothing() {
        let slice = slice(json!([endpoint("bywash-1", json!({"ready": true}))]));
        assert!(of_slices(&[slice], "bywash-0").is_empty());
    }
}
