//! What objects name, as it is written, and what of it is not among the files.
//!
//! A pipeline has the manifests of one application, seldom its Secrets and never the whole cluster.
//! What it does not have is taken to exist: a Service gets a stand-in, so that all else about its
//! routes is still looked at. A name that is almost one of the files' is rather a mistake.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use kube::api::ObjectMeta;
use serde_json::Value;

use crate::api::near::near;
use crate::report::{Kind, ObjectRef};
use crate::stores::directory::once::Written;

use super::compare::PortNames;

/// Names of so many letters may differ by two without being alike.
const SHORT: usize = 3;

/// Something that an object names.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    pub(super) object: ObjectRef,
    /// Of a Service, as written.
    port: Option<Port>,
    /// Where it is named, as a JSON pointer.
    pub(super) pointer: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Port {
    Number(i32),
    Name(String),
}

/// What the objects of a kind are called, by namespace.
pub(super) struct Known<'a>(BTreeSet<&'a ObjectRef>);

impl<'a> Known<'a> {
    pub(super) fn new(objects: impl Iterator<Item = &'a ObjectRef>) -> Self {
        Self(objects.collect())
    }

    pub(super) fn has(&self, object: &ObjectRef) -> bool {
        self.0.contains(object)
    }

    /// The name beside it that it is likely a misspelling of; short names are alike by chance.
    pub(super) fn likely(&self, object: &ObjectRef) -> Option<&'a str> {
        if object.name.len() <= SHORT {
            return None;
        }
        let beside = |it: &&&ObjectRef| it.kind == object.kind && it.namespace == object.namespace;
        let names = self.0.iter().filter(beside).map(|it| &*it.name);
        near(&object.name, names).first().copied()
    }
}

/// Collects what one object names.
struct Collector<'a> {
    written: &'a Written,
    found: Vec<Reference>,
}

/// What an object names.
pub(super) fn of(written: &Written) -> Vec<Reference> {
    let mut collector = Collector {
        written,
        found: Vec::new(),
    };
    match written.key.kind {
        Kind::Ingress => collector.ingress(),
        Kind::GatewayPolicy => collector.policy(),
        Kind::IngressClass => collector.class(),
        Kind::Service | Kind::EndpointSlice | Kind::Secret | Kind::ConfigMap => {}
    }
    collector.found
}

impl Collector<'_> {
    fn ingress(&mut self) {
        self.backend("/spec/defaultBackend");
        for rule in self.items("/spec/rules") {
            for path in self.items(&format!("{rule}/http/paths")) {
                self.backend(&format!("{path}/backend"));
            }
        }
        for tls in self.items("/spec/tls") {
            self.name(Kind::Secret, format!("{tls}/secretName"));
        }
    }

    fn policy(&mut self) {
        for target in self.items("/spec/targetRefs") {
            let kind = self.text(&format!("{target}/kind"));
            let kind = kind.and_then(Kind::parse);
            if let Some(kind @ (Kind::Ingress | Kind::Service)) = kind {
                self.name(kind, format!("{target}/name"));
            }
        }
        self.service("/spec/fallback/service");
        for page in self.items("/spec/errorPages") {
            self.name(Kind::ConfigMap, format!("{page}/configMap/name"));
        }
        self.name(
            Kind::ConfigMap,
            "/spec/upstreamTls/caConfigMap/name".to_owned(),
        );
    }

    fn class(&mut self) {
        let parameters = "/spec/parameters";
        let is_ours =
            self.text(&format!("{parameters}/kind")) == Some(Kind::GatewayPolicy.as_str());
        let namespace = self.text(&format!("{parameters}/namespace"));
        if let (true, Some(namespace)) = (is_ours, namespace) {
            let pointer = format!("{parameters}/name");
            self.add(Kind::GatewayPolicy, namespace.into(), pointer, None);
        }
    }

    fn backend(&mut self, pointer: &str) {
        self.service(&format!("{pointer}/service"));
    }

    fn service(&mut self, pointer: &str) {
        let number = self
            .written
            .value
            .pointer(&format!("{pointer}/port/number"));
        let number = number
            .and_then(Value::as_i64)
            .and_then(|it| i32::try_from(it).ok());
        let port = match (number, self.text(&format!("{pointer}/port/name"))) {
            (Some(number), _) => Some(Port::Number(number)),
            (None, Some(name)) => Some(Port::Name(name.to_owned())),
            (None, None) => None,
        };
        let namespace = Arc::clone(&self.written.key.namespace);
        self.add(Kind::Service, namespace, format!("{pointer}/name"), port);
    }

    fn name(&mut self, kind: Kind, pointer: String) {
        self.add(kind, Arc::clone(&self.written.key.namespace), pointer, None);
    }

    fn add(&mut self, kind: Kind, namespace: Arc<str>, pointer: String, port: Option<Port>) {
        let Some(name) = self.text(&pointer).filter(|name| !name.is_empty()) else {
            return;
        };
        let object = ObjectRef {
            kind,
            namespace,
            name: name.into(),
        };
        self.found.push(Reference {
            object,
            port,
            pointer,
        });
    }

    fn text(&self, pointer: &str) -> Option<&str> {
        self.written.value.pointer(pointer).and_then(Value::as_str)
    }

    /// Pointers to the items of a list.
    fn items(&self, pointer: &str) -> Vec<String> {
        let list = self
            .written
            .value
            .pointer(pointer)
            .and_then(Value::as_array);
        let length = list.map_or(0, Vec::len);
        (0..length)
            .map(|index| format!("{pointer}/{index}"))
            .collect()
    }
}

