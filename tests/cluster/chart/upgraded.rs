//! An upgrade replaces both replicas, one after the other, and no client notices.
//!
//! Nobody helps: the Deployment's real controller makes and ends Pods, the node sends the signals, and the
//! balancer in front learns of each change a second later.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http::StatusCode;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};

use super::release::{Helm, NEWER, values};
use crate::client::{self, request};
use crate::kubelet::Node;
use crate::load::{Counts, Load};
use crate::objects::{ingress, tls_secret, with_tls};
use crate::tenant::Tenant;
use crate::wait::{SOON, eventually};
use crate::workload::Workload;

trials![
    an_upgrade_of_both_replicas_costs_no_request_and_no_websocket,
    replicas_that_are_deleted_without_grace_cost_some,
];

const HOST: &str = "shop.example";
const SECURED: &str = "secured.example";
const WAIT: [&str; 3] = ["--wait", "--timeout", "90s"];

/// Longer than the grace time of a Pod.
const GONE: Duration = Duration::from_secs(60);

async fn an_upgrade_of_both_replicas_costs_no_request_and_no_websocket() {
    let shop = Tenant::new().await;
    let (edge, clients) = Edge::under_load(&shop).await;
    let before = edge.pods().await;

    let begun = Instant::now();
    let mut changed = edge.values.clone();
    changed["controller"]["podAnnotations"] = json!({"changed": "yes"});
    edge.helm.apply("upgrade", "edge", &changed, &WAIT).await;
    edge.are_gone(&before).await;
    let after = edge.pods().await;
    println!("both replicas were replaced within {:?}", begun.elapsed());
    assert!(
        after.len() == 2 && after.is_disjoint(&before),
        "{before:?} {after:?}"
    );

    clients.flow().await;
    for (kind, load) in clients.0 {
        let Counts {
            clients,
            connections,
            ..
        } = print(kind, load.stop_without_failures().await);
        // None of them can be where it was.
        assert!(
            connections >= 2 * clients as u64,
            "{kind}: {connections} connections"
        );
    }
}

/// A count of no failure would be worth nothing if this one were none, too.
async fn replicas_that_are_deleted_without_grace_cost_some() {
    let shop = Tenant::new().await;
    let (edge, clients) = Edge::under_load(&shop).await;
    let before = edge.pods().await;

    let now = DeleteParams::default().grace_period(0);
    for pod in &before {
        shop.api::<Pod>().delete(pod, &now).await.unwrap();
    }
    for (kind, load) in clients.0 {
        load.fails().await;
        assert!(print(kind, load.stop().await).failed > 0, "{kind}");
    }
}

/// Clients of each kind, behind the balancer.
struct Clients(Vec<(&'static str, Load)>);

impl Clients {
    fn start(address: SocketAddr, tls: SocketAddr) -> Self {
        let all = [
            ("HTTP/1.1, GET", Load::start(2, address, HOST)),
            ("HTTP/1.1, POST", Load::start_posts(2, address, HOST)),
            ("HTTP/1.1, seldom", Load::start_seldom(2, address, HOST)),
            ("HTTP/1.1, each anew", Load::start_anew(2, address, HOST)),
            ("HTTP/2", Load::start_http2(2, address, HOST)),
            ("HTTP/2, TLS", Load::start_http2_tls(2, tls, SECURED)),
            ("WebSocket", Load::start_websockets(4, address, HOST)),
        ];
        Self(all.into())
    }

    async fn flow(&self) {
        for (_, load) in &self.0 {
            load.flows(20).await;
        }
    }
}

fn print(kind: &str, counts: Counts) -> Counts {
    println!("{kind}: {counts}");
    counts
}

/// A release with two replicas that serve an application.
struct Edge<'a> {
    shop: &'a Tenant,
    helm: Helm,
    values: Value,
    address: SocketAddr,
    tls: SocketAddr,
    _node: Node,
    _web: Workload<'a>,
}

impl<'a> Edge<'a> {
    async fn under_load(shop: &'a Tenant) -> (Self, Clients) {
        let edge = Self::install(shop).await;
        let clients = Clients::start(edge.address, edge.tls);
        clients.flow().await;
        (edge, clients)
    }

    async fn install(shop: &'a Tenant) -> Self {
        let web = shop.workload("web", 2).await;
        web.slices().await;
        let (node, helm) = (Node::start(shop).await, Helm::of(NEWER, shop));
        let mut values = values(shop);
        let controller = &mut values["controller"];
        // Longer than the balancer's second, also on a slow machine; then what is in flight has 6 s, and 5 s
        // are for saying goodbye.
        controller["drainDelaySeconds"] = json!(10);
        controller["terminationGracePeriodSeconds"] = json!(21);
        controller["readinessProbe"] = json!({"periodSeconds": 1});
        let class = controller["ingressClassResource"]["name"].clone();
        let class = class.as_str().unwrap();
        shop.create(ingress(class, "shop", HOST, "web")).await;
        let secured = with_tls(ingress(class, "secured", SECURED, "web"), SECURED, "tls");
        shop.create(secured).await;
        shop.create(tls_secret("tls", SECURED).0).await;
        helm.apply("install", "edge", &values, &WAIT).await;
        let address = node.service(&shop.name, 80).await;
        let tls = node.service(&shop.name, 443).await;
        eventually("answer through the Service", SOON, async || {
            let reply = client::send(address, request(HOST, "/")).await;
            let reply = reply.map_err(|error| format!("{error:#}"))?;
            let good = reply.status == StatusCode::OK;
            good.then_some(()).ok_or(format!("{reply:?}"))
        })
        .await;
        Self {
            shop,
            helm,
            values,
            address,
            tls,
            _node: node,
            _web: web,
        }
    }

    /// The Pods of the release, those that end included.
    async fn pods(&self) -> BTreeSet<String> {
        let ours = ListParams::default().labels("app.kubernetes.io/instance=edge");
        let pods = self.shop.api::<Pod>().list(&ours).await.unwrap();
        pods.iter().map(ResourceExt::name_any).collect()
    }

    async fn are_gone(&self, pods: &BTreeSet<String>) {
        eventually("end of the Pods that were replaced", GONE, async || {
            let now = self.pods().await;
            let gone = now.is_disjoint(pods);
            gone.then_some(()).ok_or(format!("{now:?}"))
        })
        .await;
    }
}
