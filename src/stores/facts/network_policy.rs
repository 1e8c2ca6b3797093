//! Which NetworkPolicies keep us from a Pod, as far as they say.
//!
//! Whether a network plugin obeys them is not known here, nor what else it obeys.
//! <https://kubernetes.io/docs/concepts/services-networking/network-policies/>

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

type Labels = BTreeMap<String, String>;

/// What is to come in.
pub(super) struct Wanted<'a> {
    /// From this namespace.
    pub(super) namespace: &'a str,
    /// To one of these ports.
    pub(super) ports: &'a [u16],
}

/// The names of those that select one of the Pods, where none of them says that we may come in. What
/// they admit adds up.
pub(super) fn restricting(
    policies: &[NetworkPolicy],
    pods: &[Pod],
    wanted: &Wanted<'_>,
) -> Vec<String> {
    let mut names = Vec::new();
    let none = Labels::new();
    for pod in pods {
        let labels = pod.metadata.labels.as_ref().unwrap_or(&none);
        let selecting = policies.iter().filter_map(|policy| {
            let spec = policy.spec.as_ref()?;
            let selected = spec
                .pod_selector
                .as_ref()
                .is_none_or(|it| selects(it, labels));
            (selected && is_for_ingress(spec)).then_some((policy, spec))
        });
        let selecting: Vec<_> = selecting.collect();
        let mut rules = selecting
            .iter()
            .flat_map(|(_, spec)| spec.ingress.iter().flatten());
        if rules.any(|rule| admits(rule, pod, wanted)) {
            continue;
        }
        names.extend(
            selecting
                .iter()
                .filter_map(|(policy, _)| policy.metadata.name.clone()),
        );
    }
    names.sort();
    names.dedup();
    names
}

/// Every one is for what comes in, unless it says otherwise.
fn is_for_ingress(spec: &NetworkPolicySpec) -> bool {
    let types = spec.policy_types.as_ref();
    types.is_none_or(|types| types.is_empty() || types.iter().any(|it| it == "Ingress"))
}

fn admits(rule: &NetworkPolicyIngressRule, pod: &Pod, wanted: &Wanted<'_>) -> bool {
    let from = rule.from.as_deref().unwrap_or_default();
    let ports = rule.ports.as_deref().unwrap_or_default();
    (from.is_empty() || from.iter().any(|peer| is_ours(peer, wanted.namespace)))
        && (ports.is_empty() || ports.iter().any(|port| is_meant(port, pod, wanted.ports)))
}

/// Whether all Pods of our namespace are meant. Of its labels, the one is known that it always has
/// (<https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-metadata-name>).
fn is_ours(peer: &NetworkPolicyPeer, namespace: &str) -> bool {
    let NetworkPolicyPeer {
        ip_block: _,
        namespace_selector,
        pod_selector,
    } = peer;
    let labels = Labels::from([(
        "kubernetes.io/metadata.name".to_owned(),
        namespace.to_owned(),
    )]);
    pod_selector.is_none()
        && namespace_selector
            .as_ref()
            .is_some_and(|it| selects(it, &labels))
}

fn is_meant(port: &NetworkPolicyPort, pod: &Pod, wanted: &[u16]) -> bool {
    let NetworkPolicyPort {
        end_port,
        port,
        protocol,
    } = port;
    if protocol.as_deref().is_some_and(|it| it != "TCP") {
        return false;
    }
    let of_name = |name: &str| {
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
        let port = ports.find(|port| port.name.as_deref() == Some(name));
        port.map(|port| port.container_port)
    };
    let (first, last) = match port {
        None => return true,
        Some(IntOrString::Int(number)) => (*number, end_port.unwrap_or(*number)),
        Some(IntOrString::String(name)) => match of_name(name) {
            Some(number) => (number, number),
            None => return false,
        },
    };
    wanted
        .iter()
        .any(|port| (first..=last).contains(&i32::from(*port)))
}

/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors>
fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    let mut equal = selector.match_labels.iter().flatten();
    let mut expressions = selector.match_expressions.iter().flatten();
    equal.all(|(key, value)| labels.get(key) == Some(value))
        && expressions.all(|it| satisfies(it, labels))
}

fn satisfies(requirement: &LabelSelectorRequirement, labels: &Labels) -> bool {
    let LabelSelectorRequirement {
        key,
        operator,
        values,
    } = requirement;
    let value = labels.get(key);
    let listed = value.is_some_and(|value| values.iter().flatten().any(|it| it == value));
    match operator.as_str() {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        // No such operator: the server refuses it.
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod() -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "cart-1", "labels": {"app": "cart", "tier": "web"}},
            "spec": {"containers": [{"name": "app", "ports": [{"name": "http", "containerPort": 8080}]}]},
        }))
        .unwrap()
    }

    /// Policies named `0`, `1`, … with these specs.
    fn found(specs: &[Value]) -> Vec<String> {
        let policies: Vec<NetworkPolicy> = specs
            .iter()
            .enumerate()
            .map(|(number, spec)| {
                let name = number.to_string();
                serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap()
            })
            .collect();
        let wanted = Wanted {
            namespace: "bywash",
            ports: &[8080],
        };
        restricting(&policies, &[pod()], &wanted)
    }

    #[test]
    fn one_that_selects_the_pod_and_admits_nobody_restricts() {
        for selector in [
            json!({}),
            json!({"matchLabels": {"app": "cart"}}),
            json!({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["web", "api"]}]}),
            json!({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}),
            json!({"matchExpressions": [{"key": "job", "operator": "DoesNotExist"}]}),
            json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["shop"]}]}),
        ] {
            assert_eq!(
                found(&[json!({"podSelector": selector})]),
                ["0"],
                "{selector}"
            );
        }
    }

    #[test]
    fn one_for_other_pods_or_for_what_goes_out_does_not() {
        let other = json!({"podSelector": {"matchLabels": {"app": "shop"}}});
        let out = json!({"podSelector": {}, "policyTypes": ["Egress"]});
        assert!(found(&[other, out]).is_empty());
    }

    #[test]
    fn what_one_admits_no_other_takes_away() {
        let nobody = json!({"podSelector": {}});
        for rule in [
            json!({}),
            json!({"ports": [{"port": 8080}]}),
            json!({"ports": [{"port": "http"}]}),
            json!({"ports": [{"port": 8000, "endPort": 9000}]}),
            json!({"from": [{"namespaceSelector": {}}]}),
            json!({"from": [{"namespaceSelector": {
                "matchLabels": {"kubernetes.io/metadata.name": "bywash"}}}]}),
        ] {
            let admits = json!({"podSelector": {}, "ingress": [rule]});
            assert!(found(&[nobody.clone(), admits]).is_empty(), "{rule}");
        }
    }

    #[test]
    fn what_admits_others_restricts_us() {
        for rule in [
            json!({"ports": [{"port": 9090}]}),
            json!({"ports": [{"port": "metrics"}]}),
            json!({"ports": [{"port": 8080, "protocol": "UDP"}]}),
            json!({"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}),
            json!({"from": [{"namespaceSelector": {"matchLabels": {"team": "shop"}}}]}),
        ] {
            let policy = json!({"podSelector": {}, "ingress": [rule]});
            assert_eq!(found(&[policy]), ["0"], "{rule}");
        }
    }
}
