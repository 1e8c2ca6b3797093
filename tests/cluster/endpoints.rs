//! Pods that become ready, unready, terminating, and gone.

use http::StatusCode;

use crate::backend::HELD;
use crate::client::{self, request};
use crate::load::Load;
use crate::tenant::Tenant;
use crate::wait::{SOON, eventually};

trials![
    a_pod_gets_traffic_when_it_becomes_ready,
    a_pod_gets_no_traffic_once_it_is_unready,
    a_terminating_pod_finishes_what_it_has_and_gets_nothing_new,
    when_all_pods_are_terminating_they_go_on_serving,
    from_one_pod_to_ten_to_none_and_back,
    pods_that_are_replaced_under_load_cost_no_request,
    pods_that_end_orderly_at_once_cost_no_request,
    pods_that_end_after_the_slices_say_so_cost_no_post_either,
];

const HOST: &str = "shop.example";

async fn a_pod_gets_traffic_when_it_becomes_ready() {
    let shop = Tenant::new().await;
    let mut web = shop.workload("web", 0).await;
    web.add_unready().await;
    web.slices().await;
    shop.ingress("shop", HOST, "web").await;
    let bywash = shop.controller().await;
    let reply = bywash.get(HOST, "/").await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{reply:?}");
    assert_eq!(web.seen(), 0);

    web.set_ready(0, true).await;
    bywash.processed_all(&web.slices().await).await;
    assert_eq!(bywash.get(HOST, "/").await.pod(), "web-0");
}

async fn a_pod_gets_no_traffic_once_it_is_unready() {
    let shop = Tenant::new().await;
    let mut web = shop.workload("web", 2).await;
    web.slices().await;
    shop.ingress("shop", HOST, "web").await;
    let bywash = shop.controller().await;
    eventually("traffic on both pods", SOON, async || {
        let pods = bywash.pods(HOST, 4).await;
        (pods.len() == 2).then_some(()).ok_or(format!("{pods:?}"))
    })
    .await;

    web.set_ready(0, false).await;
    bywash.processed_all(&web.slices().await).await;
    assert_eq!(bywash.pods(HOST, 20).await, ["web-1".to_owned()].into());
}

async fn a_terminating_pod_finishes_what_it_has_and_gets_nothing_new() {
    let shop = Tenant::new().await;
    let mut web = shop.workload("web", 1).await;
    web.slices().await;
    shop.ingress("shop", HOST, "web").await;
    let bywash = shop.controller().await;
    let in_flight = tokio::spawn(client::send(bywash.http, request(HOST, HELD)));
    eventually("request in flight", SOON, async || {
        (web.pods[0].backend.held() == 1)
            .then_some(())
            .ok_or("none".to_owned())
    })
    .await;

    web.scale(2).await;
    web.terminate(0).await;
    bywash.processed_all(&web.slices().await).await;
    assert_eq!(bywash.pods(HOST, 20).await, ["web-1".to_owned()].into());

    web.pods[0].backend.release();
    let finished = in_flight.await.unwrap().unwrap();
    assert_eq!(finished.pod(), "web-0");
}

async fn when_all_pods_are_terminating_they_go_on_serving() {
    let shop = Tenant::new().await;
    let mut web = shop.workload("web", 1).await;
    web.slices().await;
    shop.ingress("shop", HOST, "web").await;
    let bywash = shop.controller().await;

    web.terminate(0).await;
    bywash.processed_all(&web.slices().await).await;
    assert_eq!(bywash.get(HOST, "/").await.pod(), "web-0");
}

async fn from_one_pod_to_ten_to_none_and_back() {
    let shop = Tenant::new().await;
    let mut web = shop.workload("web", 1).await;
    web.slices().await;
    shop.ingress("shop", HOST, "web").await;
    let bywash = shop.controller().await;
    assert_eq!(bywash.get(HOST, "/").await.pod(), "web-0");

    web.scale(10).await;
    bywash.processed_all(&web.slices().await).await;
    eventually("traffic on ten pods", SOON, async || {
        bywash.pods(HOST, 10).await;
        let idle = web
            .pods
            .iter()
            .filter(|pod| pod.backend.seen() == 0)
            .count();
        (idle == 0)
            .then_some(())
            .ok_or(format!("{idle} got nothing yet"))
    })
    .await;

    web.scale(0).await;
    bywash.processed_all(&web.slices().await).await;
    let reply = bywash.get(HOST, "/").await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{reply:?}");

    web.scale(1).await;
    bywash.processed_all(&web.slices().await).await;
    assert_eq!(bywash.get(HOST, "/").await.pod(), "web-10");
}

/// The worst kind of update: each old pod is gone, with its connections, before the API says so.
async fn pods_that_are_replaced_under_load_cost_no_request() {
    let shop = Tenant::new().await;
    let mut web = shop.workload("web", 3).await;
    web.slices().await;
    shop.ingress("shop", HOST, "web").await;
    let bywash = shop.controller().await;
    let load = Load::start(8, bywash.http, HOST);
    load.flows(100).await;

    for _ in 0..3 {
        web.scale(4).await;
        bywash.processed_all(&web.slices().await).await;
        load.flows(50).await;
        drop(web.remove(0).await);
        load.flows(50).await;
        bywash.processed_all(&web.slices().await).await;
    }
    load.flows(100).await;
    load.stop_without_failures().await;
    assert!(web.pods.iter().all(|pod| pod.backend.seen() > 0));
    assert_eq!(web.pods[0].name, "web-3");
}

/// What most servers do on SIGTERM: they stop listening and close what is idle, though the slices do
/// not say yet that they end.
async fn pods_that_end_orderly_at_once_cost_no_request() {
    let shop = Tenant::new().await;
    let mut web = shop.workload("web", 3).await;
    web.slices().await;
    shop.ingress("shop", HOST, "web").await;
    let bywash = shop.controller().await;
    let load = Load::start(8, bywash.http, HOST);
    load.flows(50).await;

    for _ in 0..3 {
        web.scale(4).await;
        bywash.processed_all(&web.slices().await).await;
        web.terminate(0).await;
        web.remove(0).await.end().await;
        load.flows(50).await;
    }
    load.stop_without_failures().await;
    assert_eq!(web.pods[0].name, "web-3");
}

/// A POST that was sent is not repeated, so that none may meet a pod that is about to close its
/// connections. With a `preStop` pause no pod does so before the slices were read.
async fn pods_that_end_after_the_slices_say_so_cost_no_post_either() {
    let shop = Tenant::new().await;
    let mut web = shop.workload("web", 3).await;
    web.slices().await;
    shop.ingress("shop", HOST, "web").await;
    let bywash = shop.controller().await;
    let orders = Load::start_posts(8, bywash.http, HOST);
    orders.flows(50).await;

    for _ in 0..3 {
        web.scale(4).await;
        web.terminate(0).await;
        bywash.processed_all(&web.slices().await).await;
        orders.flows(16).await;
        web.remove(0).await.end().await;
        orders.flows(50).await;
    }
    orders.stop_without_failures().await;
    assert_eq!(web.pods[0].name, "web-3");
}
