//! The roles and the account of an installation as the chart renders them, and what is left out of them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1::{Service, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding};
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::rights::{Mode, Place, Right};
use crate::control_plane::User;
use crate::namespace;
use crate::objects::object;
use crate::rendered;
use crate::tenant::{self, Tenant};
use crate::wait::{SOON, eventually};

/// What all its objects are called.
const ACCOUNT: &str = "bywash";

/// An installation of the chart that watches a tenant, in a namespace of its own.
pub(super) struct Installation<'a> {
    pub(super) shop: &'a Tenant,
    pub(super) mode: Mode,
    /// Its namespace.
    pub(super) own: String,
    cluster_role: Option<ClusterRole>,
    roles: Vec<Role>,
    pub(super) kubeconfig: PathBuf,
}

impl<'a> Installation<'a> {
    pub(super) async fn of(shop: &'a Tenant, mode: Mode) -> Self {
        let own = format!("{}-edge", shop.name);
        let (client, new) = (shop.client.clone(), PostParams::default());
        tenant::namespace(&client, &own).await;
        let objects = objects_for(shop, mode, &own);
        let cluster_role = rendered::of_kind::<ClusterRole>(&objects).pop();
        if let Some(role) = &cluster_role {
            Api::all(client.clone()).create(&new, role).await.unwrap();
        }
        for binding in rendered::of_kind::<ClusterRoleBinding>(&objects) {
            Api::all(client.clone())
                .create(&new, &binding)
                .await
                .unwrap();
        }
        for account in rendered::of_kind::<ServiceAccount>(&objects) {
            Api::namespaced(client.clone(), &own)
                .create(&new, &account)
                .await
                .unwrap();
        }
        let roles = rendered::of_kind::<Role>(&objects);
        for role in &roles {
            let namespace = role.namespace().unwrap();
            Api::namespaced(client.clone(), &namespace)
                .create(&new, role)
                .await
                .unwrap();
        }
        for binding in rendered::of_kind::<RoleBinding>(&objects) {
            let namespace = binding.namespace().unwrap();
            Api::namespaced(client.clone(), &namespace)
                .create(&new, &binding)
                .await
                .unwrap();
        }
        let published: Service = object(json!({
            "metadata": {"name": ACCOUNT}, "spec": {"ports": [{"port": 80}]},
        }));
        Api::namespaced(client, &own)
            .create(&new, &published)
            .await
            .unwrap();
        let kubeconfig = kubeconfig(shop, &own).await;
        Self {
            shop,
            mode,
            own,
            cluster_role,
            roles,
            kubeconfig,
        }
    }

    /// The rights that the chart grants, where they hold.
    pub(super) fn rights(&self) -> BTreeSet<Right> {
        let of_cluster = self.cluster_role.iter();
        let of_cluster =
            of_cluster.flat_map(|role| rights(Place::Everywhere, role.rules.as_deref()));
        let of_roles = self.roles.iter();
        let of_roles = of_roles.flat_map(|role| rights(self.place(role), role.rules.as_deref()));
        of_cluster.chain(of_roles).collect()
    }

    fn place(&self, role: &Role) -> Place {
        match role.namespace() {
            Some(namespace) if namespace == self.own => Place::Own,
            Some(namespace) if namespace == self.shop.name => Place::Watched,
            elsewhere => panic!("a role in {elsewhere:?}"),
        }
    }

    /// Gives it all rights of the chart but this one, and waits until the API server knows.
    pub(super) async fn may_all_but(&self, right: Option<&Right>) {
        let client = self.shop.client.clone();
        let left = |place, rules: Option<&[PolicyRule]>| json!({"rules": without(rules.unwrap_or_default(), right.filter(|it| it.place == place))});
        if let Some(role) = &self.cluster_role {
            let rules = Patch::Merge(left(Place::Everywhere, role.rules.as_deref()));
            let api = Api::<ClusterRole>::all(client.clone());
            api.patch(&role.name_any(), &PatchParams::default(), &rules)
                .await
                .unwrap();
        }
        for role in &self.roles {
            let rules = Patch::Merge(left(self.place(role), role.rules.as_deref()));
            let api = Api::<Role>::namespaced(client.clone(), &role.namespace().unwrap());
            api.patch(&role.name_any(), &PatchParams::default(), &rules)
                .await
                .unwrap();
        }
        for granted in self.rights() {
            let allowed = Some(&granted) != right;
            eventually(&format!("{granted:?}: {allowed}"), SOON, async || {
                let may = self.may(&granted).await?;
                (may == allowed).then_some(()).ok_or(format!("{may}"))
            })
            .await;
        }
    }

