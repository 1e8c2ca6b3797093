//! Certificates from Secrets: served by name, rotated without a restart.

use http::{StatusCode, header};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use serde_json::json;

use crate::objects::{ingress, object, tls_secret, with_tls};
use crate::tenant::Tenant;
use crate::workload::Workload;

trials![
    each_host_presents_the_certificate_of_its_secret,
    a_rotated_certificate_is_presented_once_processed,
    a_missing_secret_affects_only_its_host_and_is_reported,
    a_broken_secret_keeps_the_last_good_certificate,
    a_deleted_certificate_is_no_longer_presented,
    a_secret_of_another_type_is_reported_with_what_to_do,
    a_host_with_tls_redirects_plain_requests,
];

/// One host of the tenant, with TLS from the Secret of this name.
async fn secured<'a>(shop: &'a Tenant, host: &str, secret: &str) -> Workload<'a> {
    let web = shop.workload("web", 1).await;
    web.slices().await;
    let plain = ingress(&shop.name, secret, host, "web");
    shop.create(with_tls(plain, host, secret)).await;
    web
}

async fn each_host_presents_the_certificate_of_its_secret() {
    let shop = Tenant::new().await;
    let _web = secured(&shop, "a.example", "tls-a").await;
    let other = with_tls(
        ingress(&shop.name, "b", "b.example", "web"),
        "b.example",
        "tls-b",
    );
    shop.create(other).await;
    let ((a, of_a), (b, of_b)) = (
        tls_secret("tls-a", "a.example"),
        tls_secret("tls-b", "b.example"),
    );
    shop.create(a).await;
    shop.create(b).await;
    let bywash = shop.controller().await;

    let (presented, reply) = bywash.get_tls("a.example", "/").await;
    assert_eq!((presented, reply.pod()), (of_a, "web-0"));
    let (presented, reply) = bywash.get_tls("b.example", "/").await;
    assert_eq!((presented, reply.pod()), (of_b, "web-0"));
}

async fn a_rotated_certificate_is_presented_once_processed() {
    let shop = Tenant::new().await;
    let _web = secured(&shop, "shop.example", "tls").await;
    let (old, old_certificate) = tls_secret("tls", "shop.example");
    let old = shop.create(old).await;
    let bywash = shop.controller().await;
    assert_eq!(bywash.get_tls("shop.example", "/").await.0, old_certificate);

    let (new, new_certificate) = tls_secret("tls", "shop.example");
    let rotated = shop
        .patch(&old, json!({"stringData": new.string_data}))
        .await;
    bywash.processed(&rotated).await;
    assert_eq!(bywash.get_tls("shop.example", "/").await.0, new_certificate);
}

async fn a_missing_secret_affects_only_its_host_and_is_reported() {
    let shop = Tenant::new().await;
    let _web = secured(&shop, "late.example", "late").await;
    let on_time = ingress(&shop.name, "on-time", "on-time.example", "web");
    shop.create(with_tls(on_time, "on-time.example", "on-time"))
        .await;
    let (on_time, of_on_time) = tls_secret("on-time", "on-time.example");
    shop.create(on_time).await;
    let bywash = shop.controller().await;
    assert_eq!(bywash.get_tls("on-time.example", "/").await.0, of_on_time);
    let (stand_in, reply) = bywash.get_tls("late.example", "/").await;
    assert_eq!(reply.pod(), "web-0");

    let (late, of_late) = tls_secret("late", "late.example");
    assert_ne!(stand_in, of_late);
    let about: k8s_openapi::api::networking::v1::Ingress = shop.api().get("late").await.unwrap();
    let event = shop.event(&about, "late").await;
    assert_eq!(event.reason.as_deref(), Some("SecretNotFound"));
    bywash.processed(&shop.create(late).await).await;
    assert_eq!(bywash.get_tls("late.example", "/").await.0, of_late);
}

async fn a_broken_secret_keeps_the_last_good_certificate() {
    let shop = Tenant::new().await;
    let _web = secured(&shop, "shop.example", "tls").await;
    let (good, certificate) = tls_secret("tls", "shop.example");
    let good = shop.create(good).await;
    let bywash = shop.controller().await;
    assert_eq!(bywash.get_tls("shop.example", "/").await.0, certificate);

    let broken = shop
        .patch(&good, json!({"stringData": {"tls.key": "not a key"}}))
        .await;
    bywash.processed(&broken).await;
    assert_eq!(bywash.get_tls("shop.example", "/").await.0, certificate);
}

async fn a_deleted_certificate_is_no_longer_presented() {
    let shop = Tenant::new().await;
    let _web = secured(&shop, "shop.example", "tls").await;
    let (secret, certificate) = tls_secret("tls", "shop.example");
    let secret = shop.create(secret).await;
    let bywash = shop.controller().await;
    assert_eq!(bywash.get_tls("shop.example", "/").await.0, certificate);

    shop.delete(&secret).await;
    bywash.processed_deletion(&secret).await;
    let (presented, reply) = bywash.get_tls("shop.example", "/").await;
    assert_ne!(presented, certificate);
    assert_eq!(reply.pod(), "web-0");
}

async fn a_secret_of_another_type_is_reported_with_what_to_do() {
    let shop = Tenant::new().await;
    let _web = secured(&shop, "shop.example", "tls").await;
    let (mut opaque, _) = tls_secret("tls", "shop.example");
    opaque.type_ = Some("Opaque".into());
    shop.create(opaque).await;
    let bywash = shop.controller().await;
    let about: k8s_openapi::api::networking::v1::Ingress = shop.api().get("tls").await.unwrap();
    shop.event(&about, "kubernetes.io/tls").await;
    assert_eq!(bywash.get_tls("shop.example", "/").await.1.pod(), "web-0");

    // The type of a Secret cannot be changed: the advice is to make it anew.
    let wrong: Secret = object(json!({"metadata": {"name": "tls"}}));
    shop.delete(&wrong).await;
    let (right, certificate) = tls_secret("tls", "shop.example");
    let right = shop.create(right).await;
    assert_eq!(right.name_any(), "tls");
    bywash.processed(&right).await;
    assert_eq!(bywash.get_tls("shop.example", "/").await.0, certificate);
}

async fn a_host_with_tls_redirects_plain_requests() {
    let shop = Tenant::new().await;
    let web = secured(&shop, "shop.example", "tls").await;
    let (secret, _) = tls_secret("tls", "shop.example");
    shop.create(secret).await;
    let bywash = shop.controller().await;

    let reply = bywash.get("shop.example", "/cart?of=42").await;
    assert_eq!(reply.status, StatusCode::PERMANENT_REDIRECT, "{reply:?}");
    let location = reply.headers[header::LOCATION].to_str().unwrap();
    assert!(location.starts_with("https://shop.example"), "{location}");
    assert!(location.ends_with("/cart?of=42"), "{location}");
    assert_eq!(web.seen(), 0);
    let challenge = bywash
        .get("shop.example", "/.well-known/acme-challenge/token")
        .await;
    assert_eq!(challenge.pod(), "web-0");
}
