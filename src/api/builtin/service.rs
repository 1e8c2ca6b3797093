//! Rules for a Service; those about its addresses are in `service_addresses`, about node
//! ports in `service_node_ports`.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::validation::Violation;

use super::{Faults, items, metadata, names, service_addresses, service_node_ports};

/// What a port may be spoken to in.
pub(super) const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];

/// A day.
const LONGEST_AFFINITY: i32 = 86_400;

/// What is filled in where no type is written.
const DEFAULT_TYPE: &str = "ClusterIP";

const TOPOLOGY: [&str; 2] = [
    "service.kubernetes.io/topology-mode",
    "service.kubernetes.io/topology-aware-hints",
];

/// What an API server would refuse a Service for.
pub fn service(service: &Service) -> Vec<Violation> {
    let mut faults = Faults::default();
    let metadata = &service.metadata;
    metadata::namespaced(metadata, names::label, &mut faults);
    let annotation = |name| metadata.annotations.as_ref().and_then(|it| it.get(name));
    if let [Some(mode), Some(hints)] = TOPOLOGY.map(annotation)
        && mode != hints
    {
        let path = format!("metadata/annotations/{}", super::step(TOPOLOGY[0]));
        let message = format!(
            "this is '{mode}', and {} is '{hints}': remove the latter",
            TOPOLOGY[1]
        );
        faults.refuse_at(path, message);
    }
    let empty = ServiceSpec::default();
    let spec = service.spec.as_ref().unwrap_or(&empty);
    let spec = Written { spec, metadata };
    faults.at("spec", |faults| spec.check(faults));
    faults.found
}

/// A spec, with the annotations that belong to it.
pub(super) struct Written<'a> {
    pub(super) spec: &'a ServiceSpec,
    pub(super) metadata: &'a ObjectMeta,
}

impl Written<'_> {
    fn check(&self, faults: &mut Faults) {
        let spec = self.spec;
        faults.one_of("type", Some(self.kind()), &TYPES);
        self.check_name(faults);
        ports(items(spec.ports.as_ref()), faults);
        service_node_ports::check(self, faults);
        for (key, value) in spec.selector.iter().flatten() {
            metadata::label("selector", (key, value), faults);
        }
        self.check_affinity(faults);
        service_addresses::check(self, faults);
        self.check_load_balancer(faults);
        self.check_traffic(faults);
    }

    pub(super) fn kind(&self) -> &str {
        let kind = self.spec.type_.as_deref().filter(|it| !it.is_empty());
        kind.unwrap_or(DEFAULT_TYPE)
    }

    fn is_load_balancer(&self) -> bool {
        self.kind() == "LoadBalancer"
    }

    fn check_name(&self, faults: &mut Faults) {
        let spec = self.spec;
        let is_name = self.kind() == "ExternalName";
        if items(spec.ports.as_ref()).is_empty()
            && !service_addresses::is_headless(spec)
            && !is_name
        {
            faults.missing("ports", "a list with a port");
        }
        if is_name {
            let name = spec.external_name.as_deref().unwrap_or_default();
            match name.strip_suffix('.').unwrap_or(name) {
                "" => faults.missing("externalName", "a DNS name such as shop.example"),
                name => faults.text("externalName", Some(name), names::subdomain),
            }
        }
    }

    fn check_affinity(&self, faults: &mut Faults) {
        let affinity = self
            .spec
            .session_affinity
            .as_deref()
            .filter(|it| !it.is_empty());
        faults.one_of("sessionAffinity", affinity, &["ClientIP", "None"]);
        let client = self.spec.session_affinity_config.as_ref();
        let client = client.and_then(|it| it.client_ip.as_ref());
        // Without ClientIP the configuration is dropped.
        if let (Some("ClientIP"), Some(timeout)) =
            (affinity, client.and_then(|it| it.timeout_seconds))
            && !(1..=LONGEST_AFFINITY).contains(&timeout)
        {
            faults.at("sessionAffinityConfig/clientIP/timeoutSeconds", |faults| {
                faults.wrong(timeout, "a number from 1 to 86400");
            });
        }
    }

    fn check_load_balancer(&self, faults: &mut Faults) {
        let ServiceSpec {
            allocate_load_balancer_node_ports,
            load_balancer_class,
            ..
        } = self.spec;
        if self.is_load_balancer() {
            faults.text(
                "loadBalancerClass",
                load_balancer_class.as_deref(),
                names::qualified,
            );
            return;
        }
        let only = [
            (
                "allocateLoadBalancerNodePorts",
                allocate_load_balancer_node_ports.is_some(),
            ),
            ("loadBalancerClass", load_balancer_class.is_some()),
        ];
        for (field, _) in only.into_iter().filter(|(_, is_there)| *is_there) {
            let kind = self.kind();
            let message =
                format!("only the type LoadBalancer has this, and the type is {kind}: remove it");
            faults.refuse_at(field, message);
        }
    }

    fn check_traffic(&self, faults: &mut Faults) {
        let ServiceSpec {
            external_traffic_policy,
            external_ips,
            health_check_node_port,
            internal_traffic_policy,
            traffic_distribution,
            ..
        } = self.spec;
        let external = external_traffic_policy
            .as_deref()
            .filter(|it| !it.is_empty());
        let is_external = match self.kind() {
            "LoadBalancer" | "NodePort" => true,
            "ClusterIP" => !items(external_ips.as_ref()).is_empty(),
            _ => false,
        };
        match is_external {
            true => faults.one_of("externalTrafficPolicy", external, &["Cluster", "Local"]),
            false if external.is_some() => {
                let message =
                    "only a Service that is reached from outside the cluster has this: remove it";
                faults.refuse_at("externalTrafficPolicy", message);
            }
            false => {}
        }
        let port = health_check_node_port.filter(|port| *port != 0);
        match (port, self.is_load_balancer() && external == Some("Local")) {
            (Some(port), true) => {
                faults.at("healthCheckNodePort", |faults| faults.port_number(port));
            }
            (Some(_), false) => {
                let message = "only the type LoadBalancer with externalTrafficPolicy Local has this: \
                               remove it";
                faults.refuse_at("healthCheckNodePort", message);
            }
            (None, _) => {}
        }
        let internal = internal_traffic_policy.as_deref();
        faults.one_of("internalTrafficPolicy", internal, &["Cluster", "Local"]);
        let known = ["PreferClose", "PreferSameZone", "PreferSameNode"];
        faults.one_of(
            "trafficDistribution",
            traffic_distribution.as_deref(),
            &known,
        );
    }
}

