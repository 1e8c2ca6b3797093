//! A Service, pods bound to a Node, and a real server on each pod's address.
//!
//! No kubelet runs these: the tests write the pods' status themselves, and the endpoint-slice
//! controller of the real controller manager makes the slices, as it does in every cluster.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;

use crate::backend::Backend;
use crate::objects::{POD_PORT, object, service};
use crate::tenant::Tenant;
use crate::wait::{SOON, eventually};

pub(crate) struct Workload<'a> {
    tenant: &'a Tenant,
    pub(crate) name: String,
    pub(crate) service: Service,
    pub(crate) pods: Vec<RunningPod>,
    /// Numbers the pods, so that no name comes twice.
    made: usize,
}

pub(crate) struct RunningPod {
    pub(crate) name: String,
    pub(crate) ip: Ipv4Addr,
    pub(crate) backend: Backend,
    state: State,
}

/// What the slices must say of a pod.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Ready,
    Unready,
    /// Deleted, with time to finish: still serving if it was ready.
    Terminating,
}

impl<'a> Workload<'a> {
    pub(crate) async fn create(tenant: &'a Tenant, name: &str, pods: usize) -> Self {
        let mut workload = Self {
            tenant,
            name: name.to_owned(),
            service: tenant.create(service(name)).await,
            pods: Vec::new(),
            made: 0,
        };
        workload.scale(pods).await;
        workload
    }

    /// Adds ready pods, or removes the last ones without a trace.
    pub(crate) async fn scale(&mut self, pods: usize) {
        while self.pods.len() < pods {
            self.add(State::Ready).await;
        }
        while self.pods.len() > pods {
            self.remove(pods).await;
        }
    }

    /// A pod that runs and is not ready.
    pub(crate) async fn add_unready(&mut self) {
        self.add(State::Unready).await;
    }

    async fn add(&mut self, state: State) {
        let (name, ip) = (format!("{}-{}", self.name, self.made), self.tenant.pod_ip());
        self.made += 1;
        let backend = Backend::start(&name, (ip, POD_PORT).into()).await;
        let pod: Pod = object(json!({
            "metadata": {"name": name, "labels": {"app": self.name}},
            "spec": {
                "nodeName": self.tenant.name,
                "containers": [{"name": "app", "image": "none",
                    "ports": [{"name": "http", "containerPort": POD_PORT}]}],
            },
        }));
        self.tenant.create(pod).await;
        self.pods.push(RunningPod {
            name,
            ip,
            backend,
            state,
        });
        self.write_status(self.pods.len() - 1).await;
    }

    pub(crate) async fn set_ready(&mut self, pod: usize, ready: bool) {
        self.pods[pod].state = if ready { State::Ready } else { State::Unready };
        self.write_status(pod).await;
    }

    async fn write_status(&self, pod: usize) {
        let pod = &self.pods[pod];
        let ready = if pod.state == State::Ready {
            "True"
        } else {
            "False"
        };
        let status = Patch::Merge(json!({"status": {
            "phase": "Running",
            "podIP": pod.ip,
            "podIPs": [{"ip": pod.ip}],
            "conditions": [{"type": "Ready", "status": ready}],
        }}));
        let api = self.tenant.api::<Pod>();
        api.patch_status(&pod.name, &PatchParams::default(), &status)
            .await
            .unwrap();
    }

    /// Deletes the pod, which stays, terminating, as long as its grace period lasts.
    pub(crate) async fn terminate(&mut self, pod: usize) {
        let grace = DeleteParams::default().grace_period(60);
        self.tenant
            .api::<Pod>()
            .delete(&self.pods[pod].name, &grace)
            .await
            .unwrap();
        self.pods[pod].state = State::Terminating;
    }

    /// The pod is gone at once, and so is its server, when the returned backend is dropped.
    pub(crate) async fn remove(&mut self, pod: usize) -> Backend {
        let removed = self.pods.remove(pod);
        let now = DeleteParams::default().grace_period(0);
        self.tenant
            .api::<Pod>()
            .delete(&removed.name, &now)
            .await
            .unwrap();
        removed.backend
    }

    /// Waits until the endpoint-slice controller has written down the pods as they are.
    pub(crate) async fn slices(&self) -> Vec<EndpointSlice> {
        let of_service = format!("kubernetes.io/service-name={}", self.name);
        let of_service = ListParams::default().labels(&of_service);
        let wanted: BTreeMap<_, _> = self
            .pods
            .iter()
            .map(|pod| (pod.ip.to_string(), pod.state))
            .collect();
        let what = format!("EndpointSlices of {} with {wanted:?}", self.name);
        eventually(&what, SOON, async || {
            let listed = self.tenant.api::<EndpointSlice>().list(&of_service).await;
            let slices = listed.map_err(|error| error.to_string())?.items;
            let written: BTreeMap<_, _> = slices.iter().flat_map(states).collect();
            let done = written == wanted && !slices.is_empty();
            done.then_some(slices).ok_or(format!("{written:?}"))
        })
        .await
    }

    /// The same, once they lead to this port of the pods.
    pub(crate) async fn slices_at(&self, port: u16) -> Vec<EndpointSlice> {
        eventually(&format!("EndpointSlices at {port}"), SOON, async || {
            let slices = self.slices().await;
            let mut ports = slices.iter().flat_map(|it| it.ports.iter().flatten());
            let so = ports.all(|it| it.port == Some(port.into()));
            so.then_some(slices.clone()).ok_or(format!("{slices:?}"))
        })
        .await
    }

    /// Requests that reached any of the pods.
    pub(crate) fn seen(&self) -> u64 {
        self.pods.iter().map(|pod| pod.backend.seen()).sum()
    }
}

fn states(slice: &EndpointSlice) -> Vec<(String, State)> {
    let endpoints = slice.endpoints.iter().map(|endpoint| {
        let conditions = endpoint.conditions.clone().unwrap_or_default();
        let state = match (conditions.terminating, conditions.ready) {
            (Some(true), _) => State::Terminating,
            (_, Some(true)) => State::Ready,
            _ => State::Unready,
        };
        let addresses = endpoint.addresses.clone();
        addresses.into_iter().map(move |address| (address, state))
    });
    endpoints.flatten().collect()
}
