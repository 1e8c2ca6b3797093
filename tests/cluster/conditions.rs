//! What fails stands on the resources, whichever replica sees it.

use std::time::Duration;

use bywash::api::policy::GatewayPolicy;
use http::StatusCode;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::api::networking::v1::Ingress;
use kube::ResourceExt;
use serde_json::json;
use tokio::time::Instant;

use crate::objects::object;
use crate::policy::{HOST, for_ingress, policy};
use crate::replica::Replica;
use crate::tenant::Tenant;
use crate::wait::{SOON, eventually};

trials![; alone: what_one_replica_sees_stands_on_the_resources_until_it_is_repaired];

/// From the first failure to the condition.
pub(crate) const TOLD: Duration = Duration::from_secs(10);

/// From the repair to the end of the condition.
pub(crate) const CLEARED: Duration = Duration::from_secs(30);

/// A replica with a Pod of its name, which owns its report.
pub(crate) async fn replica(shop: &Tenant, name: &str) -> Replica {
    let pod: Pod = object(json!({
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "bywash", "image": "bywash"}]},
    }));
    shop.create(pod).await;
    shop.replica(name, &["--publish-address=192.0.2.10"]).await
}

/// Status and reason of the condition, and its message.
async fn bad_gateway(shop: &Tenant) -> (String, String) {
    let now: GatewayPolicy = shop.api().get("p").await.unwrap();
    let conditions = now.status.unwrap_or_default().conditions;
    let mut conditions = conditions.into_iter().flatten();
    let found = conditions.find(|it| it.type_ == "BadGateway");
    let found = found.unwrap_or_default();
    (format!("{}/{}", found.status, found.reason), found.message)
}

async fn port_error(shop: &Tenant) -> Option<String> {
    let now: Ingress = shop.api().get("shop").await.unwrap();
    let points = now.status?.load_balancer?.ingress?;
    points.first()?.ports.as_ref()?.first()?.error.clone()
}

/// Waits until the policy says so while the replica gets requests, and for which reason.
pub(crate) async fn is_said(
    shop: &Tenant,
    replica: &Replica,
    wanted: &str,
    within: Duration,
) -> String {
    is_said_while(shop, wanted, within, async || {
        replica.get(HOST, "/").await;
    })
    .await
}

/// The same, while this goes on.
pub(crate) async fn is_said_while(
    shop: &Tenant,
    wanted: &str,
    within: Duration,
    mut goes_on: impl AsyncFnMut(),
) -> String {
    let what = format!("BadGateway={wanted}");
    eventually(&what, within, async || {
        goes_on().await;
        let (said, message) = bad_gateway(shop).await;
        (said == wanted)
            .then_some(message.clone())
            .ok_or(format!("{said}: {message}"))
    })
    .await
}

/// Requests go to the replica that does not lead.
async fn what_one_replica_sees_stands_on_the_resources_until_it_is_repaired() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    let wrong = json!({"spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8081}]}});
    shop.patch(&web.service, wrong).await;
    let ingress = shop.ingress("shop", HOST, "web").await;
    let given = shop
        .create(policy("p", for_ingress("shop", json!({}))))
        .await;
    let _leader = replica(&shop, "bywash-0").await;
    crate::replicas::first_leader(&shop).await;
    let other = replica(&shop, "bywash-1").await;
    other.processed(&ingress).await;
    other.processed(&given).await;
    eventually("a 502", SOON, async || {
        let status = other.status(HOST, "/").await;
        (status == StatusCode::BAD_GATEWAY)
            .then_some(())
            .ok_or(status.to_string())
    })
    .await;

    let failed = Instant::now();
    let message = is_said(&shop, &other, "True/ConnectionRefused", TOLD).await;
    println!("told after {:?}", failed.elapsed());
    assert!(
        message.contains("at web-0 (") && message.contains("Request id"),
        "{message}"
    );
    let event = shop.event(&ingress, "answered 502").await;
    assert_eq!(event.reason.as_deref(), Some("ConnectionRefused"));
    eventually("error on the ports", SOON, async || {
        let error = port_error(&shop).await;
        (error.as_deref() == Some("bywash.dev/BadGateway"))
            .then_some(())
            .ok_or(format!("{error:?}"))
    })
    .await;
    let reports = shop
        .api::<ConfigMap>()
        .get("bywash-report-bywash-1")
        .await
        .unwrap();
    assert_eq!(reports.owner_references()[0].kind, "Pod");

    let right = json!({"spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]}});
    shop.patch(&web.service, right).await;
    let repaired = Instant::now();
    let message = is_said(&shop, &other, "False/NoFailures", CLEARED).await;
    println!("cleared after {:?}", repaired.elapsed());
    assert!(message.contains("it lasted"), "{message}");
    shop.event(&ingress, "it lasted").await;
    eventually("no error on the ports", SOON, async || {
        port_error(&shop).await.map_or(Ok(()), Err)
    })
    .await;
}
