//! Failures explained: what a request met, the facts as the API server has them, and the sentence.

use std::net::Ipv4Addr;

use bywash::diagnose::{Advice, advise};
use bywash::failure::Cause;
use bywash::report::facts::{Problem, Sample};
use bywash::routing::snapshot::ServicePort;
use bywash::stores::cluster::{Connection, Settings};
use bywash::stores::facts::FactReader;
use http::StatusCode;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::control_plane::User;
use crate::namespace::Vanished;
use crate::objects::{POD_PORT, object};
use crate::replica::Replica;
use crate::tenant::Tenant;
use crate::wait::{SOON, eventually};

trials![
    a_target_port_that_no_container_declares_is_named_with_those_that_are,
    a_pod_that_was_killed_for_its_memory_explains_why_it_refuses,
    a_pod_that_crashes_again_and_again_leaves_no_endpoint_and_says_how_it_ended,
    a_selector_that_matches_nothing_is_told_with_labels_that_come_close,
    a_port_name_that_no_container_has_is_told_with_those_that_exist,
    pods_that_are_all_unready_are_counted,
    packets_that_are_dropped_are_likely_the_doing_of_the_policy_that_selects_the_pods,
    a_policy_that_lets_the_gateway_in_is_not_blamed,
];

const HOST: &str = "shop.example";

/// Reads facts with the rights of an installation.
struct Desk<'a> {
    shop: &'a Tenant,
    reader: FactReader,
    watches: JoinHandle<()>,
}

impl<'a> Desk<'a> {
    async fn of(shop: &'a Tenant) -> Self {
        let connection = Connection::prepare(Some(shop.kubeconfig(User::Bywash))).await;
        let connection = connection.unwrap();
        let (mut source, watches) = connection.watch(Settings {
            namespace: Some(shop.name.clone()),
            ..Settings::default()
        });
        let reader = FactReader::of_cluster(source.clone(), &connection);
        let watches = tokio::spawn(watches);
        source.next().await.unwrap();
        Self {
            shop,
            reader,
            watches,
        }
    }

    /// Waits until the facts about `web` are such that the cause is explained by this diagnosis.
    async fn explains(&self, cause: Cause, samples: Vec<Sample>, code: &str) -> Advice {
        let problem = Problem {
            upstream: Some(ServicePort {
                namespace: self.shop.name.as_str().into(),
                name: "web".into(),
                port: 80,
            }),
            samples,
            ..Problem::of(cause)
        };
        eventually(&format!("diagnosis {code}"), SOON, async || {
            let facts = self.reader.read(&self.shop.name, "web").await;
            let advice = advise(&problem, &facts);
            let right = advice.code == code;
            right
                .then(|| advice.clone())
                .ok_or_else(|| format!("{advice:?} from {facts:?}"))
        })
        .await
    }
}

impl Drop for Desk<'_> {
    fn drop(&mut self) {
        self.watches.abort();
    }
}

/// An attempt at a pod.
fn at(pod: &str, ip: Ipv4Addr, port: u16) -> Vec<Sample> {
    let sample = Sample {
        endpoint: Some((ip, port).into()),
        pod: Some(pod.to_owned()),
        ..Sample::default()
    };
    vec![sample]
}

/// Waits until requests are answered so, and for this reason: enough of them to be told, even after
/// others, for as long as the controller manager had not written what leads to it.
async fn fails(bywash: &Replica, status: StatusCode, error: &str) {
    const ENOUGH: usize = 5;
    let what = format!("{status} because of {error}, {ENOUGH} times");
    let mut times = 0;
    eventually(&what, SOON, async || {
        let reply = bywash.get(HOST, "/").await;
        let why = reply.headers.get("proxy-status");
        let why = why.map(|why| why.to_str().unwrap()).unwrap_or_default();
        let right = reply.status == status && why.ends_with(&format!("error={error}"));
        times += usize::from(right);
        (times == ENOUGH)
            .then_some(())
            .ok_or_else(|| format!("{} {why}, {times} times the right one", reply.status))
    })
    .await;
}

