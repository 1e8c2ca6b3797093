//! What stands in: a Service that a policy names, and what the policy says where there is none.

use bywash::api::policy::GatewayPolicy;
use http::StatusCode;
use serde_json::json;

use crate::gitops::{SERVER_SIDE, kubectl_reads};
use crate::policy::{HOST, IN_FORCE, for_ingress, has_conditions, policy};
use crate::tenant::Tenant;

trials![
    a_fallback_that_is_not_there_is_told_and_stands_in_as_soon_as_it_is,
    the_policy_for_whoever_comes_from_nginx_is_taken,
];

async fn a_fallback_that_is_not_there_is_told_and_stands_in_as_soon_as_it_is() {
    let shop = Tenant::new().await;
    let ingress = shop.ingress("shop", HOST, "gone").await;
    let sections = json!({"fallback": {"service": {"name": "static", "port": {"number": 80}}}});
    let backed = shop
        .create(policy("p", for_ingress("shop", sections)))
        .await;
    let bywash = shop.controller().await;
    bywash.processed(&ingress).await;
    let missing = [
        "Accepted=True/Accepted",
        "ResolvedRefs=False/RefNotFound",
        "Programmed=True/Programmed",
        "Ready=False/RefNotFound",
    ];
    let told = has_conditions(&shop, &backed, &missing).await;
    let message = &told.status.unwrap().conditions.unwrap()[1].message;
    let name = format!("the Service {}/static does not exist", shop.name);
    assert!(message.contains(&name), "{message}");
    shop.event(&backed, "nothing stands in").await;
    assert_eq!(
        bywash.status(HOST, "/").await,
        StatusCode::SERVICE_UNAVAILABLE
    );

    let stands_in = shop.workload("static", 1).await;
    for slice in stands_in.slices().await {
        bywash.processed(&slice).await;
    }
    has_conditions(&shop, &backed, &IN_FORCE).await;
    let answer = bywash.get(HOST, "/").await;
    assert_eq!(answer.status, StatusCode::OK);
    let said = answer.headers["proxy-status"].to_str().unwrap();
    assert_eq!(said, "bywash; details=\"fallback: unknown_upstream\"");
    assert_eq!(stands_in.seen(), 1);
}

/// The text as it stands there: kubectl reads YAML in its own way.
async fn the_policy_for_whoever_comes_from_nginx_is_taken() {
    let shop = Tenant::new().await;
    let text = include_str!("../../examples/from-nginx/policy.yaml");
    let words = [&SERVER_SIDE[..], &["--validate=strict"]].concat();
    let output = kubectl_reads(&shop, &words, text);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let written: GatewayPolicy = serde_saphyr::from_str(text).unwrap();
    let stored: GatewayPolicy = shop.api().get("shop").await.unwrap();
    assert_eq!(stored.spec, written.spec);
}
