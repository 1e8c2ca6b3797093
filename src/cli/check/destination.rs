//! What is behind a Service: its Pods and their port, or another host.
//!
//! A Service that selects other Pods sends clients elsewhere, though all routes still lead to it.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::{Service, ServicePort as K8sPort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::routing::snapshot::ServicePort;
use crate::translate::Objects;

/// The Services of one side, by namespace and name.
pub(super) struct Services<'a>(HashMap<(&'a str, &'a str), &'a Service>);

impl<'a> Services<'a> {
    pub(super) fn of(objects: &'a Objects) -> Self {
        let services = objects.services.iter().map(|service| {
            let meta = &service.metadata;
            let namespace = meta.namespace.as_deref().unwrap_or_default();
            let name = meta.name.as_deref().unwrap_or_default();
            ((namespace, name), &**service)
        });
        Self(services.collect())
    }

    /// What is behind a port of a Service, in words.
    pub(super) fn behind(&self, port: &ServicePort) -> String {
        let service = self.0.get(&(&*port.namespace, &*port.name));
        let spec = service.and_then(|service| service.spec.as_ref());
        spec.map_or_else(|| "nothing".to_owned(), |spec| behind(spec, port.port))
    }
}

fn behind(spec: &ServiceSpec, number: u16) -> String {
    if spec.type_.as_deref() == Some("ExternalName") {
        return format!("host {}", spec.external_name.as_deref().unwrap_or_default());
    }
    let all = spec.ports.as_deref().unwrap_or_default();
    let of = |port: &&K8sPort| port.port == i32::from(number);
    let tcp = |port: &&K8sPort| port.protocol.as_deref().is_none_or(|it| it == "TCP");
    // One number may be two ports, and HTTP goes over TCP.
    let port = all.iter().filter(tcp).find(of);
    let port = port.or_else(|| all.iter().find(of));
    let target = match port.and_then(|port| port.target_port.as_ref()) {
        Some(IntOrString::Int(number)) => number.to_string(),
        Some(IntOrString::String(name)) => name.clone(),
        // As the API server fills it in.
        None => number.to_string(),
    };
    let labels = spec.selector.iter().flatten();
    let labels: Vec<String> = labels
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    match labels.is_empty() {
        true => format!("no Pods selected, port {target}"),
        false => format!("Pods with {}, port {target}", labels.join(",")),
    }
}
