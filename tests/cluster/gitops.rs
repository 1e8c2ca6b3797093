//! What pipelines rely on, with the kubectl that they run: `docs/gitops/` promises it.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use bywash::api::policy::GatewayPolicy;
use http::StatusCode;
use k8s_openapi::api::networking::v1::Ingress;
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::control_plane::User;
use crate::namespace;
use crate::objects::ingress;
use crate::policy::{HOST, IN_FORCE, for_ingress, has_conditions, policy};
use crate::tenant::{Kind, Tenant};
use crate::wait::{SOON, eventually};

trials![
    kubectl_waits_until_a_policy_is_in_force,
    a_server_side_apply_by_another_never_fights_with_ours,
    a_dry_run_changes_nothing,
    applying_the_same_again_causes_no_write,
    the_statuses_by_which_argo_cd_is_tested_are_those_that_are_written,
];

const ADDRESS: &str = "--publish-address=192.0.2.10";

/// As Argo CD applies.
pub(crate) const SERVER_SIDE: [&str; 4] = [
    "apply",
    "--server-side",
    "--field-manager=argocd-controller",
    "--filename=-",
];

pub(crate) fn kubectl(shop: &Tenant, words: &[&str], manifests: &[Value]) -> Output {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": manifests});
    kubectl_reads(shop, words, &list.to_string())
}

/// The same with a text, of which it makes what it understands.
pub(crate) fn kubectl_reads(shop: &Tenant, words: &[&str], text: &str) -> Output {
    let mut child = Command::new(namespace::binaries().path("kubectl"))
        .env_clear()
        .env("HOME", namespace::scratch())
        .arg(format!(
            "--kubeconfig={}",
            shop.kubeconfig(User::Admin).display()
        ))
        .arg(format!("--namespace={}", shop.name))
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    child.wait_with_output().unwrap()
}

#[track_caller]
pub(crate) fn applied(shop: &Tenant, words: &[&str], manifests: &[Value]) -> String {
    let output = kubectl(shop, words, manifests);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

/// As they stand in a repository: without a status.
fn manifests(shop: &Tenant, attempts: u8) -> [Value; 2] {
    let spec = for_ingress("shop", json!({"retry": {"attempts": attempts}}));
    [
        serde_json::to_value(ingress(&shop.name, "shop", HOST, "web")).unwrap(),
        serde_json::to_value(policy("p", spec)).unwrap(),
    ]
}

async fn version<K: Kind>(shop: &Tenant, name: &str) -> Option<String> {
    let found = shop.api::<K>().get_opt(name).await.unwrap();
    found.and_then(|object| object.resource_version())
}

async fn versions(shop: &Tenant) -> [Option<String>; 2] {
    [
        version::<Ingress>(shop, "shop").await,
        version::<GatewayPolicy>(shop, "p").await,
    ]
}

/// Waits until all that is to be said of both objects is said.
async fn settled(shop: &Tenant) -> [Option<String>; 2] {
    let given: GatewayPolicy = shop.api().get("p").await.unwrap();
    has_conditions(shop, &given, &IN_FORCE).await;
    has_address(shop).await;
    versions(shop).await
}

async fn has_address(shop: &Tenant) {
    eventually("an address on the Ingress", SOON, async || {
        let now: Ingress = shop.api().get("shop").await.unwrap();
        let status = now.status.and_then(|status| status.load_balancer);
        let points = status.and_then(|it| it.ingress).unwrap_or_default();
        let address = points.first().and_then(|point| point.ip.clone());
        (address.as_deref() == Some("192.0.2.10"))
            .then_some(())
            .ok_or(format!("{points:?}"))
    })
    .await;
}

async fn kubectl_waits_until_a_policy_is_in_force() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    applied(&shop, &SERVER_SIDE, &manifests(&shop, 2));
    let wait = [
        "wait",
        "--for=condition=Ready",
        "gatewaypolicy/p",
        "--timeout=0s",
    ];
    // Nobody has looked at it yet.
    assert!(!kubectl(&shop, &wait, &[]).status.success());
    let _bywash = shop.replica("bywash-0", &[ADDRESS]).await;
    let wait = [&wait[..3], &["--timeout=60s"]].concat();
    let said = applied(&shop, &wait, &[]);
    assert!(said.ends_with("/p condition met\n"), "{said}");
}

async fn a_server_side_apply_by_another_never_fights_with_ours() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    let _bywash = shop.replica("bywash-0", &[ADDRESS]).await;
    applied(&shop, &SERVER_SIDE, &manifests(&shop, 2));
    settled(&shop).await;
    // Without --force-conflicts, a field that both wanted would be refused.
    applied(&shop, &SERVER_SIDE, &manifests(&shop, 3));
    settled(&shop).await;
    let now: GatewayPolicy = shop.api().get("p").await.unwrap();
    let managers = now.managed_fields().iter();
    let of_status = managers.filter(|it| it.subresource.as_deref() == Some("status"));
    assert!(of_status.count() == 1, "{:?}", now.managed_fields());
    let retry = serde_json::to_value(&now.spec).unwrap();
    assert_eq!(retry["retry"]["attempts"], 3);
}

