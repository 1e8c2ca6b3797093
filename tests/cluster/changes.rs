//! Changes while traffic flows.

use http::StatusCode;
use serde_json::json;

use crate::client::WebSocket;
use crate::load::Load;
use crate::objects::rule;
use crate::tenant::Tenant;

trials![
    an_ingress_changed_100_times_under_load_costs_no_request_and_no_websocket,
    ingresses_that_come_and_go_beside_it_cost_no_request,
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
