//! What is written back onto the objects.

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::Ingress;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::objects::{object, with_tls};
use crate::tenant::Tenant;
use crate::wait::{SOON, eventually};

trials![
    an_ingress_is_given_the_published_addresses,
    an_ingress_follows_the_published_load_balancer,
    a_cluster_ip_stands_in_where_there_is_no_load_balancer,
    an_ingress_that_leaves_the_class_loses_our_address_alone,
    an_ingress_of_another_class_is_left_alone,
    a_status_that_is_right_is_not_written_again,
    without_status_updates_nothing_is_written,
    every_defect_of_an_ingress_is_an_event_on_it,
];

const HOST: &str = "shop.example";

/// Waits for exactly these entries in `status.loadBalancer.ingress`, without their ports.
async fn has_addresses(shop: &Tenant, ingress: &Ingress, wanted: Value) {
    let what = format!("addresses {wanted} on {}", ingress.name_any());
    eventually(&what, SOON, async || {
        let now = addresses(shop, ingress).await;
        (now == wanted).then_some(()).ok_or(now.to_string())
    })
    .await;
}

async fn addresses(shop: &Tenant, ingress: &Ingress) -> Value {
    let now: Ingress = shop.api().get(&ingress.name_any()).await.unwrap();
    let balancer = now
        .status
        .unwrap_or_default()
        .load_balancer
        .unwrap_or_default();
    let points = balancer.ingress.unwrap_or_default();
    let points = points
        .iter()
        .map(|point| match (&point.ip, &point.hostname) {
            (Some(ip), _) => json!({"ip": ip}),
            (_, hostname) => json!({"hostname": hostname}),
        });
    points.collect()
}

async fn an_ingress_is_given_the_published_addresses() {
    let shop = Tenant::new().await;
    shop.workload("web", 1).await;
    let ingress = shop.ingress("shop", HOST, "web").await;
    let published = ["--publish-address=192.0.2.10,edge.example.com"];
    let _bywash = shop.replica("bywash-0", &published).await;
    let wanted = json!([{"ip": "192.0.2.10"}, {"hostname": "edge.example.com"}]);
    has_addresses(&shop, &ingress, wanted).await;
}

async fn an_ingress_follows_the_published_load_balancer() {
    let shop = Tenant::new().await;
    shop.workload("web", 1).await;
    let entry = entry_point(&shop, "LoadBalancer").await;
    let ingress = shop.ingress("shop", HOST, "web").await;
    let published = format!("--publish-service={}/{}", shop.name, entry.name_any());
    let _bywash = shop.replica("bywash-0", &[&published]).await;

    balanced_by(&shop, &entry, json!([{"ip": "192.0.2.20"}])).await;
    has_addresses(&shop, &ingress, json!([{"ip": "192.0.2.20"}])).await;
    balanced_by(&shop, &entry, json!([{"hostname": "lb.example.com"}])).await;
    has_addresses(&shop, &ingress, json!([{"hostname": "lb.example.com"}])).await;
}

async fn a_cluster_ip_stands_in_where_there_is_no_load_balancer() {
    let shop = Tenant::new().await;
    shop.workload("web", 1).await;
    let entry = entry_point(&shop, "ClusterIP").await;
    let ingress = shop.ingress("shop", HOST, "web").await;
    let published = format!("--publish-service={}/{}", shop.name, entry.name_any());
    let _bywash = shop.replica("bywash-0", &[&published]).await;
    let ip = entry.spec.unwrap().cluster_ip.unwrap();
    has_addresses(&shop, &ingress, json!([{"ip": ip}])).await;
}

async fn entry_point(shop: &Tenant, kind: &str) -> Service {
    let service = object(json!({
        "metadata": {"name": "entry"},
        "spec": {"type": kind, "ports": [{"name": "http", "port": 80}]},
    }));
    shop.create(service).await
}

async fn balanced_by(shop: &Tenant, entry: &Service, points: Value) {
    let status = Patch::Merge(json!({"status": {"loadBalancer": {"ingress": points}}}));
    let api = shop.api::<Service>();
    api.patch_status(&entry.name_any(), &PatchParams::default(), &status)
        .await
        .unwrap();
}

