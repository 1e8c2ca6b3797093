//! Error pages from a ConfigMap: what somebody writes there is shown at once, or told to be broken.

use bywash::api::policy::GatewayPolicy;
use http::{HeaderValue, StatusCode, header};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;

use crate::client::{self, request};
use crate::objects::object;
use crate::policy::{HOST, for_ingress, policy};
use crate::replica::Replica;
use crate::tenant::Tenant;
use crate::wait::{SOON, eventually};

trials![a_page_that_changes_is_shown_and_a_broken_one_is_told_while_the_last_good_one_serves,];

/// Waits until clients that prefer HTML are shown this.
async fn shows(bywash: &Replica, page: &str) {
    eventually(&format!("page {page}"), SOON, async || {
        let mut asked = request(HOST, "/");
        let html = HeaderValue::from_static("text/html");
        asked.headers_mut().insert(header::ACCEPT, html);
        let answer = client::send(bywash.http, asked).await.unwrap();
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        (answer.body == page).then_some(()).ok_or(answer.body)
    })
    .await;
}

/// Waits until the policy says so of what it names.
async fn says_of_references(shop: &Tenant, status: &str, part: &str) {
    eventually(&format!("ResolvedRefs={status}"), SOON, async || {
        let now: GatewayPolicy = shop.api().get("p").await.unwrap();
        let conditions = now
            .status
            .unwrap_or_default()
            .conditions
            .unwrap_or_default();
        let mut said = conditions.iter().filter(|it| it.type_ == "ResolvedRefs");
        let so = said.any(|it| it.status == status && it.message.contains(part));
        so.then_some(()).ok_or(format!("{conditions:?}"))
    })
    .await;
}

async fn a_page_that_changes_is_shown_and_a_broken_one_is_told_while_the_last_good_one_serves() {
    let shop = Tenant::new().await;
    shop.workload("web", 0).await;
    shop.ingress("shop", HOST, "web").await;
    let pages: ConfigMap = object(json!({
        "metadata": {"name": "pages", "labels": {"bywash.dev/error-pages": "true"}},
        "data": {"5xx.html": "first {{ status }}"},
    }));
    let pages = shop.create(pages).await;
    let named = json!({"errorPages": [{"statuses": ["502-504"], "configMap": {"name": "pages"}}]});
    shop.create(policy("p", for_ingress("shop", named))).await;
    let bywash = shop.controller().await;
    shows(&bywash, "first 503").await;
    says_of_references(&shop, "True", "").await;

    let page = |text: &str| json!({"data": {"5xx.html": text}});
    shop.patch(&pages, page("second {{ status }}")).await;
    shows(&bywash, "second 503").await;

    shop.patch(&pages, page("third {{ status }")).await;
    says_of_references(&shop, "False", "its last good form stays in use").await;
    shows(&bywash, "second 503").await;

    shop.patch(&pages, page("fourth {{ status }}")).await;
    shows(&bywash, "fourth 503").await;
    says_of_references(&shop, "True", "").await;
}
