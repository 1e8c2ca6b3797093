//! How much of a cluster fits into how much memory.

use futures::{StreamExt, stream};
use http::StatusCode;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::objects::{POD_PORT, object};
use crate::replica::Replica;
use crate::tenant::Tenant;

trials![five_thousand_ingresses_with_twenty_thousand_endpoints_fit_into_300_mib];

const INGRESSES: usize = 5_000;
const MIB: u64 = 1024 * 1024;

/// A control plane of its own, so that no other test has to translate all of them.
async fn five_thousand_ingresses_with_twenty_thousand_endpoints_fit_into_300_mib() {
    let own = ControlPlane::own("capacity").await;
    let shop = Tenant::of(std::sync::Arc::clone(&own.plane)).await;
    // One half is there at the start, the other comes piece by piece, as the objects of a cluster do.
    let (half, all) = (INGRESSES / 2, INGRESSES);
    apps(&shop, 0..half).await;
    let bywash = shop.controller().await;
    apps(&shop, half..all).await;
    let (service, slice, ingress) = app(&shop, all).await;
    // Each kind has a watch of its own, which knows all that came before the last.
    bywash.processed(&service).await;
    bywash.processed(&slice).await;
    bywash.processed(&ingress).await;
    for app in [0, half - 1, half, all - 1] {
        // Nothing listens there, but the way is known.
        let answer = bywash.get(&format!("app-{app}.example"), "/").await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "app {app}");
    }
    let memory = memory(&bywash).await;
    println!("5,000 Ingresses, 20,000 endpoints: {} MiB", memory / MIB);
    assert!(memory < 300 * MIB, "{} MiB", memory / MIB);
}

async fn apps(shop: &Tenant, numbers: std::ops::Range<usize>) {
    let apps = stream::iter(numbers).map(async |number| drop(app(shop, number).await));
    apps.buffer_unordered(8).collect().await
}

/// An Ingress, its Service and a slice of four endpoints.
async fn app(shop: &Tenant, number: usize) -> (Service, EndpointSlice, Ingress) {
    let name = format!("app-{number}");
    let service: Service = object(json!({
        "metadata": {"name": name},
        "spec": {"clusterIP": "None", "ports": [{"name": "http", "port": 80}]},
    }));
    let endpoints = (0..4).map(|pod| endpoint(shop, number * 4 + pod));
    let slice: EndpointSlice = object(json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": POD_PORT}],
        "endpoints": endpoints.collect::<Vec<_>>(),
    }));
    let host = format!("{name}.example");
    (
        shop.create(service).await,
        shop.create(slice).await,
        shop.ingress(&name, &host, &name).await,
    )
}

fn endpoint(shop: &Tenant, number: usize) -> Value {
    let address = format!("10.244.{}.{}", number / 250, number % 250 + 1);
    json!({
        "addresses": [address],
        "conditions": {"ready": true, "serving": true, "terminating": false},
        "nodeName": shop.name,
        "zone": "zone-a",
        "targetRef": {"kind": "Pod", "namespace": shop.name, "name": format!("app-{number:05}-6d4f")},
    })
}

/// In bytes, as the program says.
async fn memory(bywash: &Replica) -> u64 {
    let metrics = bywash.probe("/metrics").await.unwrap().body;
    let name = "bywash_process_resident_memory_bytes ";
    let value = metrics.lines().find_map(|line| line.strip_prefix(name));
    value.unwrap().parse().unwrap()
}
