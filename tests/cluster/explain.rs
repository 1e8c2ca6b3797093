//! `bywash explain`: the real program, with the rights of a user, on what the API server has.

use std::process::Command;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::api::networking::v1::IngressClass;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::control_plane::User;
use crate::objects::object;
use crate::process;
use crate::replica::Replica;
use crate::tenant::Tenant;
use crate::wait::{SOON, eventually};

trials![
    what_fails_is_explained_down_to_the_endpoint_with_and_without_the_live_view,
    who_may_read_nothing_is_told_what_is_missing,
    the_live_view_is_that_of_the_replicas_that_serve_the_ingress,
    an_ingress_that_is_served_without_an_ingressclass_is_not_said_to_lack_it,
];

/// The exit code, what was said, and what was complained of.
fn explain(shop: &Tenant, user: User, words: &[&str]) -> (Option<i32>, String, String) {
    process::said_by(
        Command::new(env!("CARGO_BIN_EXE_bywash"))
            .env_clear()
            .arg("explain")
            .arg(format!("--kubeconfig={}", shop.kubeconfig(user).display()))
            .arg(format!("--namespace={}", shop.name))
            .arg(format!("--controller-namespace={}", shop.name))
            .args(words),
    )
}

async fn what_fails_is_explained_down_to_the_endpoint_with_and_without_the_live_view() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    let healthy = shop.ingress("healthy", "healthy.example", "web").await;
    let broken = shop.ingress("broken", "broken.example", "wbe").await;
    let bywash = shop
        .replica("bywash-0", &["--publish-address=192.0.2.10"])
        .await;
    bywash.processed(&healthy).await;
    shop.event(&broken, "wbe").await;

    let (code, said, complaint) = explain(&shop, User::Admin, &["ingress/broken"]);
    assert_eq!(code, Some(1), "{said}{complaint}");
    assert!(said.contains("there is no Service wbe"), "{said}");
    assert!(said.contains("there is web"), "{said}");
    assert!(!said.contains('\u{1b}'), "colours in a pipe: {said:?}");

    let live = format!("--live=http://{}", bywash.admin);
    let all = ["ingress/healthy", live.as_str(), "--output=json"];
    let json = eventually("healthy Ingress with a live view", SOON, async || {
        let (code, said, complaint) = explain(&shop, User::Admin, &all);
        (code == Some(0))
            .then_some(said.clone())
            .ok_or(said + &complaint)
    })
    .await;
    let json: Value = serde_json::from_str(&json).unwrap();
    let path = &json["objects"][0]["hosts"][0]["paths"][0];
    assert_eq!(path["endpoints"][0]["pod"], "web-0", "{json:#}");
    assert_eq!(json["live"][0], format!("http://{}", bywash.admin));

    let (code, said, _) = explain(&shop, User::Admin, &["ingress/healthyy"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("there is healthy"), "{said}");
}

async fn who_may_read_nothing_is_told_what_is_missing() {
    let shop = Tenant::new().await;
    shop.ingress("web", "web.example", "web").await;
    let (code, said, complaint) = explain(&shop, User::Stranger, &["ingress/web"]);
    assert_eq!((code, said.as_str()), (Some(1), ""), "{complaint}");
    assert!(
        complaint.contains("you may not list ingresses.networking.k8s.io"),
        "{complaint}"
    );
}

/// The Pods have no node, so that none of them answers: who was asked is told.
async fn the_live_view_is_that_of_the_replicas_that_serve_the_ingress() {
    let (shop, other) = (Tenant::new().await, Tenant::new().await);
    for name in ["bywash-0", "other-0"] {
        let pod: Pod = object(json!({
            "metadata": {"name": name},
            "spec": {"containers": [{"name": "bywash", "image": "bywash"}]},
        }));
        shop.create(pod).await;
    }
    let kubeconfig = shop.kubeconfig(User::Bywash);
    let beside = (&*kubeconfig, &*shop.name);
    let _replicas = [
        Replica::start_by(beside, &shop, "bywash-0", &[]),
        Replica::start_by(beside, &other, "other-0", &[]),
    ];
    for name in ["bywash-0", "other-0"] {
        let report = format!("bywash-report-{name}");
        eventually(&report, SOON, async || {
            let report = shop.api::<ConfigMap>().get(&report).await;
            report.map(drop).map_err(|error| error.to_string())
        })
        .await;
    }
    shop.ingress("shop", "shop.example", "web").await;
    let (_, said, complaint) = explain(&shop, User::Admin, &["ingress/shop"]);
    assert!(
        said.contains("Not read: the live view, because bywash-0") && !said.contains("other-0"),
        "{said}{complaint}"
    );
}

/// Where one namespace is all that is read, no IngressClass is needed.
async fn an_ingress_that_is_served_without_an_ingressclass_is_not_said_to_lack_it() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    let classes = Api::<IngressClass>::all(shop.client.clone());
    let deleted = classes.delete(&shop.name, &DeleteParams::default()).await;
    deleted.unwrap();
    shop.ingress("shop", "shop.example", "web").await;
    let (code, said, complaint) = explain(&shop, User::Admin, &["ingress/shop"]);
    assert_eq!(code, Some(1), "{said}{complaint}");
    assert!(said.contains("likely not served"), "{said}");
    assert!(said.contains("which does not exist"), "{said}");

    let alone = format!("--watch-namespace={}", shop.name);
    let more = [alone.as_str(), "--publish-address=192.0.2.10"];
    let _bywash = shop.replica("bywash-0", &more).await;
    let said = eventually("Ingress that is served", SOON, async || {
        let (code, said, complaint) = explain(&shop, User::Admin, &["ingress/shop"]);
        (code == Some(0))
            .then_some(said.clone())
            .ok_or(said + &complaint)
    })
    .await;
    let by_name = format!(
        "{}, of which there is no IngressClass; Bywash serves it by that name",
        shop.name
    );
    assert!(
        said.contains(&by_name) && !said.contains("ClassNotFound"),
        "{said}"
    );
}