    async fn may(&self, right: &Right) -> Result<bool, String> {
        let (resource, subresource) = match right.resource.split_once('/') {
            Some((resource, subresource)) => (resource, subresource),
            None => (right.resource.as_str(), ""),
        };
        let namespace = match right.place {
            Place::Everywhere => "",
            Place::Watched => &self.shop.name,
            Place::Own => &self.own,
        };
        let review: SubjectAccessReview = object(json!({"spec": {
            "user": format!("system:serviceaccount:{}:{ACCOUNT}", self.own),
            "resourceAttributes": {
                "group": right.group, "resource": resource, "subresource": subresource,
                "verb": right.verb, "namespace": namespace,
            },
        }}));
        let api = Api::<SubjectAccessReview>::all(self.shop.client.clone());
        let answer = api.create(&PostParams::default(), &review).await;
        let status = answer.map_err(|error| error.to_string())?.status;
        Ok(status.is_some_and(|status| status.allowed))
    }

    /// As its command line says what the chart's would.
    pub(super) fn flags(&self) -> Vec<String> {
        let publish = format!("--publish-service={}/{ACCOUNT}", self.own);
        let scope = match self.mode {
            Mode::Cluster => return vec![publish],
            Mode::ListedSecrets => format!("--secret-namespaces={}", self.shop.name),
            Mode::Namespace => format!("--watch-namespace={}", self.shop.name),
        };
        vec![publish, scope]
    }
}

/// The objects of the chart for this tenant.
fn objects_for(shop: &Tenant, mode: Mode, own: &str) -> Vec<Value> {
    let mut values = json!({
        "controller": {"ingressClassResource": {"name": shop.name, "controllerValue": shop.controller_name()}},
        "serviceAccount": {"name": ACCOUNT},
        "fullnameOverride": own,
    });
    match mode {
        Mode::Cluster => {}
        Mode::ListedSecrets => {
            values["rbac"] = json!({"secretAccess": "namespaces", "secretNamespaces": [shop.name]});
        }
        Mode::Namespace => {
            values["controller"]["scope"] = json!({"enabled": true, "namespace": shop.name});
        }
    }
    rendered::chart(own, &values)
}

fn rights(place: Place, rules: Option<&[PolicyRule]>) -> BTreeSet<Right> {
    let mut rights = BTreeSet::new();
    for rule in rules.unwrap_or_default() {
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                rights.extend(rule.verbs.iter().map(|verb| Right {
                    place,
                    group: group.clone(),
                    resource: resource.clone(),
                    verb: verb.clone(),
                }));
            }
        }
    }
    rights
}

fn without(rules: &[PolicyRule], right: Option<&Right>) -> Vec<PolicyRule> {
    let mut rules = rules.to_vec();
    let Some(right) = right else {
        return rules;
    };
    let names = |all: &Option<Vec<String>>, one: &String| all.iter().flatten().eq([one]);
    for rule in &mut rules {
        if names(&rule.api_groups, &right.group) && names(&rule.resources, &right.resource) {
            rule.verbs.retain(|verb| *verb != right.verb);
        }
    }
    rules.retain(|rule| !rule.verbs.is_empty());
    rules
}

/// A kubeconfig with a token of the account.
async fn kubeconfig(shop: &Tenant, own: &str) -> PathBuf {
    let request = TokenRequest {
        spec: TokenRequestSpec {
            expiration_seconds: Some(3600),
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    };
    let accounts = Api::<ServiceAccount>::namespaced(shop.client.clone(), own);
    let issued = accounts
        .create_token_request(ACCOUNT, &PostParams::default(), &request)
        .await;
    let text = std::fs::read_to_string(shop.kubeconfig(User::Admin)).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    config["users"][0]["user"] = json!({"token": issued.unwrap().status.unwrap().token});
    config["contexts"][0]["context"]["namespace"] = json!(own);
    let path = namespace::scratch().join(format!("{own}.kubeconfig"));
    std::fs::write(&path, config.to_string()).unwrap();
    path
}
