//! One test's share of a control plane.
//!
//! Tests run side by side on one API server without seeing each other's objects: each has its own
//! Kubernetes namespace, IngressClass, controller name and Lease, and a /24 of the pod network.

use std::fmt::Debug;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1::{Event, Namespace, Node, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::control_plane::{ControlPlane, User};
use crate::objects::{ingress, ingress_class, object};
use crate::replica::Replica;
use crate::wait::{SOON, eventually};
use crate::workload::Workload;

static NEXT_NETWORK: AtomicU8 = AtomicU8::new(1);

/// What the test helpers ask of a namespaced kind.
pub(crate) trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
{
}

impl<K> Kind for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
{
}

pub(crate) struct Tenant {
    pub(crate) client: Client,
    pub(crate) plane: Arc<ControlPlane>,
    /// The name of the namespace, the IngressClass and the Node.
    pub(crate) name: String,
    controller_name: String,
    network: u8,
    next_pod: AtomicU8,
}

impl Tenant {
    /// A share of the control plane that all tests have in common.
    pub(crate) async fn new() -> Self {
        Self::of(ControlPlane::shared().await).await
    }

    pub(crate) async fn of(plane: Arc<ControlPlane>) -> Self {
        Self::with(plane, None).await
    }

    /// Waits until the API server knows whether the account of a controller in this namespace may list
    /// Ingresses here: rights that are written are not in force at once.
    pub(crate) async fn account_may_list(&self, expected: bool) {
        let review: SubjectAccessReview = object(json!({"spec": {
            "user": format!("system:serviceaccount:{}:bywash", self.name),
            "resourceAttributes": {
                "group": "networking.k8s.io", "resource": "ingresses",
                "verb": "list", "namespace": self.name,
            },
        }}));
        let reviews = Api::<SubjectAccessReview>::all(self.client.clone());
        eventually(&format!("rights in force: {expected}"), SOON, async || {
            let answer = reviews.create(&PostParams::default(), &review).await;
            let status = answer.map_err(|error| error.to_string())?.status;
            let allowed = status.is_some_and(|status| status.allowed);
            (allowed == expected)
                .then_some(())
                .ok_or_else(|| allowed.to_string())
        })
        .await;
    }

    /// A share whose class has the same controller name.
    pub(crate) async fn beside(&self) -> Self {
        Self::with(Arc::clone(&self.plane), Some(self.controller_name())).await
    }

    async fn with(plane: Arc<ControlPlane>, controller_name: Option<String>) -> Self {
        let network = NEXT_NETWORK.fetch_add(1, Ordering::Relaxed);
        assert!((1..255).contains(&network), "out of pod networks");
        let name = format!("tenant-{network}");
        let tenant = Self {
            client: plane.client().await,
            plane,
            controller_name: controller_name.unwrap_or_else(|| format!("bywash.dev/{name}")),
            name,
            network,
            next_pod: AtomicU8::new(1),
        };
        let metadata = ObjectMeta {
            name: Some(tenant.name.clone()),
            ..ObjectMeta::default()
        };
        let class = ingress_class(&tenant.name, &tenant.controller_name());
        let node = Node {
            metadata,
            ..Node::default()
        };
        let new = PostParams::default();
        let client = &tenant.client;
        namespace(client, &tenant.name).await;
        Api::all(client.clone()).create(&new, &node).await.unwrap();
        Api::<IngressClass>::all(client.clone())
            .create(&new, &class)
            .await
            .unwrap();
        tenant
    }

    pub(crate) fn controller_name(&self) -> String {
        self.controller_name.clone()
    }

    /// As what the installation speaks of policies.
    pub(crate) fn speaker(&self) -> String {
        format!("{}/{}", self.controller_name, self.name)
    }

    pub(crate) fn kubeconfig(&self, user: User) -> PathBuf {
        self.plane.kubeconfig(user)
    }

    /// The next unused address of this tenant's /24.
    pub(crate) fn pod_ip(&self) -> Ipv4Addr {
        let host = self.next_pod.fetch_add(1, Ordering::Relaxed);
        assert!((1..255).contains(&host), "out of pod addresses");
        Ipv4Addr::new(10, 244, self.network, host)
    }

    pub(crate) fn api<K: Kind>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.name)
    }

    pub(crate) async fn create<K: Kind>(&self, object: K) -> K {
        let created = self
            .api::<K>()
            .create(&PostParams::default(), &object)
            .await;
        created.unwrap_or_else(|error| panic!("create {object:?}: {error}"))
    }

    /// A JSON merge patch.
    pub(crate) async fn patch<K: Kind>(&self, object: &K, patch: Value) -> K {
        let (name, patch) = (object.name_any(), Patch::Merge(patch));
        let patched = self
            .api::<K>()
            .patch(&name, &PatchParams::default(), &patch)
            .await;
        patched.unwrap_or_else(|error| panic!("patch {name}: {error}"))
    }

    pub(crate) async fn delete<K: Kind>(&self, object: &K) {
        let deleted = self
            .api::<K>()
            .delete(&object.name_any(), &DeleteParams::default())
            .await;
        deleted.unwrap_or_else(|error| panic!("delete {object:?}: {error}"));
    }

    /// An Ingress of this tenant's class, created: all of `host` goes to the Service.
    pub(crate) async fn ingress(&self, name: &str, host: &str, service: &str) -> Ingress {
        self.create(ingress(&self.name, name, host, service)).await
    }

    /// A Service with this many ready pods behind it.
    pub(crate) async fn workload(&self, name: &str, pods: usize) -> Workload<'_> {
        Workload::create(self, name, pods).await
    }

    /// The only replica of the controller, ready.
    pub(crate) async fn controller(&self) -> Replica {
        self.replica("bywash-0", &[]).await
    }

    /// A replica with these arguments besides the usual ones, ready.
    pub(crate) async fn replica(&self, pod: &str, more: &[&str]) -> Replica {
        let mut replica = Replica::start(self, pod, more);
        replica.ready().await;
        replica
    }

    /// Waits for an Event on the object whose note contains `text`.
    pub(crate) async fn event<K: Kind>(&self, about: &K, text: &str) -> Event {
        let (kind, name) = (K::kind(&()), about.name_any());
        let fields = format!("involvedObject.kind={kind},involvedObject.name={name}");
        let about = ListParams::default().fields(&fields);
        let what = format!("Event on {kind} {name} that says {text:?}");
        eventually(&what, SOON, async || {
            let events = self.api::<Event>().list(&about).await;
            let mut events = events.map_err(|error| error.to_string())?.items;
            let says = |event: &Event| event.message.as_deref().unwrap_or("").contains(text);
            match events.iter().position(says) {
                Some(found) => Ok(events.swap_remove(found)),
                None => Err(format!(
                    "{:?}",
                    events.iter().map(|e| &e.message).collect::<Vec<_>>()
                )),
            }
        })
        .await
    }
}

/// Makes a namespace, and waits until Pods are accepted in it: until they have an account.
pub(crate) async fn namespace(client: &Client, name: &str) {
    let namespace: Namespace = object(json!({"metadata": {"name": name}}));
    let (namespaces, new) = (Api::all(client.clone()), PostParams::default());
    namespaces.create(&new, &namespace).await.unwrap();
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), name);
    eventually("account of Pods", SOON, async || {
        let account = accounts.get("default").await;
        account.map_err(|error| error.to_string())
    })
    .await;
}
