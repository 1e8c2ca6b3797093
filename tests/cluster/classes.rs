//! Which Ingresses are ours.

use std::sync::Arc;

use http::StatusCode;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::control_plane::{ControlPlane, ROLE, User};
use crate::objects::{ingress, ingress_class, object, rule};
use crate::replica::Replica;
use crate::tenant::Tenant;

trials![
    an_ingress_of_another_class_is_not_served_until_it_is_ours,
    without_the_ingress_class_nothing_is_served,
    a_class_of_another_controller_is_not_ours,
    the_old_annotation_names_the_class_as_well,
    a_default_class_serves_the_ingresses_that_name_none,
    the_rights_of_one_namespace_suffice_to_serve_it_alone,
];

const NOT_FOUND: StatusCode = StatusCode::NOT_FOUND;

async fn an_ingress_of_another_class_is_not_served_until_it_is_ours() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    let bywash = shop.controller().await;
    let theirs = shop
        .create(ingress("nginx", "theirs", "theirs.example", "web"))
        .await;
    // The same watch: what was written before is processed before.
    bywash
        .processed(&shop.ingress("ours", "ours.example", "web").await)
        .await;
    assert_eq!(bywash.get("ours.example", "/").await.pod(), "web-0");
    assert_eq!(bywash.status("theirs.example", "/").await, NOT_FOUND);

    let taken = json!({"spec": {"ingressClassName": shop.name}});
    bywash.processed(&shop.patch(&theirs, taken).await).await;
    assert_eq!(bywash.get("theirs.example", "/").await.pod(), "web-0");

    let given_back = json!({"spec": {"ingressClassName": "nginx"}});
    bywash
        .processed(&shop.patch(&theirs, given_back).await)
        .await;
    assert_eq!(bywash.status("theirs.example", "/").await, NOT_FOUND);
}

async fn without_the_ingress_class_nothing_is_served() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    shop.ingress("shop", "shop.example", "web").await;
    let bywash = shop.controller().await;
    assert_eq!(bywash.get("shop.example", "/").await.pod(), "web-0");

    let classes = Api::<IngressClass>::all(shop.client.clone());
    let class = classes.get(&shop.name).await.unwrap();
    classes
        .delete(&shop.name, &DeleteParams::default())
        .await
        .unwrap();
    bywash.processed_deletion(&class).await;
    assert_eq!(bywash.status("shop.example", "/").await, NOT_FOUND);

    let again = ingress_class(&shop.name, &shop.controller_name());
    let again = classes
        .create(&PostParams::default(), &again)
        .await
        .unwrap();
    bywash.processed(&again).await;
    assert_eq!(bywash.get("shop.example", "/").await.pod(), "web-0");
}

async fn a_class_of_another_controller_is_not_ours() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    shop.ingress("shop", "shop.example", "web").await;
    let classes = Api::<IngressClass>::all(shop.client.clone());
    classes
        .delete(&shop.name, &DeleteParams::default())
        .await
        .unwrap();
    let theirs = ingress_class(&shop.name, "example.com/another-controller");
    classes
        .create(&PostParams::default(), &theirs)
        .await
        .unwrap();

    let bywash = shop.controller().await;
    assert_eq!(bywash.status("shop.example", "/").await, NOT_FOUND);
}

async fn the_old_annotation_names_the_class_as_well() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    let bywash = shop.controller().await;
    let old: Ingress = object(json!({
        "metadata": {"name": "old", "annotations": {"kubernetes.io/ingress.class": shop.name}},
        "spec": {"rules": [rule("old.example", "/", "web")]},
    }));
    bywash.processed(&shop.create(old).await).await;
    assert_eq!(bywash.get("old.example", "/").await.pod(), "web-0");
}

/// A default class concerns every Ingress of the cluster, hence a control plane of its own.
async fn a_default_class_serves_the_ingresses_that_name_none() {
    let own = ControlPlane::own("default-class").await;
    let shop = Tenant::of(Arc::clone(&own.plane)).await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    let bywash = shop.controller().await;
    let classless: Ingress = object(json!({
        "metadata": {"name": "shop"},
        "spec": {"rules": [rule("shop.example", "/", "web")]},
    }));
    bywash.processed(&shop.create(classless).await).await;
    assert_eq!(bywash.status("shop.example", "/").await, NOT_FOUND);

    mark_default(&shop, &bywash, json!("true")).await;
    assert_eq!(bywash.get("shop.example", "/").await.pod(), "web-0");
    mark_default(&shop, &bywash, Value::Null).await;
    assert_eq!(bywash.status("shop.example", "/").await, NOT_FOUND);
}

async fn mark_default(shop: &Tenant, bywash: &Replica, value: Value) {
    let annotation = "ingressclass.kubernetes.io/is-default-class";
    let patch = Patch::Merge(json!({"metadata": {"annotations": {annotation: value}}}));
    let classes = Api::<IngressClass>::all(shop.client.clone());
    let marked = classes
        .patch(&shop.name, &PatchParams::default(), &patch)
        .await;
    bywash.processed(&marked.unwrap()).await;
}

/// What a cluster-wide installation may do, in one namespace.
async fn the_rights_of_one_namespace_suffice_to_serve_it_alone() {
    let (shop, other) = (Tenant::new().await, Tenant::new().await);
    let (web, others_web) = (
        shop.workload("web", 1).await,
        other.workload("web", 1).await,
    );
    web.slices().await;
    others_web.slices().await;
    let subjects = json!([{"apiGroup": "rbac.authorization.k8s.io", "kind": "User",
        "name": User::Stranger.name()}]);
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
        "name": ROLE});
    let reads_shop: RoleBinding = object(json!({
        "metadata": {"name": "bywash"}, "roleRef": role, "subjects": subjects,
    }));
    shop.create(reads_shop).await;

    let only_shop = format!("--watch-namespace={}", shop.name);
    let mut bywash = Replica::start_as(User::Stranger, &shop, "bywash-0", &[&only_shop]);
    bywash.ready().await;
    other
        .create(ingress(&shop.name, "theirs", "theirs.example", "web"))
        .await;
    let ours = shop.ingress("ours", "ours.example", "web").await;
    bywash.processed(&ours).await;
    assert_eq!(bywash.get("ours.example", "/").await.pod(), "web-0");
    assert_eq!(bywash.status("theirs.example", "/").await, NOT_FOUND);
}
