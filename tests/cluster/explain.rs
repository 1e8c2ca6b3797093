//! `bywash explain`: the real program, with the rights of a user, on what the API server has.

use std::process::Command;

use serde_json::Value;

use crate::control_plane::User;
use crate::tenant::Tenant;
use crate::wait::{SOON, eventually};

trials![
    what_fails_is_explained_down_to_the_endpoint_with_and_without_the_live_view,
    who_may_read_nothing_is_told_what_is_missing,
];

/// The exit code, what was said, and what was complained of.
fn explain(shop: &Tenant, user: User, words: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_bywash"))
        .env_clear()
        .arg("explain")
        .arg(format!("--kubeconfig={}", shop.kubeconfig(user).display()))
        .arg(format!("--namespace={}", shop.name))
        .arg(format!("--controller-namespace={}", shop.name))
        .args(words)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
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