/// Services that stand in for those that are named and are not known.
pub(super) fn stand_ins<'a>(
    references: impl Iterator<Item = &'a Reference>,
    known: &Known<'_>,
) -> Vec<Arc<Service>> {
    let mut wanted: BTreeMap<&ObjectRef, BTreeSet<&Port>> = BTreeMap::new();
    for Reference { object, port, .. } in references {
        if object.kind == Kind::Service && !known.has(object) {
            wanted.entry(object).or_default().extend(port);
        }
    }
    let services = wanted.into_iter();
    services
        .map(|(object, ports)| Arc::new(stand_in(object, &ports)))
        .collect()
}

/// What a port is called that is only known by its number.
fn unnamed(number: i32) -> String {
    format!("port-{number}")
}

/// Notes how the ports of a stand-in are written whose numbers nobody knows.
pub(super) fn name_ports(stand_in: &Service, names: &mut PortNames) {
    let meta = &stand_in.metadata;
    let (namespace, name) = (meta.namespace.as_deref(), meta.name.as_deref());
    let service = format!(
        "{}/{}",
        namespace.unwrap_or_default(),
        name.unwrap_or_default()
    );
    let ports = stand_in
        .spec
        .iter()
        .flat_map(|spec| spec.ports.iter().flatten());
    for ServicePort { port, name, .. } in ports {
        let named = name.iter().find(|name| **name != unnamed(*port));
        names.extend(named.map(|name| (format!("{service}:{port}"), format!("{service}:{name}"))));
    }
}

fn stand_in(object: &ObjectRef, wanted: &BTreeSet<&Port>) -> Service {
    let mut ports: Vec<ServicePort> = Vec::new();
    for port in wanted {
        let (number, name) = match port {
            Port::Number(number) => (*number, unnamed(*number)),
            // Nobody knows the number; one that is not named elsewhere does.
            Port::Name(name) => {
                let free = (1..).find(|number| ports.iter().all(|port| port.port != *number));
                (free.unwrap_or(1), name.clone())
            }
        };
        ports.push(ServicePort {
            name: Some(name),
            port: number,
            protocol: Some("TCP".to_owned()),
            ..ServicePort::default()
        });
    }
    Service {
        metadata: ObjectMeta {
            namespace: Some(object.namespace.to_string()),
            name: Some(object.name.to_string()),
            ..ObjectMeta::default()
        },
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            ports: Some(ports),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}
