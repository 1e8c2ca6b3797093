use serde_json::{Value, json};

use kube::api::PostParams;

use super::*;
use crate::report::traffic::ReplicaReport;
use crate::stores::fake_api::FakeApi;
use crate::stores::reports::Received;

fn pod(name: &str, ready: &str, more: &Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "bywash"},
        "spec": {"nodeName": format!("node-of-{name}"), "containers": []},
        "status": {
            "conditions": [{"type": "Ready", "status": ready}],
            "hostIPs": [{"ip": format!("10.0.0.{}", name.len())}],
        },
    });
    if let Some(deletion) = more.get("deletionTimestamp") {
        pod["metadata"]["deletionTimestamp"] = deletion.clone();
    }
    pod
}

fn node(name: &str, addresses: &[(&str, &str)]) -> Value {
    let addresses = addresses
        .iter()
        .map(|(kind, address)| json!({"type": kind, "address": address}));
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
        "status": {"addresses": addresses.collect::<Vec<_>>()},
    })
}

async fn create(connection: &Connection, object: &Value) {
    let (client, new) = (connection.requests(), PostParams::default());
    let created = match object["kind"].as_str().unwrap() {
        "Pod" => {
            let pod: Pod = serde_json::from_value(object.clone()).unwrap();
            let api = Api::namespaced(client, "bywash");
            api.create(&new, &pod).await.map(drop)
        }
        _ => {
            let node: Node = serde_json::from_value(object.clone()).unwrap();
            Api::all(client).create(&new, &node).await.map(drop)
        }
    };
    created.unwrap();
}

fn told_of(replicas: &[&str]) -> Others {
    let received = || Received {
        report: std::sync::Arc::new(ReplicaReport::default()),
        at: std::time::Instant::now(),
    };
    let replicas = replicas.iter();
    replicas
        .map(|name| ((*name).to_owned(), received()))
        .collect()
}

/// The addresses that are shown where these Pods and nodes exist, and these others tell something.
async fn shown(objects: &[Value], others: &[&str], by_name: bool) -> Vec<String> {
    let api = FakeApi::start().await;
    let connection = Connection::with(api.config()).unwrap();
    for object in objects {
        create(&connection, object).await;
    }
    let nodes = Nodes::new(&connection, "bywash".into(), "a".into(), by_name);
    let (_others, told) = watch::channel(told_of(others));
    let (show, mut shown) = watch::channel(Vec::new());
    tokio::spawn(nodes.watch(told, show));
    shown.changed().await.unwrap();
    let shown = shown.borrow();
    shown.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn the_nodes_of_ready_replicas_are_published_by_their_external_addresses_else_their_internal()
{
    let objects = [
        pod("a", "True", &json!({})),
        pod("bb", "True", &json!({})),
        pod("unready", "False", &json!({})),
        pod("of-somebody-else", "True", &json!({})),
        pod(
            "ends",
            "True",
            &json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}),
        ),
        node(
            "node-of-a",
            &[("InternalIP", "10.0.0.9"), ("ExternalIP", "192.0.2.1")],
        ),
        node(
            "node-of-bb",
            &[("Hostname", "bb"), ("InternalIP", "10.0.0.8")],
        ),
    ];
    let others = ["bb", "unready", "ends"];
    assert_eq!(
        shown(&objects, &others, true).await,
        ["10.0.0.8", "192.0.2.1"]
    );
}

#[tokio::test]
async fn without_reading_nodes_the_addresses_of_the_hosts_are_published() {
    let objects = [pod("a", "True", &json!({})), pod("bb", "True", &json!({}))];
    assert_eq!(
        shown(&objects, &["bb"], false).await,
        ["10.0.0.1", "10.0.0.2"]
    );
}

#[tokio::test]
async fn a_node_that_cannot_be_read_leaves_what_is_published_as_it_is() {
    let mut api = FakeApi::start().await;
    let connection = Connection::with(api.config()).unwrap();
    create(&connection, &pod("a", "True", &json!({}))).await;
    api.refuse("/nodes/", http::StatusCode::FORBIDDEN);
    let nodes = Nodes::new(&connection, "bywash".into(), "a".into(), true);
    let (_others, told) = watch::channel(Others::new());
    let (show, shown) = watch::channel(vec![[192, 0, 2, 7].into()]);
    tokio::spawn(nodes.watch(told, show));
    let mut refused = 0;
    while refused < 2 {
        refused += u32::from(api.next().await.path.contains("/nodes/"));
    }
    assert!(!shown.has_changed().unwrap());
}