async fn an_ingress_that_leaves_the_class_loses_our_address_alone() {
    let shop = Tenant::new().await;
    shop.workload("web", 1).await;
    let ingress = shop.ingress("shop", HOST, "web").await;
    let _bywash = shop
        .replica("bywash-0", &["--publish-address=192.0.2.10"])
        .await;
    has_addresses(&shop, &ingress, json!([{"ip": "192.0.2.10"}])).await;

    let ingress = shop
        .patch(&ingress, json!({"spec": {"ingressClassName": "nginx"}}))
        .await;
    has_addresses(&shop, &ingress, json!([])).await;
}

async fn an_ingress_of_another_class_is_left_alone() {
    let shop = Tenant::new().await;
    shop.workload("web", 1).await;
    let theirs = shop
        .create(crate::objects::ingress("nginx", "theirs", HOST, "web"))
        .await;
    let entry = json!([{"ip": "192.0.2.99"}]);
    let status = Patch::Merge(json!({"status": {"loadBalancer": {"ingress": entry}}}));
    let api = shop.api::<Ingress>();
    api.patch_status("theirs", &PatchParams::default(), &status)
        .await
        .unwrap();

    let _bywash = shop
        .replica("bywash-0", &["--publish-address=192.0.2.10"])
        .await;
    let ours = shop.ingress("ours", "ours.example", "web").await;
    has_addresses(&shop, &ours, json!([{"ip": "192.0.2.10"}])).await;
    assert_eq!(addresses(&shop, &theirs).await, entry);
}

/// Neither when other objects change nor by the next leader, which has to look for itself.
async fn a_status_that_is_right_is_not_written_again() {
    let shop = Tenant::new().await;
    let ingress = shop.ingress("shop", HOST, "nowhere").await;
    let published = ["--publish-address=192.0.2.10", "--drain-delay=0s"];
    let mut first = shop.replica("bywash-0", &published).await;
    has_addresses(&shop, &ingress, json!([{"ip": "192.0.2.10"}])).await;
    let read = async || shop.api::<Ingress>().get("shop").await.unwrap();
    let written = read().await;

    first.terminate();
    first.exited(SOON).await;
    let _second = shop.replica("bywash-1", &published).await;
    for name in ["a", "b", "c"] {
        let other = shop
            .ingress(name, &format!("{name}.example"), "nowhere")
            .await;
        has_addresses(&shop, &other, json!([{"ip": "192.0.2.10"}])).await;
    }
    assert_eq!(read().await.resource_version(), written.resource_version());
}

/// Another installation, started later, has written by the time we look.
async fn without_status_updates_nothing_is_written() {
    let (quiet, loud) = (Tenant::new().await, Tenant::new().await);
    let mut ingresses = Vec::new();
    for tenant in [&quiet, &loud] {
        ingresses.push(tenant.ingress("shop", HOST, "nowhere").await);
    }
    let address = "--publish-address=192.0.2.10";
    let _quiet = quiet
        .replica("bywash-0", &[address, "--update-status=false"])
        .await;
    let _loud = loud.replica("bywash-0", &[address]).await;
    has_addresses(&loud, &ingresses[1], json!([{"ip": "192.0.2.10"}])).await;
    assert_eq!(addresses(&quiet, &ingresses[0]).await, json!([]));
}

async fn every_defect_of_an_ingress_is_an_event_on_it() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    let broken = crate::objects::ingress(&shop.name, "broken", HOST, "nowhere");
    let broken = shop.create(with_tls(broken, HOST, "no-secret")).await;
    let healthy = shop.ingress("healthy", "healthy.example", "web").await;
    let bywash = shop.controller().await;

    let event = shop.event(&broken, "nowhere").await;
    assert_eq!(event.reason.as_deref(), Some("ServiceNotFound"));
    assert_eq!(event.type_.as_deref(), Some("Warning"));
    let event = shop.event(&broken, "no-secret").await;
    assert_eq!(event.reason.as_deref(), Some("SecretNotFound"));
    bywash.processed(&healthy).await;
    assert_eq!(bywash.get("healthy.example", "/").await.pod(), "web-0");
}
