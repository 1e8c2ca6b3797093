//! How soon a write is served: measurements, printed and not judged.
//!
//! The figure to hold is judged on a quiet machine, with a release build. Writes are paced, because
//! one that follows another within 50 ms waits for its turn by design.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use http::StatusCode;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use serde_json::{Value, json};
use tokio::time::interval;

use crate::backend::Backend;
use crate::client::{Connection, request};
use crate::control_plane::ControlPlane;
use crate::objects::{POD_PORT, object, rule};
use crate::replica::Replica;
use crate::tenant::Tenant;

trials![
    how_soon_a_write_is_served,
    how_soon_a_write_is_served_among_a_thousand_ingresses,
];

const HOST: &str = "shop.example";
const WRITES: usize = 50;
const PACE: Duration = Duration::from_millis(120);

async fn how_soon_a_write_is_served() {
    measure(&Tenant::new().await, "one Ingress").await;
}

/// A control plane of its own, so that no other test has to translate all of them.
async fn how_soon_a_write_is_served_among_a_thousand_ingresses() {
    let own = ControlPlane::own("thousand").await;
    let shop = Tenant::of(Arc::clone(&own.plane)).await;
    let others = stream::iter(0..1_000).map(async |number| {
        let name = format!("other-{number}");
        shop.ingress(&name, &format!("{name}.example"), "web").await
    });
    let others: Vec<_> = others.buffer_unordered(8).collect().await;
    assert_eq!(others.len(), 1_000);
    measure(&shop, "a thousand Ingresses").await;
}

async fn measure(shop: &Tenant, among: &str) {
    let backends = [
        Backend::start("even", (shop.pod_ip(), POD_PORT).into()).await,
        Backend::start("odd", (shop.pod_ip(), POD_PORT).into()).await,
    ];
    // Without a selector the slices are ours to write.
    let service: Service = object(json!({
        "metadata": {"name": "web"}, "spec": {"ports": [{"name": "http", "port": 80}]},
    }));
    shop.create(service).await;
    let slice: EndpointSlice = object(json!({
        "metadata": {"name": "web", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": POD_PORT}],
        "endpoints": endpoints(&backends[1]),
    }));
    let slice = shop.create(slice).await;
    let ingress = shop.ingress("shop", HOST, "web").await;
    let bywash = shop.controller().await;
    bywash.processed(&slice).await;

    report(
        "EndpointSlice",
        among,
        slice_writes(shop, &bywash, slice, &backends).await,
    );
    report(
        "Ingress",
        among,
        ingress_writes(shop, &bywash, ingress).await,
    );
}

fn endpoints(backend: &Backend) -> Value {
    json!([{"addresses": [backend.address.ip()], "conditions": {"ready": true}}])
}

async fn slice_writes(
    shop: &Tenant,
    bywash: &Replica,
    mut slice: EndpointSlice,
    backends: &[Backend; 2],
) -> Vec<Duration> {
    let mut client = Connection::open(bywash.http).await.unwrap();
    let mut pace = interval(PACE);
    let mut took = Vec::new();
    for write in 0..WRITES {
        pace.tick().await;
        let moved = json!({"endpoints": endpoints(&backends[write % 2])});
        slice = shop.patch(&slice, moved).await;
        let written = Instant::now();
        let served = ["even", "odd"][write % 2];
        while client.send(request(HOST, "/")).await.unwrap().pod() != served {}
        took.push(written.elapsed());
    }
    took
}

async fn ingress_writes(shop: &Tenant, bywash: &Replica, mut ingress: Ingress) -> Vec<Duration> {
    let mut client = Connection::open(bywash.http).await.unwrap();
    let mut pace = interval(PACE);
    let mut took = Vec::new();
    for write in 0..WRITES {
        pace.tick().await;
        let host = format!("v{write}.example");
        let rules = [rule(HOST, "/", "web"), rule(&host, "/", "web")];
        ingress = shop
            .patch(&ingress, json!({"spec": {"rules": rules}}))
            .await;
        let written = Instant::now();
        while client.send(request(&host, "/")).await.unwrap().status != StatusCode::OK {}
        took.push(written.elapsed());
    }
    took
}

fn report(kind: &str, among: &str, mut took: Vec<Duration>) {
    took.sort();
    let at = |percent: usize| took[(took.len() - 1) * percent / 100].as_millis();
    println!(
        "{kind} write to served among {among}, {} times: p50 {} ms, p90 {} ms, p99 {} ms",
        took.len(),
        at(50),
        at(90),
        at(99)
    );
}
