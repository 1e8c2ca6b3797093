//! What is told of a Pod and its containers: computed, not written, here.

use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus, HostIP, Pod, PodCondition, PodIP, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::Refused;

/// As much as is known of a Pod while it lives.
#[derive(Clone, Default)]
pub(super) struct Told {
    pub(super) address: Option<Ipv4Addr>,
    pub(super) containers: Vec<ContainerStatus>,
}

pub(super) fn now() -> Time {
    Time(Timestamp::now())
}

pub(super) fn waiting(refused: &Refused) -> ContainerState {
    ContainerState {
        waiting: Some(ContainerStateWaiting {
            reason: Some(refused.reason.into()),
            message: Some(refused.message.clone()).filter(|it| !it.is_empty()),
        }),
        ..ContainerState::default()
    }
}

pub(super) fn running(since: &Time) -> ContainerState {
    ContainerState {
        running: Some(ContainerStateRunning {
            started_at: Some(since.clone()),
        }),
        ..ContainerState::default()
    }
}

pub(super) fn terminated(code: i32, since: Option<Time>) -> ContainerState {
    let reason = if code == 0 { "Completed" } else { "Error" };
    ContainerState {
        terminated: Some(ContainerStateTerminated {
            exit_code: code,
            reason: Some(reason.into()),
            started_at: since,
            finished_at: Some(now()),
            ..ContainerStateTerminated::default()
        }),
        ..ContainerState::default()
    }
}

/// The status of a Pod on this node; a condition that is as it was keeps its time.
pub(super) fn of(pod: &Pod, host: Ipv4Addr, told: &Told, before: &PodStatus) -> PodStatus {
    let phase = phase(&told.containers);
    let over = matches!(phase, "Succeeded" | "Failed");
    let ready = !over && told.containers.iter().all(|it| it.ready);
    let reason = match (ready, over) {
        (true, _) => None,
        (false, true) => Some("PodCompleted"),
        (false, false) => Some("ContainersNotReady"),
    };
    let condition = |type_: &str, is: bool, reason: Option<&str>| {
        let status = if is { "True" } else { "False" };
        let mut earlier = before.conditions.iter().flatten();
        let same = earlier.find(|it| it.type_ == type_ && it.status == status);
        PodCondition {
            type_: type_.into(),
            status: status.into(),
            reason: reason.map(Into::into),
            last_transition_time: same
                .and_then(|it| it.last_transition_time.clone())
                .or(Some(now())),
            observed_generation: pod.metadata.generation,
            ..PodCondition::default()
        }
    };
    PodStatus {
        phase: Some(phase.into()),
        observed_generation: pod.metadata.generation,
        host_ip: Some(host.to_string()),
        host_ips: Some(vec![HostIP {
            ip: host.to_string(),
        }]),
        pod_ip: told.address.map(|ip| ip.to_string()),
        pod_ips: told.address.map(|ip| vec![PodIP { ip: ip.to_string() }]),
        start_time: before.start_time.clone().or(Some(now())),
        conditions: Some(vec![
            condition("PodScheduled", true, None),
            condition(
                "PodReadyToStartContainers",
                told.address.is_some() && !over,
                None,
            ),
            condition("Initialized", true, None),
            condition("ContainersReady", ready, reason),
            condition("Ready", ready, reason),
        ]),
        container_statuses: Some(told.containers.clone()),
        ..before.clone()
    }
}

fn phase(containers: &[ContainerStatus]) -> &'static str {
    let state = |it: &ContainerStatus| it.state.clone().unwrap_or_default();
    let ended: Vec<_> = containers
        .iter()
        .filter_map(|it| state(it).terminated)
        .collect();
    if ended.len() == containers.len() {
        let succeeded = ended.iter().all(|it| it.exit_code == 0);
        return if succeeded { "Succeeded" } else { "Failed" };
    }
    let never = |it: &ContainerStatus| state(it).waiting.is_some() && it.last_state.is_none();
    match containers.iter().any(never) {
        true => "Pending",
        false => "Running",
    }
}
