use http::StatusCode;
use kube::api::PostParams;
use serde::Serialize;
use serde_json::{Value, json};

use super::*;
use crate::report::facts::{ContainerPort, Termination};
use crate::stores::fake_api::FakeApi;
use crate::stores::source;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;

/// A Service and its slice, as a watch tells them.
fn known() -> Source {
    let (feed, source) = source();
    let service = json!({
        "metadata": {"namespace": "shop", "name": "cart"},
        "spec": {"selector": {"app": "cart"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    });
    let slice = json!({
        "metadata": {"namespace": "shop", "name": "cart-1", "labels": {"kubernetes.io/service-name": "cart"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [
            {"addresses": ["10.244.0.1"], "conditions": {"ready": true}},
            {"addresses": ["10.244.0.2"], "conditions": {"ready": false}},
            {"addresses": ["10.244.0.3"], "conditions": {"ready": false, "terminating": true}},
        ],
    });
    let other = json!({
        "metadata": {"namespace": "other", "name": "cart-1", "labels": {"kubernetes.io/service-name": "cart"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.244.9.1"]}],
    });
    feed.apply::<Service>(put(service));
    feed.apply::<EndpointSlice>(put(slice));
    feed.apply::<EndpointSlice>(put(other));
    source
}

fn put<K: DeserializeOwned>(object: Value) -> Event<DeserializeGuard<K>> {
    Event::Apply(DeserializeGuard(
        Ok(serde_json::from_value(object).unwrap()),
    ))
}

fn reader(api: &FakeApi) -> FactReader {
    let mut config = api.config();
    config.default_namespace = "bywash".to_owned();
    FactReader::of_cluster(known(), &Connection::with(config).unwrap())
}

async fn create<K>(api: &FakeApi, object: Value)
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Serialize
        + Debug,
{
    let client = Connection::with(api.config()).unwrap().requests();
    let object = serde_json::from_value(object).unwrap();
    let api = Api::<K>::namespaced(client, "shop");
    api.create(&PostParams::default(), &object).await.unwrap();
}

fn pod(name: &str, labels: Value) -> Value {
    json!({
        "metadata": {"namespace": "shop", "name": name, "labels": labels,
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "cart-6d4f",
                "uid": "u", "controller": true}],
            "creationTimestamp": "2026-11-24T17:40:00Z"},
        "spec": {"nodeName": "node-1", "containers": [{"name": "app",
            "resources": {"limits": {"memory": "512Mi"}},
            "readinessProbe": {"httpGet": {"port": 8080}},
            "ports": [{"name": "web", "containerPort": 3000},
                {"name": "dns", "containerPort": 53, "protocol": "UDP"}]}]},
        "status": {"phase": "Running", "podIPs": [{"ip": "10.244.0.1"}],
            "conditions": [{"type": "Ready", "status": "False",
                "lastTransitionTime": "2026-11-24T17:42:00Z"}],
            "containerStatuses": [{"name": "app", "image": "", "imageID": "", "ready": false,
                "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled",
                    "finishedAt": "2026-11-24T17:41:58Z"}}}]},
    })
}

fn at(time: &str) -> Option<Timestamp> {
    Some(time.parse().unwrap())
}

#[tokio::test]
async fn what_is_watched_and_what_is_not_come_together() {
    let api = FakeApi::start().await;
    let labels = json!({"app": "cart", "pod-template-hash": "6d4f"});
    create::<Pod>(&api, pod("cart-6d4f-x", labels)).await;
    let policy = json!({"metadata": {"name": "nobody"}, "spec": {"podSelector": {}}});
    create::<NetworkPolicy>(&api, policy).await;
    let facts = reader(&api).read("shop", "cart").await;

    let service = facts.service.unwrap();
    assert_eq!(service.selector.as_deref(), Some("app=cart"));
    assert_eq!(service.ports[0].target_port, "8080");
    let endpoints = EndpointFacts {
        ready: 1,
        unready: 1,
        terminating: 1,
        ports: vec!["http".to_owned()],
    };
    assert_eq!(facts.endpoints, endpoints);
    assert_eq!(facts.gateway_namespace.as_deref(), Some("bywash"));
    assert_eq!(facts.network_policies, ["nobody"]);
    assert!(facts.unread.is_empty());
    let pods = facts.pods.unwrap();
    let [pod] = &pods[..] else { panic!("{pods:?}") };
    assert_eq!(pod.name, "cart-6d4f-x");
    assert_eq!(pod.owner.as_deref(), Some("deployment/cart"));
    assert_eq!(pod.ready_since, at("2026-11-24T17:42:00Z"));
    assert!(!pod.ready);
    let [app] = &pod.containers[..] else {
        panic!("{pod:?}")
    };
    let port = ContainerPort {
        name: Some("web".to_owned()),
        port: 3000,
    };
    assert_eq!(app.ports, [port]);
    assert!(app.probed);
    assert_eq!((app.memory.as_deref(), app.restarts), (Some("512Mi"), 3));
    assert_eq!(app.waiting.as_deref(), Some("CrashLoopBackOff"));
    let ended = Termination {
        reason: "OOMKilled".to_owned(),
        exit_code: 137,
        at: at("2026-11-24T17:41:58Z"),
    };
    assert_eq!(app.ended, Some(ended));
}

/// <https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/>
#[test]
fn an_init_container_that_runs_on_beside_the_others_is_one_of_them() {
    let mut pod = pod("cart-6d4f-x", json!({}));
    pod["spec"]["initContainers"] = json!([
        {"name": "migrate", "ports": [{"containerPort": 1}]},
        {"name": "proxy", "restartPolicy": "Always", "ports": [{"containerPort": 8080}]},
    ]);
    pod["status"]["initContainerStatuses"] = json!([{"name": "proxy", "image": "", "imageID": "",
        "ready": true, "restartCount": 2}]);
    let facts = pod::facts(&serde_json::from_value(pod).unwrap());
    let [_, proxy] = &facts.containers[..] else {
        panic!("{facts:?}")
    };
    assert_eq!(
        (proxy.name.as_str(), proxy.ports[0].port, proxy.restarts),
        ("proxy", 8080, 2)
    );
}

#[tokio::test]
async fn a_right_that_is_missing_is_said_and_the_rest_is_read() {
    let api = FakeApi::start().await;
    api.refuse("networkpolicies", StatusCode::FORBIDDEN);
    let facts = reader(&api).read("shop", "cart").await;
    let unread = |resource: &str, forbidden| Unread {
        resource: resource.to_owned(),
        forbidden,
    };
    assert_eq!(facts.unread, [unread("networkpolicies", true)]);
    assert_eq!(facts.pods, Some(Vec::new()));

    api.refuse("pods", StatusCode::INTERNAL_SERVER_ERROR);
    let facts = reader(&api).read("shop", "cart").await;
    assert_eq!(facts.unread, [unread("pods", false)]);
    assert_eq!(facts.pods, None);
    assert_eq!(facts.endpoints.ready, 1);
}

#[tokio::test]
async fn of_more_policies_than_are_read_none_is_blamed() {
    let api = FakeApi::start().await;
    create::<Pod>(&api, pod("cart-6d4f-x", json!({"app": "cart"}))).await;
    let restricts = json!({"podSelector": {"matchLabels": {"app": "cart"}}});
    for number in 0..MAX_POLICIES {
        let name = format!("policy-{number:03}");
        let policy = json!({"metadata": {"name": name}, "spec": restricts});
        create::<NetworkPolicy>(&api, policy).await;
    }
    let facts = reader(&api).read("shop", "cart").await;
    assert_eq!(facts.network_policies.len(), MAX_POLICIES as usize);
    assert!(facts.unread.is_empty());

    // The last of them would admit everybody, were it read.
    let admits =
        json!({"metadata": {"name": "welcome"}, "spec": {"podSelector": {}, "ingress": [{}]}});
    create::<NetworkPolicy>(&api, admits).await;
    let facts = reader(&api).read("shop", "cart").await;
    assert!(
        facts.network_policies.is_empty(),
        "{:?}",
        facts.network_policies
    );
    let unread = Unread {
        resource: "networkpolicies".to_owned(),
        forbidden: false,
    };
    assert_eq!(facts.unread, [unread]);
}

#[tokio::test]
async fn a_service_that_does_not_exist_costs_no_request() {
    let mut api = FakeApi::start().await;
    let facts = reader(&api).read("shop", "absent").await;
    assert_eq!((facts.service, facts.pods), (None, None));
    reader(&api).read("shop", "cart").await;
    let first = api.next().await;
    assert!(first.path.contains("/shop/"), "{first:?}");
}

#[tokio::test]
async fn a_directory_has_no_pods() {
    let facts = FactReader::of_directory(known()).read("shop", "cart").await;
    assert!(facts.service.is_some());
    assert_eq!((facts.pods, facts.gateway_namespace), (None, None));
}

#[test]
fn labels_that_come_close_are_those_of_the_same_key() {
    let pods: Vec<Pod> = [
        json!({"app": "cart", "tier": "web"}),
        json!({"app": "cart"}),
        json!({"job": "x"}),
    ]
    .map(|labels| serde_json::from_value(pod("p", labels)).unwrap())
    .into();
    let wanted = BTreeMap::from([("app".to_owned(), "crat".to_owned())]);
    assert_eq!(pod::near_labels(&pods, &wanted), ["app=cart"]);
}