/// A pod of `web` that runs, is ready or not, and listens to nothing.
async fn silent_pod(shop: &Tenant, ready: bool, container: Value) -> Ipv4Addr {
    let ip = shop.pod_ip();
    let pod: Pod = object(json!({
        "metadata": {"name": "web-x", "labels": {"app": "web"}},
        "spec": {
            "nodeName": shop.name,
            "containers": [{"name": "app", "image": "none",
                "resources": {"limits": {"memory": "64Mi"}},
                "ports": [{"name": "http", "containerPort": POD_PORT}]}],
        },
    }));
    shop.create(pod).await;
    let mut status = json!({"name": "app", "image": "none", "imageID": "none", "ready": ready});
    for (key, value) in container.as_object().unwrap() {
        status[key] = value.clone();
    }
    let ready = if ready { "True" } else { "False" };
    let status = Patch::Merge(json!({"status": {
        "phase": "Running",
        "podIP": ip,
        "podIPs": [{"ip": ip}],
        "conditions": [{"type": "Ready", "status": ready}],
        "containerStatuses": [status],
    }}));
    let api = shop.api::<Pod>();
    api.patch_status("web-x", &PatchParams::default(), &status)
        .await
        .unwrap();
    ip
}

async fn a_target_port_that_no_container_declares_is_named_with_those_that_are() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    let ports = json!([{"name": "http", "port": 80, "targetPort": 9999}]);
    shop.patch(&web.service, json!({"spec": {"ports": ports}}))
        .await;
    let ingress = shop.ingress("shop", HOST, "web").await;
    let bywash = shop.controller().await;
    fails(&bywash, StatusCode::BAD_GATEWAY, "connection_refused").await;

    let desk = Desk::of(&shop).await;
    let samples = at("web-0", web.pods[0].ip, 9999);
    let advice = desk
        .explains(Cause::ConnectionRefused, samples, "WrongTargetPort")
        .await;
    assert_eq!(
        advice.sentence,
        "The Pods are Ready, but Service port http targets 9999 and no container declares that port: \
         they declare 8080 (http). Set targetPort of Service web to 8080, or have the app listen on 9999."
    );
    assert!(!advice.likely);
    shop.event(&ingress, &advice.sentence).await;
}

async fn a_pod_that_was_killed_for_its_memory_explains_why_it_refuses() {
    let shop = Tenant::new().await;
    shop.workload("web", 0).await;
    let now = Timestamp::now();
    let killed = json!({"restartCount": 3, "lastState": {"terminated":
        {"exitCode": 137, "reason": "OOMKilled", "finishedAt": now.to_string()}}});
    let ip = silent_pod(&shop, true, killed).await;
    let ingress = shop.ingress("shop", HOST, "web").await;
    let bywash = shop.controller().await;
    fails(&bywash, StatusCode::BAD_GATEWAY, "connection_refused").await;

    let desk = Desk::of(&shop).await;
    let samples = at("web-x", ip, POD_PORT);
    let advice = desk
        .explains(Cause::ConnectionRefused, samples, "OutOfMemory")
        .await;
    let sentence = &advice.sentence;
    assert!(
        sentence.contains("Container app of Pod web-x was OOMKilled"),
        "{sentence}"
    );
    assert!(
        sentence.contains("(3 restarts): it took more memory than its limit of 64Mi"),
        "{sentence}"
    );
    let killed = "Container app of Pod web-x was OOMKilled";
    shop.event(&ingress, killed).await;
}

async fn a_pod_that_crashes_again_and_again_leaves_no_endpoint_and_says_how_it_ended() {
    let shop = Tenant::new().await;
    shop.workload("web", 0).await;
    let crashed = json!({"restartCount": 7,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": 2, "reason": "Error",
            "finishedAt": "2026-01-01T00:00:00Z"}}});
    silent_pod(&shop, false, crashed).await;
    let ingress = shop.ingress("shop", HOST, "web").await;
    let bywash = shop.controller().await;
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    fails(&bywash, unavailable, "destination_unavailable").await;

    let desk = Desk::of(&shop).await;
    let advice = desk
        .explains(Cause::NoEndpoints, Vec::new(), "ContainerEnded")
        .await;
    let expected = format!(
        "Container app of Pod web-x ended with exit code 2 (Error) at 2026-01-01 00:00:00 UTC (7 restarts, \
         now CrashLoopBackOff). See why with kubectl logs -n {} web-x -c app --previous.",
        shop.name
    );
    assert_eq!(advice.sentence, expected);
    shop.event(&ingress, &expected).await;
}

