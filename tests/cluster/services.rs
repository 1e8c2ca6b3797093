//! Services that come, change and go behind an Ingress.

use http::StatusCode;
use serde_json::json;

use crate::objects::rule;
use crate::tenant::Tenant;
use crate::wait::{SOON, eventually};

trials![
    an_ingress_may_come_before_its_service,
    a_deleted_service_leaves_a_503_not_a_404,
    a_changed_selector_moves_the_traffic,
    a_port_may_be_named_instead_of_numbered,
];

async fn an_ingress_may_come_before_its_service() {
    let shop = Tenant::new().await;
    let bywash = shop.controller().await;
    let early = shop.ingress("early", "shop.example", "web").await;
    bywash.processed(&early).await;
    let reply = bywash.get("shop.example", "/").await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{reply:?}");
    let event = shop.event(&early, "web").await;
    assert_eq!(event.reason.as_deref(), Some("ServiceNotFound"));

    let web = shop.workload("web", 1).await;
    bywash.processed(&web.service).await;
    bywash.processed_all(&web.slices().await).await;
    assert_eq!(bywash.get("shop.example", "/").await.pod(), "web-0");
}

async fn a_deleted_service_leaves_a_503_not_a_404() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    shop.ingress("shop", "shop.example", "web").await;
    let bywash = shop.controller().await;
    assert_eq!(bywash.get("shop.example", "/").await.pod(), "web-0");

    shop.delete(&web.service).await;
    bywash.processed_deletion(&web.service).await;
    assert_eq!(
        bywash.status("shop.example", "/").await,
        StatusCode::SERVICE_UNAVAILABLE
    );
}

async fn a_changed_selector_moves_the_traffic() {
    let shop = Tenant::new().await;
    let (blue, green) = (
        shop.workload("blue", 2).await,
        shop.workload("green", 2).await,
    );
    blue.slices().await;
    green.slices().await;
    shop.ingress("shop", "shop.example", "blue").await;
    let bywash = shop.controller().await;
    let before = bywash.pods("shop.example", 10).await;
    assert!(
        before.iter().all(|pod| pod.starts_with("blue-")),
        "{before:?}"
    );

    let switched = json!({"spec": {"selector": {"app": "green"}}});
    bywash
        .processed(&shop.patch(&blue.service, switched).await)
        .await;
    eventually("traffic that goes to green alone", SOON, async || {
        let pods = bywash.pods("shop.example", 5).await;
        let moved = pods.iter().all(|pod| pod.starts_with("green-"));
        moved.then_some(()).ok_or(format!("{pods:?}"))
    })
    .await;
}

async fn a_port_may_be_named_instead_of_numbered() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    let numbered = shop.ingress("shop", "shop.example", "web").await;
    let bywash = shop.controller().await;

    let mut by_name = rule("shop.example", "/", "web");
    by_name["http"]["paths"][0]["backend"]["service"]["port"] = json!({"name": "http"});
    let named = shop
        .patch(&numbered, json!({"spec": {"rules": [by_name]}}))
        .await;
    bywash.processed(&named).await;
    assert_eq!(bywash.get("shop.example", "/").await.pod(), "web-0");
}
