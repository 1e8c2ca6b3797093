//! What a Pod tells.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodStatus};

use super::number;
use crate::report::facts::{ContainerFacts, ContainerPort, PodFacts, Termination};

/// How many labels that come close are told.
const TOLD: usize = 3;

pub(super) fn facts(pod: &Pod) -> PodFacts {
    let meta = &pod.metadata;
    let spec = pod.spec.clone().unwrap_or_default();
    let empty = PodStatus::default();
    let status = pod.status.as_ref().unwrap_or(&empty);
    let mut conditions = status.conditions.iter().flatten();
    let ready = conditions.find(|condition| condition.type_ == "Ready");
    let addresses = status.pod_ips.iter().flatten();
    // No two containers of a Pod have the same name.
    let of = |name: &str| {
        let sidecars = status.init_container_statuses.iter().flatten();
        let mut statuses = status.container_statuses.iter().flatten().chain(sidecars);
        statuses.find(|status| status.name == name)
    };
    // They serve beside the others
    // (<https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/>).
    let sidecars = spec.init_containers.iter().flatten();
    let sidecars = sidecars.filter(|it| it.restart_policy.as_deref() == Some("Always"));
    PodFacts {
        name: meta.name.clone().unwrap_or_default(),
        addresses: addresses.filter_map(|it| it.ip.parse().ok()).collect(),
        phase: status.phase.clone().unwrap_or_default(),
        ready: ready.is_some_and(|ready| ready.status == "True"),
        ready_since: ready
            .and_then(|it| it.last_transition_time.as_ref())
            .map(|at| at.0),
        deleted: meta.deletion_timestamp.as_ref().map(|at| at.0),
        created: meta.creation_timestamp.as_ref().map(|at| at.0),
        revision: meta
            .labels
            .as_ref()
            .and_then(|it| it.get("pod-template-hash"))
            .cloned(),
        owner: owner(pod),
        node: spec.node_name.clone(),
        containers: spec
            .containers
            .iter()
            .chain(sidecars)
            .map(|it| container(it, of(&it.name)))
            .collect(),
    }
}

/// A ReplicaSet is named after its Deployment and the hash of the Pods.
fn owner(pod: &Pod) -> Option<String> {
    let mut owners = pod.metadata.owner_references.iter().flatten();
    let owner = owners.find(|owner| owner.controller == Some(true))?;
    let hash = pod
        .metadata
        .labels
        .as_ref()
        .and_then(|it| it.get("pod-template-hash"));
    let deployment =
        hash.and_then(|hash| owner.name.strip_suffix(hash.as_str())?.strip_suffix('-'));
    Some(match deployment {
        Some(name) if owner.kind == "ReplicaSet" => format!("deployment/{name}"),
        _ => format!("{}/{}", owner.kind.to_lowercase(), owner.name),
    })
}

fn container(container: &Container, status: Option<&ContainerStatus>) -> ContainerFacts {
    let ports = container.ports.iter().flatten();
    let tcp = ports.filter(|port| port.protocol.as_deref().is_none_or(|it| it == "TCP"));
    let limits = container
        .resources
        .as_ref()
        .and_then(|it| it.limits.as_ref());
    let state = status.and_then(|status| status.state.as_ref());
    let last = status.and_then(|status| status.last_state.as_ref());
    // What it is now tells more than what it was before.
    let ended = [state, last]
        .into_iter()
        .flatten()
        .find_map(|it| it.terminated.as_ref());
    ContainerFacts {
        name: container.name.clone(),
        ports: tcp
            .map(|port| ContainerPort {
                name: port.name.clone(),
                port: number(port.container_port),
            })
            .collect(),
        probed: container.readiness_probe.is_some(),
        memory: limits
            .and_then(|limits| limits.get("memory"))
            .map(|it| it.0.clone()),
        restarts: status.map_or(0, |it| u32::try_from(it.restart_count).unwrap_or_default()),
        waiting: state
            .and_then(|it| it.waiting.as_ref())
            .and_then(|it| it.reason.clone()),
        ended: ended.map(|ended| Termination {
            reason: ended.reason.clone().unwrap_or_default(),
            exit_code: ended.exit_code,
            at: ended.finished_at.as_ref().map(|at| at.0),
        }),
    }
}

/// Labels of these Pods that have a key of the selector and another value.
pub(super) fn near_labels(pods: &[Pod], selector: &BTreeMap<String, String>) -> Vec<String> {
    let labels = pods
        .iter()
        .filter_map(|pod| pod.metadata.labels.as_ref())
        .flatten();
    let near =
        labels.filter(|(key, value)| selector.get(*key).is_some_and(|wanted| wanted != *value));
    let near: BTreeSet<String> = near.map(|(key, value)| format!("{key}={value}")).collect();
    near.into_iter().take(TOLD).collect()
}
