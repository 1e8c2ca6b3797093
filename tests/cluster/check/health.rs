//! `bywash check` without files, on a control plane that is well and on one where each thing is not.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::networking::v1::IngressClass;
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use bywash::stores::{installation, reports};

use crate::check::check;
use crate::control_plane::{ControlPlane, ROLE, User};
use crate::objects::object;
use crate::replicas::first_leader;
use crate::tenant::Tenant;

trials![
    a_healthy_installation_passes_and_what_is_taken_away_is_told,
    replicas_that_differ_are_told,
    a_cluster_without_the_definition_is_ready_and_an_old_one_is_told,
    certificates_of_some_namespaces_alone_are_no_failure,
    who_may_read_nothing_is_told_so_and_nothing_is_said_to_fail_for_it,
];

/// The verdict of each thing that was looked at, and the whole.
fn verdicts(shop: &Tenant, user: User, more: &[&str]) -> (Option<i32>, Value) {
    let namespace = format!("--controller-namespace={}", shop.name);
    let words = [&[namespace.as_str(), "--output=json"], more].concat();
    let (code, said, complaint) = check(shop, user, &words);
    let json: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{complaint}"));
    (code, json)
}

#[track_caller]
fn assert_verdict(json: &Value, name: &str, verdict: &str) {
    let checks = json["checks"].as_array().unwrap();
    let found = checks.iter().find(|it| it["name"] == name).unwrap();
    assert_eq!(found["verdict"], verdict, "{json:#}");
}

/// The service account of an installation, with the rights of the controller.
async fn account(shop: &Tenant) {
    bind(shop, ROLE).await;
}

