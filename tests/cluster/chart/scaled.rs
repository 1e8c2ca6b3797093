//! Who scales the Deployment is not contradicted by an upgrade.

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::release::{Helm, NEWER, OLDER, values};
use crate::tenant::Tenant;

trials![
    helm_4_keeps_what_another_manager_has_scaled,
    helm_3_keeps_what_another_manager_has_scaled,
];

async fn helm_4_keeps_what_another_manager_has_scaled() {
    keeps(NEWER).await;
}

async fn helm_3_keeps_what_another_manager_has_scaled() {
    keeps(OLDER).await;
}

async fn keeps(version: &str) {
    let shop = Tenant::new().await;
    let helm = Helm::of(version, &shop);
    let mut given = values(&shop);
    given["controller"]["autoscaling"] = json!({"enabled": true});
    helm.apply("install", "edge", &given, &[]).await;

    let scale = Patch::Merge(json!({"spec": {"replicas": 5}}));
    let scaler = PatchParams {
        field_manager: Some("scaler".into()),
        ..PatchParams::default()
    };
    let api = shop.api::<Deployment>();
    api.patch_scale(&shop.name, &scaler, &scale).await.unwrap();

    given["controller"]["podAnnotations"] = json!({"changed": "yes"});
    helm.apply("upgrade", "edge", &given, &[]).await;
    let after = api.get(&shop.name).await.unwrap().spec.unwrap();
    let annotations = after
        .template
        .metadata
        .and_then(|it| it.annotations)
        .unwrap();
    assert!(annotations.contains_key("changed"), "{annotations:?}");
    assert_eq!(after.replicas, Some(5));
}