/// What a port is spoken to in, TCP where nothing is written.
pub(super) fn protocol(port: &ServicePort) -> &str {
    let written = port.protocol.as_deref().filter(|it| !it.is_empty());
    written.unwrap_or("TCP")
}

fn ports(ports: &[ServicePort], faults: &mut Faults) {
    let (mut known, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    faults.each("ports", ports, |faults, it| {
        let protocol = protocol(it);
        faults.one_of("protocol", Some(protocol), &PROTOCOLS);
        port(it, ports.len() > 1, faults);
        if let Some(name) = it.name.as_deref().filter(|name| !name.is_empty())
            && !known.insert(name.to_owned())
        {
            let message = format!("another port is called '{name}' too: name each differently");
            faults.refuse_at("name", message);
        }
        if !numbers.insert((protocol.to_owned(), it.port)) {
            faults.refuse(format!(
                "another port is {} of {protocol} too: remove one of them",
                it.port
            ));
        }
    });
}

fn port(port: &ServicePort, needs_name: bool, faults: &mut Faults) {
    let name = port.name.as_deref().filter(|name| !name.is_empty());
    if needs_name && name.is_none() {
        faults.missing("name", "a name for each port, since there are several");
    }
    faults.text("name", name, names::label);
    faults.at("port", |faults| faults.port_number(port.port));
    faults.at("targetPort", |faults| match &port.target_port {
        // The number of the port is filled in.
        None | Some(IntOrString::Int(0)) => {}
        Some(IntOrString::String(name)) if name.is_empty() => {}
        Some(IntOrString::Int(number)) => faults.port_number(*number),
        Some(IntOrString::String(name)) => faults.form(name, names::port_name),
    });
    faults.text(
        "appProtocol",
        port.app_protocol.as_deref(),
        names::qualified,
    );
}
