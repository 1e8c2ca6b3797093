//! From where to where: computed from Services and their slices.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointSlice};
use kube::ResourceExt;

use super::Front;
use crate::namespace::{BALANCERS, SERVICES};

/// Each address at which to listen, with the endpoints behind it.
pub(super) fn of(
    services: &[Arc<Service>],
    slices: &[Arc<EndpointSlice>],
    front: Front,
) -> BTreeMap<SocketAddr, Vec<SocketAddr>> {
    let mut forwardings = BTreeMap::new();
    for service in services.iter().filter(|it| !is_api_server(it)) {
        let Some(own) = cluster_ip(service) else {
            continue;
        };
        let balancer = balancer(service).filter(|_| front.load_balancer);
        let ports = service
            .spec
            .iter()
            .flat_map(|spec| spec.ports.iter().flatten());
        for port in ports {
            let behind = endpoints(service, port, slices);
            let number = |number: i32| u16::try_from(number).ok();
            let addresses = [
                number(port.port).map(|port| (own, port)),
                balancer.zip(number(port.port)),
                port.node_port
                    .and_then(number)
                    .map(|port| (front.node, port)),
            ];
            for address in addresses.into_iter().flatten() {
                forwardings.insert(address.into(), behind.clone());
            }
        }
    }
    forwardings
}

/// The API server listens at the address of this Service by itself.
fn is_api_server(service: &Service) -> bool {
    service.name_any() == "kubernetes" && service.namespace().as_deref() == Some("default")
}

fn cluster_ip(service: &Service) -> Option<Ipv4Addr> {
    service.spec.as_ref()?.cluster_ip.as_ref()?.parse().ok()
}

/// The address of the load balancer of a Service that is to have one: as the Service's own, in another network.
pub(super) fn balancer(service: &Service) -> Option<Ipv4Addr> {
    let spec = service.spec.as_ref()?;
    if spec.type_.as_deref() != Some("LoadBalancer") || spec.load_balancer_class.is_some() {
        return None;
    }
    let network = |[a, b]: [u8; 2]| u32::from(Ipv4Addr::new(a, b, 0, 0));
    let host = u32::from(cluster_ip(service)?) - network(SERVICES);
    Some(Ipv4Addr::from(network(BALANCERS) + host))
}

/// Those that are ready; if none is, those that end and still serve.
fn endpoints(
    service: &Service,
    port: &ServicePort,
    slices: &[Arc<EndpointSlice>],
) -> Vec<SocketAddr> {
    let of_service = |slice: &&Arc<EndpointSlice>| {
        let name = slice.labels().get("kubernetes.io/service-name");
        name == service.metadata.name.as_ref() && slice.namespace() == service.namespace()
    };
    let (mut ready, mut ending) = (Vec::new(), Vec::new());
    for slice in slices.iter().filter(of_service) {
        let named = |name: Option<&String>| name.cloned().unwrap_or_default();
        let mut ports = slice.ports.iter().flatten();
        let found = ports.find(|it| named(it.name.as_ref()) == named(port.name.as_ref()));
        let Some(number) = found.and_then(|it| u16::try_from(it.port?).ok()) else {
            continue;
        };
        for endpoint in &slice.endpoints {
            let conditions = endpoint.conditions.clone().unwrap_or_default();
            if conditions.ready != Some(false) {
                ready.extend(addresses(endpoint, number));
            } else if still_serves(&conditions) {
                ending.extend(addresses(endpoint, number));
            }
        }
    }
    if ready.is_empty() { ending } else { ready }
}

fn still_serves(conditions: &EndpointConditions) -> bool {
    conditions.serving == Some(true) && conditions.terminating == Some(true)
}

fn addresses(endpoint: &Endpoint, port: u16) -> Vec<SocketAddr> {
    let addresses = endpoint
        .addresses
        .iter()
        .filter_map(|it| it.parse::<IpAddr>().ok());
    addresses.map(|ip| SocketAddr::new(ip, port)).collect()
}
