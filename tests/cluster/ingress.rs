//! Ingresses as people create, change and delete them.

use http::StatusCode;
use k8s_openapi::api::networking::v1::Ingress;
use serde_json::json;

use crate::backend::ECHO;
use crate::client::{self, request};
use crate::objects::{backend, object, rule};
use crate::tenant::Tenant;

trials![
    a_new_ingress_is_served_once_it_is_processed,
    a_changed_host_replaces_the_old_one,
    a_changed_backend_moves_the_traffic,
    a_deleted_ingress_is_no_longer_served,
    the_longest_matching_path_decides,
    what_no_rule_matches_goes_to_the_default_backend,
    of_two_ingresses_with_the_same_path_the_older_serves_it,
    the_upstream_learns_who_asked_and_how,
];

async fn a_new_ingress_is_served_once_it_is_processed() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    let bywash = shop.controller().await;
    assert_eq!(
        bywash.status("shop.example", "/").await,
        StatusCode::NOT_FOUND
    );

    let ingress = shop.ingress("shop", "shop.example", "web").await;
    bywash.processed(&ingress).await;

    assert_eq!(
        bywash.get("shop.example", "/cart?of=42").await.pod(),
        "web-0"
    );
    assert_eq!(
        bywash.status("other.example", "/").await,
        StatusCode::NOT_FOUND
    );
    assert_eq!(web.seen(), 1);
}

async fn a_changed_host_replaces_the_old_one() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    let old = shop.ingress("shop", "old.example", "web").await;
    let bywash = shop.controller().await;
    assert_eq!(bywash.get("old.example", "/").await.pod(), "web-0");

    let rules = json!({"spec": {"rules": [rule("new.example", "/", "web")]}});
    let new = shop.patch(&old, rules).await;
    bywash.processed(&new).await;

    assert_eq!(bywash.get("new.example", "/").await.pod(), "web-0");
    assert_eq!(
        bywash.status("old.example", "/").await,
        StatusCode::NOT_FOUND
    );
}

async fn a_changed_backend_moves_the_traffic() {
    let shop = Tenant::new().await;
    let (blue, green) = (
        shop.workload("blue", 1).await,
        shop.workload("green", 1).await,
    );
    blue.slices().await;
    green.slices().await;
    let ingress = shop.ingress("shop", "shop.example", "blue").await;
    let bywash = shop.controller().await;
    assert_eq!(bywash.get("shop.example", "/").await.pod(), "blue-0");

    let rules = json!({"spec": {"rules": [rule("shop.example", "/", "green")]}});
    bywash.processed(&shop.patch(&ingress, rules).await).await;
    assert_eq!(bywash.get("shop.example", "/").await.pod(), "green-0");
}

async fn a_deleted_ingress_is_no_longer_served() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    let gone = shop.ingress("gone", "gone.example", "web").await;
    shop.ingress("stays", "stays.example", "web").await;
    let bywash = shop.controller().await;
    assert_eq!(bywash.get("gone.example", "/").await.pod(), "web-0");

    shop.delete(&gone).await;
    bywash.processed_deletion(&gone).await;
    assert_eq!(
        bywash.status("gone.example", "/").await,
        StatusCode::NOT_FOUND
    );
    assert_eq!(bywash.get("stays.example", "/").await.pod(), "web-0");
}

async fn the_longest_matching_path_decides() {
    let shop = Tenant::new().await;
    let (web, cart) = (
        shop.workload("web", 1).await,
        shop.workload("cart", 1).await,
    );
    web.slices().await;
    cart.slices().await;
    shop.ingress("web", "shop.example", "web").await;
    let rules = json!([rule("shop.example", "/cart", "cart")]);
    let of_cart: Ingress = object(json!({
        "metadata": {"name": "cart"},
        "spec": {"ingressClassName": shop.name, "rules": rules},
    }));
    shop.create(of_cart).await;
    let bywash = shop.controller().await;

    assert_eq!(bywash.get("shop.example", "/cart/1").await.pod(), "cart-0");
    assert_eq!(bywash.get("shop.example", "/cart").await.pod(), "cart-0");
    assert_eq!(bywash.get("shop.example", "/carton").await.pod(), "web-0");
    assert_eq!(
        bywash.get("shop.example", "/x/../cart/2").await.pod(),
        "cart-0"
    );
}

async fn what_no_rule_matches_goes_to_the_default_backend() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    let all: Ingress = object(json!({
        "metadata": {"name": "all"},
        "spec": {"ingressClassName": shop.name, "defaultBackend": backend("web")},
    }));
    let all = shop.create(all).await;
    let bywash = shop.controller().await;
    assert_eq!(bywash.get("any.example", "/thing").await.pod(), "web-0");

    shop.delete(&all).await;
    bywash.processed_deletion(&all).await;
    assert_eq!(
        bywash.status("any.example", "/thing").await,
        StatusCode::NOT_FOUND
    );
}

/// Ingress creation times have a resolution of one second, hence names in the same order.
async fn of_two_ingresses_with_the_same_path_the_older_serves_it() {
    let shop = Tenant::new().await;
    let (first, second) = (
        shop.workload("first", 1).await,
        shop.workload("second", 1).await,
    );
    first.slices().await;
    second.slices().await;
    let older = shop.ingress("a", "shop.example", "first").await;
    let younger = shop.ingress("b", "shop.example", "second").await;
    let bywash = shop.controller().await;
    assert_eq!(
        bywash.pods("shop.example", 5).await,
        ["first-0".to_owned()].into()
    );

    let event = shop.event(&younger, "shop.example").await;
    assert_eq!(event.reason.as_deref(), Some("PathConflict"));
    assert!(event.message.unwrap().contains(&format!("{}/a", shop.name)));

    shop.delete(&older).await;
    bywash.processed_deletion(&older).await;
    assert_eq!(bywash.get("shop.example", "/").await.pod(), "second-0");
}

async fn the_upstream_learns_who_asked_and_how() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    shop.ingress("shop", "shop.example", "web").await;
    let bywash = shop.controller().await;

    let mut asked = request("shop.example", &format!("{ECHO}?q=1"));
    asked
        .headers_mut()
        .insert("x-forwarded-for", "192.0.2.66".parse().unwrap());
    let reply = client::send(bywash.http, asked).await.unwrap();

    let head = &reply.body;
    assert!(head.starts_with(&format!("GET {ECHO}?q=1\n")), "{head}");
    for line in [
        "host: shop.example",
        "x-forwarded-for: 127.0.0.1",
        "x-real-ip: 127.0.0.1",
        "x-forwarded-host: shop.example",
        "x-forwarded-proto: http",
        "x-forwarded-port: 80",
    ] {
        assert!(head.lines().any(|is| is == line), "no {line} in\n{head}");
    }
    assert!(head.contains("\nx-request-id: "), "{head}");
    assert!(
        !head.contains("192.0.2.66"),
        "forged by an untrusted client:\n{head}"
    );
}
