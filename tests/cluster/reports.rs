//! What replicas tell each other: who lags is waited for, and who is gone counts no more.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::conditions::{CLEARED, TOLD, is_said, is_said_while, replica};
use crate::policy::{IN_FORCE, for_ingress, has_conditions, policy};
use crate::replica::Replica;
use crate::tenant::Tenant;
use crate::wait::{SOON, eventually};
use crate::workload::Workload;

trials![
    a_policy_is_programmed_when_the_last_replica_serves_it,
    what_a_replica_saw_whose_pod_is_gone_counts_no_more,
    what_a_replica_saw_that_hangs_counts_no_more_after_a_while,
];

const HOST: &str = crate::policy::HOST;

/// After which a report that does not change is ignored, and all may be well; and some time to write it.
const IGNORED: Duration = Duration::from_secs(200);

/// How often the one that leads is asked while the other hangs: in the half minute that decides, far less often
/// than two hundred times, so that a single failure that the other told is more than half a percent.
const SELDOM: Duration = Duration::from_secs(1);

/// The one that leads, and the other.
async fn two_replicas(shop: &Tenant) -> [Replica; 2] {
    let leader = replica(shop, "bywash-0").await;
    crate::replicas::first_leader(shop).await;
    [leader, replica(shop, "bywash-1").await]
}

fn target_port(port: u16) -> Value {
    json!({"spec": {"ports": [{"name": "http", "port": 80, "targetPort": port}]}})
}

async fn a_policy_is_programmed_when_the_last_replica_serves_it() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    shop.ingress("shop", HOST, "web").await;
    let given = shop
        .create(policy("p", for_ingress("shop", json!({}))))
        .await;
    let [_leader, other] = two_replicas(&shop).await;
    has_conditions(&shop, &given, &IN_FORCE).await;
    eventually("report of the other replica", SOON, async || {
        let report = shop.api::<ConfigMap>().get("bywash-report-bywash-1").await;
        report.map(drop).map_err(|error| error.to_string())
    })
    .await;

    other.hang();
    let changed = json!({"spec": {"tlsRedirect": false}});
    let changed = shop.patch(&given, changed).await;
    let waits = [
        "Accepted=True/Accepted",
        "ResolvedRefs=True/ResolvedRefs",
        "Programmed=False/Pending",
        "Ready=False/Pending",
    ];
    let pending = has_conditions(&shop, &changed, &waits).await;
    let conditions = pending.status.unwrap().conditions.unwrap();
    let programmed = conditions.iter().find(|it| it.type_ == "Programmed");
    let message = &programmed.unwrap().message;
    assert!(
        message.contains("bywash-1") && !message.contains("bywash-0"),
        "{message}"
    );

    other.go_on();
    has_conditions(&shop, &changed, &IN_FORCE).await;
}

/// The replica that does not lead has told of requests that fail, which now would succeed.
async fn seen_by_the_other_alone<'a>(shop: &'a Tenant) -> (Workload<'a>, [Replica; 2]) {
    let web = shop.workload("web", 1).await;
    web.slices().await;
    shop.patch(&web.service, target_port(8081)).await;
    let ingress: Ingress = shop.ingress("shop", HOST, "web").await;
    let given = shop
        .create(policy("p", for_ingress("shop", json!({}))))
        .await;
    let replicas = two_replicas(shop).await;
    replicas[1].processed(&ingress).await;
    replicas[1].processed(&given).await;
    is_said(shop, &replicas[1], "True/ConnectionRefused", TOLD * 2).await;
    (web, replicas)
}

async fn what_a_replica_saw_whose_pod_is_gone_counts_no_more() {
    let shop = Tenant::new().await;
    let (web, [leader, mut other]) = seen_by_the_other_alone(&shop).await;
    other.kill();
    let now = DeleteParams::default().grace_period(0);
    let pods = shop.api::<Pod>();
    pods.delete("bywash-1", &now).await.unwrap();
    shop.patch(&web.service, target_port(8080)).await;
    // Kubernetes removes the report with its Pod.
    is_said(&shop, &leader, "False/NoFailures", CLEARED * 2).await;
}

async fn what_a_replica_saw_that_hangs_counts_no_more_after_a_while() {
    let shop = Tenant::new().await;
    let (web, [leader, other]) = seen_by_the_other_alone(&shop).await;
    other.hang();
    let hung = Instant::now();
    shop.patch(&web.service, target_port(8080)).await;
    let mut pace = interval(SELDOM);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    is_said_while(&shop, "False/NoFailures", IGNORED, async || {
        pace.tick().await;
        leader.get(HOST, "/").await;
    })
    .await;
    // Until then it did count.
    assert!(hung.elapsed() > CLEARED * 2, "{:?}", hung.elapsed());
}
