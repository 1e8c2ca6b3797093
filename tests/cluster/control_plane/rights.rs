//! What the controller may do in the cluster.
//!
//! The tests run it with these rights and no more, so that a right which the code comes to need is
//! noticed here, before an installation notices it.

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::api::{Api, PostParams};
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::User;

pub(super) async fn grant(client: &Client) {
    let name = User::Bywash.name();
    let read = ["get", "list", "watch"];
    create::<ClusterRole>(
        client,
        json!({
            "metadata": {"name": name},
            "rules": [
                {"apiGroups": [""], "resources": ["services", "secrets", "configmaps", "pods",
                    "nodes", "namespaces"], "verbs": read},
                {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create", "patch"]},
                {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": read},
                {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses", "ingressclasses"],
                    "verbs": read},
                {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"],
                    "verbs": ["list"]},
                {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses/status"],
                    "verbs": ["get", "patch", "update"]},
                {"apiGroups": ["bywash.dev"], "resources": ["gatewaypolicies"], "verbs": read},
                {"apiGroups": ["bywash.dev"], "resources": ["gatewaypolicies/status"],
                    "verbs": ["patch"]},
                {"apiGroups": ["", "events.k8s.io"], "resources": ["events"],
                    "verbs": ["get", "create", "patch"]},
                {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"],
                    "verbs": ["get", "list", "watch", "create", "update", "patch"]},
            ],
        }),
    )
    .await;
    create::<ClusterRoleBinding>(
        client,
        json!({
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                "name": name},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}],
        }),
    )
    .await;
}

async fn create<K>(client: &Client, object: Value)
where
    K: Resource<DynamicType = ()> + Clone + Serialize + DeserializeOwned + std::fmt::Debug,
{
    let object: K = serde_json::from_value(object).unwrap();
    let api = Api::<K>::all(client.clone());
    api.create(&PostParams::default(), &object).await.unwrap();
}
