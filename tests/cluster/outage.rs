//! The API server goes away, or was never to be read.

use std::sync::Arc;

use http::StatusCode;
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use crate::client::{self, request};
use crate::control_plane::{ControlPlane, ROLE, User};
use crate::load::Load;
use crate::objects::object;
use crate::replica::Replica;
use crate::tenant::Tenant;
use crate::wait::{SOON, eventually};

trials![
    an_api_server_killed_and_restarted_under_load_costs_no_request,
    a_pod_that_dies_while_the_api_server_is_away_costs_no_request,
    a_cluster_that_is_not_there_at_start_never_means_an_empty_table,
    a_cluster_that_may_not_be_read_never_means_an_empty_table,
];

const HOST: &str = "shop.example";

async fn an_api_server_killed_and_restarted_under_load_costs_no_request() {
    let own = ControlPlane::own("restarted").await;
    let shop = Tenant::of(Arc::clone(&own.plane)).await;
    let mut web = shop.workload("web", 2).await;
    web.slices().await;
    shop.ingress("shop", HOST, "web").await;
    let bywash = shop.controller().await;
    let load = Load::start(8, bywash.http, HOST);
    load.flows(200).await;

    own.plane.kill_api_server();
    load.flows(500).await;
    assert_eq!(
        bywash.probe("/readyz").await.unwrap().status,
        StatusCode::OK
    );
    own.plane.start_api_server().await;

    // The watches come back by themselves, each of its own.
    let late = shop.ingress("late", "late.example", "web").await;
    bywash.processed(&late).await;
    web.scale(3).await;
    bywash.processed_all(&web.slices().await).await;
    eventually("traffic on the new pod", SOON, async || {
        let seen = web.pods[2].backend.seen();
        (seen > 0).then_some(()).ok_or("none".to_owned())
    })
    .await;
    load.stop_without_failures().await;
}

async fn a_pod_that_dies_while_the_api_server_is_away_costs_no_request() {
    let own = ControlPlane::own("away").await;
    let shop = Tenant::of(Arc::clone(&own.plane)).await;
    let mut web = shop.workload("web", 2).await;
    web.slices().await;
    shop.ingress("shop", HOST, "web").await;
    let bywash = shop.controller().await;
    let load = Load::start(4, bywash.http, HOST);
    load.flows(100).await;

    own.plane.kill_api_server();
    load.flows(50).await;
    drop(web.pods.remove(0));
    load.flows(300).await;
    load.stop_without_failures().await;
}

async fn a_cluster_that_is_not_there_at_start_never_means_an_empty_table() {
    let own = ControlPlane::own("absent").await;
    let shop = Tenant::of(Arc::clone(&own.plane)).await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    shop.ingress("shop", HOST, "web").await;
    own.plane.kill_api_server();

    let mut bywash = Replica::start(&shop, "bywash-0", &[]);
    is_alive_but_never_ready(&bywash).await;
    own.plane.start_api_server().await;
    bywash.ready().await;
    assert_eq!(bywash.get(HOST, "/").await.pod(), "web-0");
}

async fn a_cluster_that_may_not_be_read_never_means_an_empty_table() {
    let own = ControlPlane::own("forbidden").await;
    let shop = Tenant::of(Arc::clone(&own.plane)).await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    shop.ingress("shop", HOST, "web").await;

    let mut bywash = Replica::start_as(User::Stranger, &shop, "bywash-0", &[]);
    is_alive_but_never_ready(&bywash).await;
    let allowed: ClusterRoleBinding = object(json!({
        "metadata": {"name": "allowed-after-all"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
            "name": ROLE},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User",
            "name": User::Stranger.name()}],
    }));
    Api::all(shop.client.clone())
        .create(&PostParams::default(), &allowed)
        .await
        .unwrap();
    bywash.ready().await;
    assert_eq!(bywash.get(HOST, "/").await.pod(), "web-0");
}

/// Watches the replica until it has said of every kind that it cannot read it: all the while it is
/// alive, not ready, and gives no client a 404 for a host that the cluster may well know.
async fn is_alive_but_never_ready(bywash: &Replica) {
    let kinds = [
        "ingresses",
        "ingressclasses",
        "services",
        "endpointslices",
        "secrets",
    ];
    eventually("replica that could read nothing", SOON, async || {
        let alive = bywash
            .probe("/livez")
            .await
            .map_err(|error| format!("{error:#}"))?;
        assert_eq!(alive.status, StatusCode::OK, "{alive:?}");
        let ready = bywash
            .probe("/readyz")
            .await
            .map_err(|error| format!("{error:#}"))?;
        assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE, "{ready:?}");
        if let Ok(reply) = client::send(bywash.http, request(HOST, "/")).await {
            assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{reply:?}");
        }
        let log = bywash.log();
        let tried = kinds.iter().all(|kind| log.contains(kind));
        tried.then_some(()).ok_or(log)
    })
    .await;
}
