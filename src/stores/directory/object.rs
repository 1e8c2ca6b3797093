//! An object of a manifest, as an API server would have stored it.
//!
//! What a server adds when it admits an object is added here, as far as it matters to anyone who
//! reads objects: the default namespace, a `uid`, a `resourceVersion` that changes when the content
//! does and only then, and the defaults of fields. There is no time of creation: where age decides in
//! a cluster, namespace and name decide here.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::Resource;
use serde_json::Value;

use crate::api::policy::GatewayPolicy;
use crate::report::{Kind, ObjectRef};
use crate::stores::installation::stable_hash;

/// One object.
#[derive(Clone, Debug)]
pub(in crate::stores) enum Object {
    Ingress(Arc<Ingress>),
    IngressClass(Arc<IngressClass>),
    Service(Arc<Service>),
    EndpointSlice(Arc<EndpointSlice>),
    Secret(Arc<Secret>),
    ConfigMap(Arc<ConfigMap>),
    GatewayPolicy(Arc<GatewayPolicy>),
}

/// Which object a document holds.
pub(super) struct Metadata {
    pub(super) key: ObjectRef,
    version: String,
}

/// What an API server fills in.
pub(super) trait Defaults {
    fn fill_in(&mut self);
}

impl Metadata {
    /// Reads it from a document; the error says what is missing.
    pub(super) fn of(kind: Kind, value: &Value) -> Result<Self, String> {
        let metadata = value.get("metadata");
        let field = |name| match metadata.and_then(|metadata| metadata.get(name)) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(format!("metadata.{name} is not a string")),
        };
        let name = field("name")?.filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| format!("this {} has no metadata.name", kind.as_str()))?;
        let namespace = match kind {
            Kind::IngressClass => "",
            _ => field("namespace")?
                .filter(|namespace| !namespace.is_empty())
                .unwrap_or("default"),
        };
        if !is_name(name) || !(namespace.is_empty() || is_name(namespace)) {
            return Err(format!(
                "\"{namespace}/{name}\" is not the name of an object: lower-case letters, digits, \"-\" and \".\" are allowed"
            ));
        }
        let content = value.to_string();
        Ok(Self {
            key: ObjectRef {
                kind,
                namespace: namespace.into(),
                name: name.into(),
            },
            version: format!("{:016x}", stable_hash([content.as_bytes()])),
        })
    }
}

/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names>
fn is_name(text: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// The object, stored.
pub(super) fn admit<K: Resource + Defaults>(mut object: K, metadata: &Metadata) -> Arc<K> {
    let key = &metadata.key;
    let parts = [key.kind.as_str(), &*key.namespace, &*key.name].map(str::as_bytes);
    let meta = object.meta_mut();
    meta.namespace = (!key.namespace.is_empty()).then(|| key.namespace.to_string());
    meta.uid = Some(format!("file-{:016x}", stable_hash(parts)));
    meta.resource_version = Some(metadata.version.clone());
    meta.creation_timestamp = None;
    meta.managed_fields = None;
    object.fill_in();
    Arc::new(object)
}

impl Defaults for Ingress {
    fn fill_in(&mut self) {
        self.status = None;
    }
}

impl Defaults for GatewayPolicy {
    fn fill_in(&mut self) {
        self.status = None;
        self.metadata.generation = Some(1);
    }
}

impl Defaults for IngressClass {
    fn fill_in(&mut self) {}
}

impl Defaults for ConfigMap {
    fn fill_in(&mut self) {}
}

impl Defaults for Service {
    fn fill_in(&mut self) {
        let Some(spec) = &mut self.spec else { return };
        spec.type_.get_or_insert_with(|| "ClusterIP".to_owned());
        for port in spec.ports.iter_mut().flatten() {
            port.protocol.get_or_insert_with(|| "TCP".to_owned());
            port.target_port.get_or_insert(IntOrString::Int(port.port));
        }
    }
}

impl Defaults for EndpointSlice {
    fn fill_in(&mut self) {
        for port in self.ports.iter_mut().flatten() {
            port.protocol.get_or_insert_with(|| "TCP".to_owned());
            port.name.get_or_insert_with(String::new);
        }
    }
}

impl Defaults for Secret {
    fn fill_in(&mut self) {
        self.type_.get_or_insert_with(|| "Opaque".to_owned());
        for (key, text) in self.string_data.take().into_iter().flatten() {
            let bytes = k8s_openapi::ByteString(text.into_bytes());
            self.data.get_or_insert_default().insert(key, bytes);
        }
    }
}
