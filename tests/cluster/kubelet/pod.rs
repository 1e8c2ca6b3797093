//! The life of one Pod on the node: placed, prepared, run, told of, and removed when it has ended.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodSpec, PodStatus};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Error, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;

use super::container::{Container, deleted};
use super::process::Surroundings;
use super::sandbox::Sandbox;
use super::status::{self, Told, waiting};
use super::{Host, Refused, volumes};
use crate::kube_proxy::listener::Listener;

/// How soon what the API server did not take is said again.
const AGAIN: Duration = Duration::from_millis(200);

/// Returns when the Pod is no more.
pub(super) async fn live(host: Arc<Host>, heard: watch::Receiver<Pod>) {
    let pod = heard.borrow().clone();
    let api = Api::namespaced(host.client.clone(), &pod.namespace().unwrap_or_default());
    let life = Life {
        host,
        api,
        pod,
        heard,
    };
    if !life.place().await {
        return;
    }
    let told = watch::Sender::new(life.nothing_yet());
    let mut status = PodStatus::default();
    let mut news = told.subscribe();
    let mut heard = life.heard.clone();
    tokio::select! {
        () = life.run(&told) => {}
        () = life.tell(&mut news, &mut status) => return,
    }
    let last = told.borrow().clone();
    life.write(&last, &mut status).await;
    deleted(&mut heard).await;
    life.remove().await;
}

struct Life {
    host: Arc<Host>,
    api: Api<Pod>,
    /// As it was when it came, and its address.
    pod: Pod,
    heard: watch::Receiver<Pod>,
}

impl Life {
    fn spec(&self) -> &PodSpec {
        self.pod.spec.as_ref().expect("a Pod with a spec")
    }

    /// What a scheduler does that has no choice; whether the Pod is still there.
    async fn place(&self) -> bool {
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding",
            "metadata": {"name": self.pod.name_any(), "uid": self.pod.uid()},
            "target": {"apiVersion": "v1", "kind": "Node", "name": self.host.name},
        });
        loop {
            let (name, new) = (self.pod.name_any(), PostParams::default());
            let bound = self
                .api
                .create_subresource("binding", &name, &new, &binding);
            match bound.await {
                Ok::<Value, _>(_) => return true,
                Err(Error::Api(refusal)) if matches!(refusal.code, 404 | 409) => {
                    return false;
                }
                Err(_) => sleep(AGAIN).await,
            }
        }
    }

    fn nothing_yet(&self) -> Told {
        let creating = Refused::new("ContainerCreating", String::new());
        let containers = self
            .spec()
            .containers
            .iter()
            .map(|container| ContainerStatus {
                name: container.name.clone(),
                image: container.image.clone().unwrap_or_default(),
                image_id: container.image.clone().unwrap_or_default(),
                state: Some(waiting(&creating)),
                started: Some(false),
                ..ContainerStatus::default()
            });
        Told {
            address: None,
            containers: containers.collect(),
        }
    }

    /// Returns when no container runs, or will.
    async fn run(&self, told: &watch::Sender<Told>) {
        let mut pod = self.pod.clone();
        let sandbox = Sandbox::create(&pod.name_any()).await;
        let address = sandbox.address;
        told.send_modify(|told| told.address = Some(address));
        pod.status.get_or_insert_default().pod_ip = Some(address.to_string());
        let Some(volumes) = self.volumes(told).await else {
            return;
        };
        let _host_ports = self.host_ports(address);
        let containers = self.spec().containers.iter().enumerate();
        let lives = containers.map(|(index, spec)| {
            let around = Surroundings {
                host: &self.host,
                pod: &pod,
                sandbox: &sandbox,
                volumes: &volumes,
                directory: self.directory().join(&spec.name),
                log: self.host.log(&self.pod, &spec.name),
            };
            let heard = self.heard.clone();
            Container {
                spec,
                index,
                told,
                heard,
                around,
            }
            .live()
        });
        join_all(lives).await;
    }

    /// The ports of the node that are the Pod's, for as long as this is kept.
    fn host_ports(&self, address: Ipv4Addr) -> Vec<Listener> {
        let containers = self.spec().containers.iter();
        let ports = containers.flat_map(|container| container.ports.iter().flatten());
        let number = |number: i32| u16::try_from(number).ok();
        let pairs = ports.filter_map(|it| number(it.host_port?).zip(number(it.container_port)));
        let listeners = pairs.map(|(of_node, of_pod)| {
            let listener = Listener::at((self.host.address, of_node).into());
            listener.to(vec![(address, of_pod).into()]);
            listener
        });
        listeners.collect()
    }

    /// None if the Pod is to end before there is what its volumes are made of.
    async fn volumes(&self, told: &watch::Sender<Told>) -> Option<BTreeMap<String, PathBuf>> {
        let mut heard = self.heard.clone();
        if self
            .spec()
            .init_containers
            .iter()
            .flatten()
            .next()
            .is_some()
        {
            let refused = Refused::config("this node runs no init containers".into());
            self.refuse(told, &refused);
            deleted(&mut heard).await;
            return None;
        }
        loop {
            match volumes::make(&self.host, &self.pod, &self.directory().join("volumes")).await {
                Ok(made) => return Some(made),
                Err(refused) => self.refuse(told, &refused),
            }
            tokio::select! {
                _ = deleted(&mut heard) => return None,
                () = sleep(AGAIN) => {}
            }
        }
    }

    fn refuse(&self, told: &watch::Sender<Told>, refused: &Refused) {
        told.send_modify(|told| {
            let state = Some(waiting(refused));
            told.containers
                .iter_mut()
                .for_each(|it| it.state.clone_from(&state));
        });
    }

    fn directory(&self) -> PathBuf {
        self.host.directory.join(self.pod.uid().unwrap_or_default())
    }

    /// Returns when there is no Pod any more of which to tell.
    async fn tell(&self, news: &mut watch::Receiver<Told>, status: &mut PodStatus) {
        loop {
            let told = news.borrow_and_update().clone();
            if !self.write(&told, status).await || news.changed().await.is_err() {
                return;
            }
        }
    }

    /// Whether there is still a Pod of which to tell.
    async fn write(&self, told: &Told, status: &mut PodStatus) -> bool {
        let heard = self.heard.borrow().clone();
        *status = status::of(&heard, self.host.address, told, status);
        let patch = json!({"metadata": {"uid": self.pod.uid()}, "status": status});
        let (name, quietly) = (self.pod.name_any(), PatchParams::default());
        loop {
            match self
                .api
                .patch_status(&name, &quietly, &Patch::Merge(&patch))
                .await
            {
                Ok(_) => return true,
                Err(Error::Api(refusal)) if matches!(refusal.code, 404 | 409) => {
                    return false;
                }
                Err(_) => sleep(AGAIN).await,
            }
        }
    }

    /// The last that a kubelet does for a Pod.
    async fn remove(&self) {
        let now = DeleteParams::default()
            .grace_period(0)
            .preconditions(Preconditions {
                uid: self.pod.uid(),
                resource_version: None,
            });
        let name = self.pod.name_any();
        // Until it is gone, or was before, or another has its name.
        while let Err(error) = self.api.delete(&name, &now).await {
            match error {
                Error::Api(refusal) if matches!(refusal.code, 404 | 409) => return,
                _ => sleep(AGAIN).await,
            }
        }
    }
}
