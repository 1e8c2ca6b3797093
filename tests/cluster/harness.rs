//! The harness itself: what every other test here takes for granted.

pub(crate) mod node;

use std::net::Ipv4Addr;

use http::StatusCode;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;

use crate::backend::Backend;
use crate::client::{self, WebSocket, request};
use crate::control_plane::{ControlPlane, User};
use crate::load::Load;
use crate::objects::{POD_PORT, object};
use crate::tenant::Tenant;
use crate::wait::{SOON, eventually};

trials![
    the_api_server_is_one_that_bywash_supports,
    ready_unready_and_terminating_pods_appear_so_in_the_slices,
    an_api_server_that_was_killed_comes_back_with_its_data,
    a_stranger_may_read_nothing,
    a_backend_answers_with_its_name_and_echoes_upgrades,
    load_notices_every_request_that_fails,
];

async fn the_api_server_is_one_that_bywash_supports() {
    let client = ControlPlane::shared().await.client().await;
    let version = client.apiserver_version().await.unwrap();
    let minor: u32 = version.minor.parse().unwrap();
    assert!(version.major == "1" && minor >= 33, "{version:?}");
}

async fn ready_unready_and_terminating_pods_appear_so_in_the_slices() {
    let shop = Tenant::new().await;
    let mut web = shop.workload("web", 2).await;
    web.add_unready().await;
    let slices = web.slices().await;
    assert_eq!(slices.len(), 1);

    web.set_ready(2, true).await;
    web.set_ready(0, false).await;
    web.slices().await;
    web.terminate(1).await;
    web.slices().await;
    drop(web.remove(1).await);
    web.slices().await;
    web.scale(0).await;
    web.slices().await;
}

async fn an_api_server_that_was_killed_comes_back_with_its_data() {
    let own = ControlPlane::own("killed").await;
    let shop = Tenant::of(std::sync::Arc::clone(&own.plane)).await;
    let kept: ConfigMap =
        object(serde_json::json!({"metadata": {"name": "kept"}, "data": {"a": "b"}}));
    let kept = shop.create(kept).await;

    own.plane.kill_api_server();
    let refused = shop.api::<ConfigMap>().get("kept").await;
    assert!(refused.is_err(), "{refused:?}");

    own.plane.start_api_server().await;
    let read = shop.api::<ConfigMap>().get("kept").await.unwrap();
    assert_eq!(read.resource_version(), kept.resource_version());
}

async fn a_stranger_may_read_nothing() {
    let shop = Tenant::new().await;
    let stranger = shop.plane.client_of(User::Stranger).await;
    let refused = kube::Api::<ConfigMap>::namespaced(stranger, &shop.name)
        .get("any")
        .await
        .unwrap_err();
    assert!(matches!(refused, kube::Error::Api(status) if status.code == 403));
}

async fn a_backend_answers_with_its_name_and_echoes_upgrades() {
    let address = (Ipv4Addr::new(10, 244, 255, 1), POD_PORT).into();
    let backend = Backend::start("alone", address).await;
    let reply = client::send(address, request("any.example", "/"))
        .await
        .unwrap();
    assert_eq!((reply.status, reply.pod()), (StatusCode::OK, "alone"));

    let mut socket = WebSocket::open(address, "any.example").await.unwrap();
    assert_eq!(socket.echo("hello").await.unwrap(), "hello");
    assert_eq!(backend.seen(), 2);

    drop(backend);
    eventually("crash that ends the connection", SOON, async || {
        socket.echo("hello").await.err().ok_or("an echo".to_owned())
    })
    .await;
}

async fn load_notices_every_request_that_fails() {
    let address = (Ipv4Addr::new(10, 244, 255, 2), POD_PORT).into();
    let backend = Backend::start("alone", address).await;
    let load = Load::start(2, address, "any.example");
    load.flows(10).await;
    drop(backend);
    load.fails().await;
    let _again = Backend::start("again", address).await;
    load.flows(10).await;
}
