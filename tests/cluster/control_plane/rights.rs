//! What the controller may do in the cluster: what the chart lets it, and no more.
//!
//! Each test has a namespace of its own, so that what is granted in the namespace of an installation is
//! granted in all. Whether each of these rights is needed: `least_rights`.

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role};
use kube::api::{Api, PostParams};
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::User;
use crate::rendered;

/// The ClusterRole with these rights: no release would call its own like that.
pub(crate) const ROLE: &str = "tests-of-bywash";

pub(super) async fn grant(client: &Client) {
    let name = User::Bywash.name();
    let objects = rendered::chart(name, &json!({}));
    let everywhere = rendered::of_kind::<ClusterRole>(&objects).into_iter();
    let own = rendered::of_kind::<Role>(&objects).into_iter();
    let rules = everywhere
        .map(|role| role.rules)
        .chain(own.map(|role| role.rules));
    let rules: Vec<PolicyRule> = rules.flatten().flatten().collect();
    create::<ClusterRole>(client, json!({"metadata": {"name": ROLE}, "rules": rules})).await;
    create::<ClusterRoleBinding>(
        client,
        json!({
            "metadata": {"name": ROLE},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                "name": ROLE},
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
