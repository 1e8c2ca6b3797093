//! Writing back: the narrow handles through which anything leaves this process for the cluster or
//! for a directory.
//!
//! [`Writer`] knows exactly three writes to a cluster: the addresses of an Ingress, their
//! withdrawal, and one Event. Addresses are written by server-side apply: the list is atomic
//! (<https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy>), so that it
//! is wholly ours or wholly another's, and withdrawing them is applying an intent that no longer
//! mentions them: the server removes what only we own, and nothing else. [`StatusFiles`] writes the
//! same for people who run without a cluster.
//!
//! Who decides what to write, when, and whether at all, is `status`.

mod counts;
mod events;
mod files;

use k8s_openapi::api::networking::v1::{Ingress, IngressLoadBalancerIngress};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use super::cluster::Connection;
use crate::api::policy::GatewayPolicy;
use crate::api::status::GatewayPolicyStatus;
use crate::report::ObjectRef;

pub use counts::WriteCounts;
pub use events::{EventRecord, EventSource};
pub use files::{StatusFile, StatusFiles};

/// Writes to a cluster.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    field_manager: String,
    source: EventSource,
    counts: WriteCounts,
}

/// Why a write did not happen.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The object is gone: nothing is left to do.
    #[error("the object does not exist any more")]
    Gone,
    /// A right is missing.
    #[error("not allowed to {right}: grant it to this service account")]
    Forbidden {
        /// Verb and resource, as `kubectl auth can-i` takes them.
        right: &'static str,
        /// What the server said.
        #[source]
        source: Box<kube::Error>,
    },
    /// The server would refuse it again: it does not accept the write as it is.
    #[error("the API server refuses the write")]
    Refused(#[source] Box<kube::Error>),
    /// Trying again may help: a conflict, an overloaded server, none at all.
    #[error("the API server did not take the write")]
    Retry(#[source] Box<kube::Error>),
}

impl Writer {
    /// A writer whose fields belong to `field_manager`, and whose Events name `source`.
    pub fn new(connection: &Connection, field_manager: String, source: EventSource) -> Self {
        Self {
            client: connection.requests(),
            field_manager,
            source,
            counts: WriteCounts::default(),
        }
    }

    /// The name under which fields are owned.
    pub fn field_manager(&self) -> &str {
        &self.field_manager
    }

    /// What it has written, and its clones.
    pub fn counts(&self) -> WriteCounts {
        self.counts.clone()
    }

    /// Makes `addresses` the addresses of an Ingress.
    pub async fn publish(
        &self,
        ingress: &ObjectRef,
        addresses: &[IngressLoadBalancerIngress],
    ) -> Result<(), WriteError> {
        let mut intent = Self::empty_intent(ingress);
        intent["status"] = json!({"loadBalancer": {"ingress": addresses}});
        self.apply(ingress, &intent).await
    }

    /// Takes back the addresses that we have published on an Ingress.
    pub async fn withdraw(&self, ingress: &ObjectRef) -> Result<(), WriteError> {
        self.apply(ingress, &Self::empty_intent(ingress)).await
    }

    /// Makes this our part of the status of a GatewayPolicy.
    pub async fn tell(
        &self,
        policy: &ObjectRef,
        status: &GatewayPolicyStatus,
    ) -> Result<(), WriteError> {
        let mut intent = Self::empty_intent(policy);
        intent["status"] = json!(status);
        let api = Api::<GatewayPolicy>::namespaced(self.client.clone(), &policy.namespace);
        let params = PatchParams::apply(&self.field_manager).force();
        let result = api
            .patch_status(&policy.name, &params, &Patch::Apply(intent))
            .await
            .map(drop)
            .map_err(|error| WriteError::of(error, "patch gatewaypolicies/status.bywash.dev"));
        self.counts.count(policy.kind.as_str(), result)
    }

    fn empty_intent(object: &ObjectRef) -> serde_json::Value {
        json!({
            "apiVersion": object.kind.api_version(),
            "kind": object.kind.as_str(),
            "metadata": {"name": &*object.name, "namespace": &*object.namespace},
        })
    }

    async fn apply(
        &self,
        ingress: &ObjectRef,
        intent: &serde_json::Value,
    ) -> Result<(), WriteError> {
        let api = Api::<Ingress>::namespaced(self.client.clone(), &ingress.namespace);
        let params = PatchParams::apply(&self.field_manager).force();
        let result = api
            .patch_status(&ingress.name, &params, &Patch::Apply(intent))
            .await
            .map(drop)
            .map_err(|error| WriteError::of(error, "patch ingresses/status.networking.k8s.io"));
        self.counts.count(ingress.kind.as_str(), result)
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("field_manager", &self.field_manager)
            .finish_non_exhaustive()
    }
}

impl WriteError {
    pub(super) fn of(error: kube::Error, right: &'static str) -> Self {
        let kube::Error::Api(status) = &error else {
            return Self::Retry(error.into());
        };
        match status.code {
            404 => Self::Gone,
            403 if namespace_is_terminating(status) => Self::Gone,
            403 => Self::Forbidden {
                right,
                source: error.into(),
            },
            400 | 422 => Self::Refused(error.into()),
            _ => Self::Retry(error.into()),
        }
    }
}

/// Nothing can be created in a namespace that is being deleted.
fn namespace_is_terminating(status: &kube::core::Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes
        .into_iter()
        .any(|cause| cause.reason == "NamespaceTerminating")
}
