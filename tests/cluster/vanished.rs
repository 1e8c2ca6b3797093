//! Pods that answer nothing any more, not even with a reset: a node that lost its power.
//!
//! Nothing but time tells such a pod from a slow one, unless the kernel is asked whether its packets
//! are still acknowledged; and only a packet filter makes one.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use tokio::task::JoinHandle;

use crate::backend::HELD;
use crate::client::{self, Reply, request};
use crate::load::Load;
use crate::namespace::Vanished;
use crate::replica::Replica;
use crate::tenant::Tenant;
use crate::wait::{SOON, eventually};
use crate::workload::Workload;

trials![
    a_pod_that_vanishes_under_load_costs_no_request,
    a_request_that_a_vanished_pod_had_is_answered_by_another,
    a_post_that_a_vanished_pod_had_is_not_repeated,
    a_pod_that_is_only_slow_is_waited_for,
];

const HOST: &str = "shop.example";

/// A request that the first pod, alone so far, has begun to work on.
async fn in_flight(
    bywash: &Replica,
    web: &Workload<'_>,
    request: Request<Full<Bytes>>,
) -> JoinHandle<anyhow::Result<Reply>> {
    let before = web.pods[0].backend.held();
    let asked = tokio::spawn(client::send(bywash.http, request));
    eventually("request in flight", SOON, async || {
        let held = web.pods[0].backend.held();
        (held > before).then_some(()).ok_or("none".to_owned())
    })
    .await;
    asked
}

async fn a_pod_that_vanishes_under_load_costs_no_request() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 2).await;
    web.slices().await;
    shop.ingress("shop", HOST, "web").await;
    let bywash = shop.controller().await;
    let load = Load::start(8, bywash.http, HOST);
    load.flows(200).await;

    let _vanished = Vanished::new(web.pods[0].ip);
    load.flows(500).await;
    load.stop_without_failures().await;
}

async fn a_request_that_a_vanished_pod_had_is_answered_by_another() {
    let shop = Tenant::new().await;
    let mut web = shop.workload("web", 1).await;
    web.slices().await;
    shop.ingress("shop", HOST, "web").await;
    let bywash = shop.controller().await;
    let asked = in_flight(&bywash, &web, request(HOST, HELD)).await;

    web.scale(2).await;
    bywash.processed_all(&web.slices().await).await;
    web.pods[1].backend.release();
    let _vanished = Vanished::new(web.pods[0].ip);
    let reply = tokio::time::timeout(SOON, asked).await;
    assert_eq!(reply.unwrap().unwrap().unwrap().pod(), "web-1");
}

async fn a_post_that_a_vanished_pod_had_is_not_repeated() {
    let shop = Tenant::new().await;
    let mut web = shop.workload("web", 1).await;
    web.slices().await;
    shop.ingress("shop", HOST, "web").await;
    let bywash = shop.controller().await;
    let mut order = request(HOST, HELD);
    *order.method_mut() = Method::POST;
    let asked = in_flight(&bywash, &web, order).await;

    web.scale(2).await;
    bywash.processed_all(&web.slices().await).await;
    let _vanished = Vanished::new(web.pods[0].ip);
    let reply = tokio::time::timeout(SOON, asked).await;
    let reply = reply.unwrap().unwrap().unwrap();
    assert_eq!(reply.status, StatusCode::BAD_GATEWAY, "{reply:?}");
    let why = reply.headers["proxy-status"].to_str().unwrap();
    assert!(why.contains("error=connection_terminated"), "{why}");
    assert_eq!(web.pods[1].backend.seen(), 0);
}

/// Slow for longer than it takes to find out that another has vanished.
async fn a_pod_that_is_only_slow_is_waited_for() {
    let shop = Tenant::new().await;
    let (slow, gone) = (
        shop.workload("slow", 1).await,
        shop.workload("gone", 1).await,
    );
    slow.slices().await;
    gone.slices().await;
    shop.ingress("slow", HOST, "slow").await;
    shop.ingress("gone", "gone.example", "gone").await;
    let bywash = shop.controller().await;
    let waiting = in_flight(&bywash, &slow, request(HOST, HELD)).await;
    let lost = in_flight(&bywash, &gone, request("gone.example", HELD)).await;

    let _vanished = Vanished::new(gone.pods[0].ip);
    let reply = tokio::time::timeout(SOON, lost).await;
    let reply = reply.unwrap().unwrap().unwrap();
    assert!(reply.status.is_server_error(), "{reply:?}");
    assert!(!waiting.is_finished());
    slow.pods[0].backend.release();
    assert_eq!(waiting.await.unwrap().unwrap().pod(), "slow-0");
    assert_eq!(slow.seen(), 1);
}