async fn bind(shop: &Tenant, role: &str) {
    let client = &shop.client;
    let binding = json!({
        "metadata": {"name": shop.name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": "bywash", "namespace": shop.name}],
    });
    let binding: k8s_openapi::api::rbac::v1::ClusterRoleBinding = object(binding);
    Api::all(client.clone())
        .create(&Default::default(), &binding)
        .await
        .unwrap();
    shop.account_may_list(true).await;
}

async fn a_healthy_installation_passes_and_what_is_taken_away_is_told() {
    let shop = Tenant::new().await;
    account(&shop).await;
    shop.ingress("web", "shop.example", "web").await;
    let mut bywash = shop
        .replica("bywash-0", &["--publish-address=192.0.2.10"])
        .await;
    first_leader(&shop).await;
    let (code, json) = verdicts(&shop, User::Admin, &["--wait=60s"]);
    assert_eq!(
        (code, &json["healthy"]),
        (Some(0), &true.into()),
        "{json:#}"
    );
    for name in [
        "version",
        "definition",
        "rights",
        "class",
        "address",
        "leader",
    ] {
        assert_verdict(&json, name, "ok");
    }
    // A process without a Pod tells nobody.
    assert_verdict(&json, "replicas", "warning");
    let namespace = format!("--controller-namespace={}", shop.name);
    let (_, said, _) = check(&shop, User::Admin, &[&namespace]);
    assert!(
        said.contains("√ bywash-0 leads") && !said.contains('\u{1b}'),
        "{said}"
    );

    bywash.kill();
    let lease = installation::name(&shop.controller_name(), &shop.name);
    let renewed = json!({"spec": {"renewTime": "2020-01-01T00:00:00.000000Z"}});
    let params = PatchParams::default();
    shop.api::<Lease>()
        .patch(&lease, &params, &Patch::Merge(renewed))
        .await
        .unwrap();
    shop.ingress("late", "late.example", "web").await;
    let bindings: Api<k8s_openapi::api::rbac::v1::ClusterRoleBinding> =
        Api::all(shop.client.clone());
    bindings
        .delete(&shop.name, &DeleteParams::default())
        .await
        .unwrap();
    shop.account_may_list(false).await;
    let classes: Api<IngressClass> = Api::all(shop.client.clone());
    classes
        .delete(&shop.name, &DeleteParams::default())
        .await
        .unwrap();
    let (code, json) = verdicts(&shop, User::Admin, &[]);
    assert_eq!(code, Some(1));
    for name in ["rights", "class", "address", "leader"] {
        assert_verdict(&json, name, "failed");
    }
}

async fn replicas_that_differ_are_told() {
    let shop = Tenant::new().await;
    let name = installation::name(&shop.controller_name(), &shop.name);
    let selector = reports::selector(&name);
    let (label, value) = selector.split_once('=').unwrap();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    for (replica, policies) in [("bywash-0", "7"), ("bywash-1", "7")] {
        let report = json!({"replica": replica, "time": now, "policies": policies}).to_string();
        let map: ConfigMap = object(json!({
            "metadata": {"name": format!("bywash-report-{replica}"), "labels": {label: value}},
            "data": {"report.json": report},
        }));
        shop.create(map).await;
    }
    let (_, json) = verdicts(&shop, User::Admin, &[]);
    assert_verdict(&json, "replicas", "ok");
    let maps = shop
        .api::<ConfigMap>()
        .list(&ListParams::default().labels(&selector))
        .await
        .unwrap();
    let behind = json!({"replica": "bywash-1", "time": now, "policies": "5"}).to_string();
    let last = maps
        .items
        .iter()
        .find(|map| map.name_any().ends_with('1'))
        .unwrap();
    shop.patch(last, json!({"data": {"report.json": behind}}))
        .await;
    let (code, json) = verdicts(&shop, User::Admin, &[]);
    assert_eq!(code, Some(1));
    assert_verdict(&json, "replicas", "failed");
}

async fn a_cluster_without_the_definition_is_ready_and_an_old_one_is_told() {
    let own = ControlPlane::own_without_definition("check").await;
    let shop = Tenant::of(own.plane.clone()).await;
    let (code, json) = verdicts(&shop, User::Admin, &["--pre"]);
    assert_eq!(code, Some(0), "{json:#}");
    let (code, json) = verdicts(&shop, User::Bywash, &["--pre"]);
    assert_eq!(code, Some(1), "{json:#}");
    assert_verdict(&json, "rights", "failed");
    let (_, json) = verdicts(&shop, User::Admin, &[]);
    assert_verdict(&json, "definition", "failed");

    own.plane.install_definition().await;
    let (_, json) = verdicts(&shop, User::Admin, &["--pre"]);
    assert_verdict(&json, "definition", "ok");
    let definitions: Api<CustomResourceDefinition> = Api::all(shop.client.clone());
    let mut old = definitions.get(bywash::api::crd::NAME).await.unwrap();
    old.metadata.managed_fields = None;
    let schema = old.spec.versions[0]
        .schema
        .as_mut()
        .unwrap()
        .open_api_v3_schema
        .as_mut()
        .unwrap();
    let spec = schema.properties.as_mut().unwrap().get_mut("spec").unwrap();
    spec.properties.as_mut().unwrap().remove("maintenance");
    definitions
        .replace(bywash::api::crd::NAME, &Default::default(), &old)
        .await
        .unwrap();
    let (_, json) = verdicts(&shop, User::Admin, &["--pre"]);
    assert_verdict(&json, "definition", "warning");
}

/// With `--secret-namespaces` no rule for the whole cluster is needed; that flag is the controller's.
async fn certificates_of_some_namespaces_alone_are_no_failure() {
    let shop = Tenant::new().await;
    let roles: Api<ClusterRole> = Api::all(shop.client.clone());
    let mut rules = roles.get(ROLE).await.unwrap().rules.unwrap();
    let is_of_secrets = |rule: &PolicyRule| {
        let mut resources = rule.resources.iter().flatten();
        resources.any(|it| it == "secrets")
    };
    rules.retain(|rule| !is_of_secrets(rule));
    let role = json!({"metadata": {"name": shop.name}, "rules": rules});
    let role: ClusterRole = object(role);
    roles.create(&Default::default(), &role).await.unwrap();
    bind(&shop, &shop.name).await;
    let (_, json) = verdicts(&shop, User::Admin, &[]);
    assert_verdict(&json, "rights", "warning");
    let said = json["checks"].to_string();
    let missing = "may not list secrets, watch secrets in the whole cluster";
    assert!(said.contains(missing), "{said}");
    assert!(said.contains("check.html#rights"), "{said}");
}

async fn who_may_read_nothing_is_told_so_and_nothing_is_said_to_fail_for_it() {
    let shop = Tenant::new().await;
    let (code, json) = verdicts(&shop, User::Stranger, &[]);
    assert_eq!(code, Some(0), "{json:#}");
    for name in [
        "definition",
        "rights",
        "class",
        "address",
        "leader",
        "replicas",
    ] {
        assert_verdict(&json, name, "warning");
    }
}
