//! Who may edit one namespace, and nothing else, writes policies there and reads what became of them.

use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use bywash::api::policy::GatewayPolicy;

use super::release::{Helm, NEWER, values};
use crate::control_plane::User;
use crate::objects::object;
use crate::tenant::Tenant;
use crate::wait::{SOON, eventually};

trials![who_may_edit_a_namespace_writes_policies_and_reads_causes_but_writes_none];

async fn who_may_edit_a_namespace_writes_policies_and_reads_causes_but_writes_none() {
    let shop = Tenant::new().await;
    let elsewhere = Tenant::new().await;
    Helm::of(NEWER, &shop)
        .apply("install", "edge", &values(&shop), &[])
        .await;
    let binding: RoleBinding = object(json!({
        "metadata": {"name": "owner"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": User::Stranger.name()}],
    }));
    shop.create(binding).await;
    let owner = shop.plane.client_of(User::Stranger).await;
    let policies = Api::<GatewayPolicy>::namespaced(owner.clone(), &shop.name);
    let policy: GatewayPolicy = object(json!({
        "metadata": {"name": "mine"}, "spec": {"timeouts": {"read": "30s"}},
    }));
    eventually("right that was aggregated", SOON, async || {
        let created = policies.create(&PostParams::default(), &policy).await;
        created.map_err(|error| error.to_string())
    })
    .await;

    // What the controller writes, its owner reads.
    let cause = Patch::Merge(json!({"status": {"conditions": [{
        "type": "BadGateway", "status": "True", "reason": "ConnectionRefused",
        "message": "why", "lastTransitionTime": "2026-01-01T00:00:00Z",
    }]}}));
    let (name, params) = ("mine", PatchParams::default());
    shop.api::<GatewayPolicy>()
        .patch_status(name, &params, &cause)
        .await
        .unwrap();
    let read = policies.get(name).await.unwrap();
    assert_eq!(read.status.unwrap().conditions.unwrap()[0].message, "why");

    let refused = policies
        .patch_status(name, &params, &cause)
        .await
        .unwrap_err();
    assert!(is_forbidden(&refused), "{refused}");
    let theirs = Api::<GatewayPolicy>::namespaced(owner, &elsewhere.name);
    let refused = theirs
        .create(&PostParams::default(), &policy)
        .await
        .unwrap_err();
    assert!(is_forbidden(&refused), "{refused}");
    policies.delete(name, &Default::default()).await.unwrap();
}

fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}
