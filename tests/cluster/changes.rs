//! Changes while traffic flows, and how soon they are served.

use std::time::{Duration, Instant};

use http::StatusCode;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use serde_json::json;
use tokio::time::interval;

use crate::backend::Backend;
use crate::client::{Connection, WebSocket, request};
use crate::load::Load;
use crate::objects::{POD_PORT, object, rule};
use crate::tenant::Tenant;

trials![
    an_ingress_changed_100_times_under_load_costs_no_request_and_no_websocket,
    ingresses_that_come_and_go_beside_it_cost_no_request,
    how_soon_a_write_is_served,
];

const HOST: &str = "shop.example";

async fn an_ingress_changed_100_times_under_load_costs_no_request_and_no_websocket() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 2).await;
    web.slices().await;
    let mut ingress = shop.ingress("shop", HOST, "web").await;
    let bywash = shop.controller().await;
    let mut socket = WebSocket::open(bywash.http, HOST).await.unwrap();
    assert_eq!(socket.echo("before").await.unwrap(), "before");
    let load = Load::start(8, bywash.http, HOST);
    load.flows(100).await;

    for change in 0..100 {
        let [host, path] = [format!("v{change}.example"), format!("/v{change}")];
        let rules = [
            rule(HOST, "/", "web"),
            rule(HOST, &path, "web"),
            rule(&host, "/", "web"),
        ];
        ingress = shop
            .patch(&ingress, json!({"spec": {"rules": rules}}))
            .await;
        bywash.processed(&ingress).await;
        let text = format!("change {change}");
        assert_eq!(socket.echo(&text).await.unwrap(), text);
    }
    assert_eq!(bywash.status("v99.example", "/").await, StatusCode::OK);
    assert_eq!(
        bywash.status("v98.example", "/").await,
        StatusCode::NOT_FOUND
    );
    load.stop_without_failures().await;
}

async fn ingresses_that_come_and_go_beside_it_cost_no_request() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 2).await;
    web.slices().await;
    shop.ingress("shop", HOST, "web").await;
    let bywash = shop.controller().await;
    let load = Load::start(8, bywash.http, HOST);
    load.flows(100).await;

    for number in 0..20 {
        let name = format!("guest-{number}");
        let host = format!("{name}.example");
        let guest = shop.ingress(&name, &host, "web").await;
        bywash.processed(&guest).await;
        assert_eq!(bywash.status(&host, "/").await, StatusCode::OK);
        shop.delete(&guest).await;
        bywash.processed_deletion(&guest).await;
        assert_eq!(bywash.status(&host, "/").await, StatusCode::NOT_FOUND);
    }
    load.stop_without_failures().await;
}

/// A measurement, printed and not judged: the figure to hold is judged on a quiet machine. The
/// writes are paced, because a write that follows another within 50 ms waits for its turn by design.
async fn how_soon_a_write_is_served() {
    const WRITES: usize = 50;
    let shop = Tenant::new().await;
    let backends = [
        Backend::start("even", (shop.pod_ip(), POD_PORT).into()).await,
        Backend::start("odd", (shop.pod_ip(), POD_PORT).into()).await,
    ];
    let unmanaged: Service = object(json!({
        "metadata": {"name": "web"}, "spec": {"ports": [{"name": "http", "port": 80}]},
    }));
    shop.create(unmanaged).await;
    let mut slice: EndpointSlice = object(json!({
        "metadata": {"name": "web", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": POD_PORT}],
        "endpoints": [{"addresses": [backends[1].address.ip()], "conditions": {"ready": true}}],
    }));
    slice = shop.create(slice).await;
    let mut ingress = shop.ingress("shop", HOST, "web").await;
    let bywash = shop.controller().await;
    let mut client = Connection::open(bywash.http).await.unwrap();

    let mut pace = interval(Duration::from_millis(120));
    let mut of_slices = Vec::new();
    for write in 0..WRITES {
        pace.tick().await;
        let backend = &backends[write % 2];
        let moved = json!({"endpoints": [
            {"addresses": [backend.address.ip()], "conditions": {"ready": true}},
        ]});
        slice = shop.patch(&slice, moved).await;
        let written = Instant::now();
        let served = ["even", "odd"][write % 2];
        while client.send(request(HOST, "/")).await.unwrap().pod() != served {}
        of_slices.push(written.elapsed());
    }
    print_latencies("EndpointSlice", of_slices);

    let mut of_ingresses = Vec::new();
    for write in 0..WRITES {
        pace.tick().await;
        let host = format!("v{write}.example");
        let rules = [rule(HOST, "/", "web"), rule(&host, "/", "web")];
        let patched: Ingress = shop
            .patch(&ingress, json!({"spec": {"rules": rules}}))
            .await;
        let written = Instant::now();
        while client.send(request(&host, "/")).await.unwrap().status != StatusCode::OK {}
        of_ingresses.push(written.elapsed());
        ingress = patched;
    }
    print_latencies("Ingress", of_ingresses);
}

fn print_latencies(kind: &str, mut all: Vec<Duration>) {
    all.sort();
    let at = |percent: usize| all[(all.len() - 1) * percent / 100].as_millis();
    println!(
        "{kind} write to served, {} times: p50 {} ms, p90 {} ms, p99 {} ms",
        all.len(),
        at(50),
        at(90),
        at(99)
    );
}