/// What is said of a Service of one ready Pod that has no endpoints with this in its `spec`.
async fn without_endpoints(spec: Value, code: &str) -> Advice {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    shop.patch(&web.service, json!({"spec": spec})).await;
    let ingress = shop.ingress("shop", HOST, "web").await;
    let bywash = shop.controller().await;
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    fails(&bywash, unavailable, "destination_unavailable").await;
    let desk = Desk::of(&shop).await;
    let advice = desk.explains(Cause::NoEndpoints, Vec::new(), code).await;
    shop.event(&ingress, &advice.sentence).await;
    advice
}

async fn a_selector_that_matches_nothing_is_told_with_labels_that_come_close() {
    let without = json!({"selector": {"app": "wbe"}});
    let advice = without_endpoints(without, "NoPodMatches").await;
    let begins =
        "No Pod has the labels that Service web selects (app=wbe): other Pods there have app=web.";
    assert!(advice.sentence.starts_with(begins), "{}", advice.sentence);
}

async fn a_port_name_that_no_container_has_is_told_with_those_that_exist() {
    let ports = json!([{"name": "http", "port": 80, "targetPort": "www"}]);
    let advice = without_endpoints(json!({"ports": ports}), "PortNameMismatch").await;
    let begins = "Service port http leads to the port named www, and no container has a port of that \
                  name: they declare http (8080) only.";
    assert!(advice.sentence.starts_with(begins), "{}", advice.sentence);
}

async fn pods_that_are_all_unready_are_counted() {
    let shop = Tenant::new().await;
    let mut web = shop.workload("web", 2).await;
    web.set_ready(0, false).await;
    web.set_ready(1, false).await;
    web.slices().await;
    let ingress = shop.ingress("shop", HOST, "web").await;
    let bywash = shop.controller().await;
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    fails(&bywash, unavailable, "destination_unavailable").await;

    let desk = Desk::of(&shop).await;
    let advice = desk
        .explains(Cause::NoEndpoints, Vec::new(), "AllPodsUnready")
        .await;
    let begins = "None of the 2 Pods of Service web is Ready, so that there is no endpoint.";
    assert!(advice.sentence.starts_with(begins), "{}", advice.sentence);
    shop.event(&ingress, begins).await;
}

/// A policy for all pods with these rules.
async fn restricted(shop: &Tenant, ingress: Value) {
    let policy: NetworkPolicy = object(json!({
        "metadata": {"name": "only-friends"},
        "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "ingress": ingress},
    }));
    shop.create(policy).await;
}

async fn packets_that_are_dropped_are_likely_the_doing_of_the_policy_that_selects_the_pods() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    let friends = json!([{"from": [{"podSelector": {"matchLabels": {"friend": "true"}}}]}]);
    restricted(&shop, friends).await;
    let ingress = shop.ingress("shop", HOST, "web").await;
    let bywash = shop.controller().await;
    let _dropped = Vanished::new(web.pods[0].ip);
    let timeout = StatusCode::GATEWAY_TIMEOUT;
    fails(&bywash, timeout, "connection_timeout").await;

    let desk = Desk::of(&shop).await;
    let samples = at("web-0", web.pods[0].ip, POD_PORT);
    let advice = desk
        .explains(Cause::ConnectTimeout, samples, "NetworkPolicyDrops")
        .await;
    let begins = "NetworkPolicy only-friends selects these Pods and restricts what comes in: likely what \
                  Bywash sends is dropped for that. Allow ingress from namespace ";
    assert!(advice.sentence.starts_with(begins), "{}", advice.sentence);
    assert!(advice.likely);
    shop.event(&ingress, begins).await;
}

async fn a_policy_that_lets_the_gateway_in_is_not_blamed() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    restricted(&shop, json!([{"ports": [{"port": "http"}]}])).await;
    let desk = Desk::of(&shop).await;
    let samples = at("web-0", web.pods[0].ip, POD_PORT);
    let advice = desk
        .explains(Cause::ConnectTimeout, samples, "PacketsDropped")
        .await;
    assert!(advice.likely);
}