async fn a_dry_run_changes_nothing() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    let dry = [&SERVER_SIDE[..], &["--dry-run=server"]].concat();
    let said = applied(&shop, &dry, &manifests(&shop, 2));
    assert!(said.contains("(server dry run)"), "{said}");
    assert_eq!(versions(&shop).await, [None, None]);

    let bywash = shop.replica("bywash-0", &[ADDRESS]).await;
    applied(&shop, &SERVER_SIDE, &manifests(&shop, 2));
    let before = settled(&shop).await;
    let mut closed = manifests(&shop, 2);
    closed[1]["spec"]["maintenance"] = json!({"enabled": true});
    applied(&shop, &dry, &closed);
    another_is_settled(&shop).await;
    assert_eq!(versions(&shop).await, before);
    assert_eq!(bywash.status(HOST, "/").await, StatusCode::OK);
}

/// Whatever was read and written before, this came later.
async fn another_is_settled(shop: &Tenant) {
    let another = shop
        .create(policy("another", json!({"retry": {"attempts": 2}})))
        .await;
    let nobody = [
        "Accepted=False/NoTarget",
        "ResolvedRefs=True/ResolvedRefs",
        "Programmed=False/NoTarget",
        "Ready=False/NoTarget",
        "Stalled=True/NoTarget",
    ];
    has_conditions(shop, &another, &nobody).await;
}

async fn applying_the_same_again_causes_no_write() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    let _bywash = shop.replica("bywash-0", &[ADDRESS]).await;
    let given = manifests(&shop, 2);
    applied(&shop, &SERVER_SIDE, &given);
    let before = settled(&shop).await;
    applied(&shop, &SERVER_SIDE, &given);
    another_is_settled(&shop).await;
    assert_eq!(versions(&shop).await, before);
}

/// `UPDATE_EXPECTED=1` writes them anew.
async fn the_statuses_by_which_argo_cd_is_tested_are_those_that_are_written() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    let on = |target: &str| for_ingress(target, json!({"retry": {"attempts": 2}}));
    let unseen = shop.create(policy("unseen", on("shop"))).await;
    compare(&shop, "unseen", &unseen);
    shop.delete(&unseen).await;

    let wrong = json!({"spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8081}]}});
    shop.ingress("shop", HOST, "web").await;
    let bywash = shop.replica("bywash-0", &[ADDRESS]).await;
    let good = shop.create(policy("in-force", on("shop"))).await;
    let told = has_conditions(&shop, &good, &IN_FORCE).await;
    compare(&shop, "in-force", &told);

    let lost = shop.create(policy("stalled", on("shop"))).await;
    let told = has_condition(&shop, &lost, "Stalled", "Conflicted").await;
    compare(&shop, "stalled", &told);
    let early = shop
        .create(policy("without-its-target", on("missing")))
        .await;
    let told = has_condition(&shop, &early, "Ready", "TargetNotFound").await;
    compare(&shop, "without-its-target", &told);

    shop.patch(&web.service, wrong).await;
    eventually("a 502", SOON, async || {
        match bywash.status(HOST, "/").await {
            StatusCode::BAD_GATEWAY => Ok(()),
            status => Err(status.to_string()),
        }
    })
    .await;
    bywash.get(HOST, "/").await;
    let told = has_condition(&shop, &good, "BadGateway", "ConnectionRefused").await;
    compare(&shop, "failing", &told);
}

async fn has_condition(
    shop: &Tenant,
    given: &GatewayPolicy,
    kind: &str,
    reason: &str,
) -> GatewayPolicy {
    eventually(&format!("{kind} because of {reason}"), SOON, async || {
        let now: GatewayPolicy = shop.api().get(&given.name_any()).await.unwrap();
        let status = now.status.clone().unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        let mut found = conditions.iter();
        match found.any(|it| it.type_ == kind && it.reason == reason) {
            true => Ok(now),
            false => Err(format!("{conditions:?}")),
        }
    })
    .await
}

/// What was written differs from what stands beside the health check in names and times alone.
fn compare(shop: &Tenant, case: &str, told: &GatewayPolicy) {
    let file = format!(
        "docs/gitops/resource_customizations/bywash.dev/GatewayPolicy/testdata/{case}.yaml"
    );
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let mut written = serde_json::to_value(told).unwrap();
    let metadata = written["metadata"].as_object_mut().unwrap();
    metadata.retain(|field, _| ["generation", "name", "namespace"].contains(&field.as_str()));
    let text = serde_json::to_string(&written).unwrap();
    let text = text.replace(&shop.name, "shop");
    let written: Value = serde_json::from_str(&text).unwrap();
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(&file, serde_saphyr::to_string(&written).unwrap()).unwrap();
    }
    let kept = fs::read_to_string(&file).unwrap_or_else(|it| panic!("{}: {it}", file.display()));
    let kept: Value = serde_saphyr::from_str(&kept).unwrap();
    assert_eq!(said(&kept), said(&written), "{case}");
}

/// Of a status what a health check may look at, without what differs from run to run.
fn said(object: &Value) -> (Value, Value, Vec<[Value; 3]>) {
    let status = &object["status"];
    let conditions = status["conditions"].as_array();
    let conditions = conditions.into_iter().flatten();
    (
        object["metadata"]["generation"].clone(),
        status["observedGeneration"].clone(),
        conditions
            // These follow the requests of the moment.
            .filter(|it| it["reason"] != "NoTraffic")
            .map(|it| ["type", "status", "reason"].map(|field| it[field].clone()))
            .collect(),
    )
}
