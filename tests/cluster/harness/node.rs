//! What tests take for granted of the node on which Pods run.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::client::{self, request};
use crate::kubelet::Node;
use crate::objects::{object, service};
use crate::tenant::Tenant;
use crate::wait::{SOON, eventually};

trials![
    a_pod_that_is_not_to_start_again_says_how_it_ended,
    a_container_that_ends_or_hangs_is_started_again,
    an_image_that_nobody_has_keeps_a_pod_waiting,
    a_service_follows_its_pods_until_none_is_left,
];

const IMAGE: &str = "ghcr.io/bywash/bywash:test";

async fn a_pod_that_is_not_to_start_again_says_how_it_ended() {
    let shop = Tenant::new().await;
    let _node = Node::start(&shop).await;
    let well = json!({"restartPolicy": "Never", "containers": [{"args": ["crds"]}]});
    pod(&shop, "well", well).await;
    let badly = json!({"restartPolicy": "Never", "containers": [{"args": ["no-such-command"]}]});
    pod(&shop, "badly", badly).await;
    for (name, phase, code) in [("well", "Succeeded", 0), ("badly", "Failed", 2)] {
        let container = until(&shop, name, phase, |_| true).await;
        let ended = container.state.unwrap().terminated.unwrap();
        assert_eq!(
            (ended.exit_code, container.restart_count),
            (code, 0),
            "{ended:?}"
        );
    }
}

async fn a_container_that_ends_or_hangs_is_started_again() {
    let shop = Tenant::new().await;
    let _node = Node::start(&shop).await;
    let ends = json!({"containers": [{"args": ["crds"]}]});
    pod(&shop, "ends", ends).await;
    let probe = json!({"tcpSocket": {"port": 1}, "periodSeconds": 1, "failureThreshold": 1});
    let hangs = json!({"containers": [{
        "command": ["bywash", "demo", "--backend=ok"], "livenessProbe": probe,
    }]});
    pod(&shop, "hangs", hangs).await;
    for name in ["ends", "hangs"] {
        let again = |container: &ContainerStatus| container.restart_count > 0;
        let container = until(&shop, name, "Running", again).await;
        assert!(container.last_state.unwrap().terminated.is_some());
    }
}

async fn an_image_that_nobody_has_keeps_a_pod_waiting() {
    let shop = Tenant::new().await;
    let _node = Node::start(&shop).await;
    pod(&shop, "web", json!({"containers": [{"image": "nginx"}]})).await;
    let refused = |container: &ContainerStatus| {
        let waiting = container
            .state
            .as_ref()
            .and_then(|state| state.waiting.as_ref());
        waiting.is_some_and(|it| it.reason.as_deref() == Some("ErrImagePull"))
    };
    until(&shop, "web", "Pending", refused).await;
}

async fn a_service_follows_its_pods_until_none_is_left() {
    let shop = Tenant::new().await;
    let node = Node::start(&shop).await;
    shop.create(service("web")).await;
    let web = json!({"terminationGracePeriodSeconds": 1, "containers": [{
        "command": ["bywash", "demo", "--backend=ok"],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
    }]});
    let web = pod(&shop, "web", web).await;
    let address = node.service("web", 80).await;
    let answers = async || client::send(address, request("web", "/")).await;
    eventually("answer of the Pod", SOON, async || {
        answers().await.map_err(|error| format!("{error:#}"))
    })
    .await;

    shop.delete(&web).await;
    eventually("end of the Pod", SOON, async || {
        let left = shop.api::<Pod>().get_opt("web").await.unwrap();
        left.map_or(Ok(()), |pod| Err(format!("{:?}", pod.status)))
    })
    .await;
    assert!(answers().await.is_err());
}

/// A Pod of the program, with what is said of its spec and its only container.
async fn pod(shop: &Tenant, name: &str, mut spec: Value) -> Pod {
    let container = &mut spec["containers"][0];
    container["name"] = json!("app");
    if container["image"].is_null() {
        container["image"] = json!(IMAGE);
    }
    let metadata = json!({"name": name, "labels": {"app": name}});
    shop.create(object(json!({"metadata": metadata, "spec": spec})))
        .await
}

/// Waits until the Pod is in this phase and its container as it should be.
async fn until(
    shop: &Tenant,
    name: &str,
    phase: &str,
    is_so: impl Fn(&ContainerStatus) -> bool,
) -> ContainerStatus {
    eventually(&format!("Pod {name} that is {phase}"), SOON, async || {
        let pod = shop.api::<Pod>().get_status(name).await.unwrap();
        let status = pod.status.clone().unwrap_or_default();
        let container = status.container_statuses.unwrap_or_default().pop();
        match container.filter(|it| status.phase.as_deref() == Some(phase) && is_so(it)) {
            Some(container) => Ok(container),
            None => Err(format!("{} {:?}", pod.name_any(), pod.status)),
        }
    })
    .await
}
