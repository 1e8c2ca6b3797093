//! From a Service's port to its endpoints: what the EndpointSlices say, and what replicas see of each.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::discovery::v1::{Endpoint as Listed, EndpointSlice};
use kube::Resource;

use crate::admin::state::shape::{self, EndpointState};
use crate::api::metadata::SERVICE_NAME;

use super::facts::{Facts, name, namespace};
use super::picture::{Endpoint, Level, Remark};
use super::words;

/// What is behind a port of a Service.
pub(super) struct Behind {
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) remarks: Vec<Remark>,
}

/// What is behind a port of a Service.
pub(super) fn behind(service: &Service, port: &ServicePort, facts: &Facts) -> Behind {
    let spec = service.spec.as_ref();
    if let Some(target) = spec.and_then(|spec| spec.external_name.as_deref()) {
        let message = format!("leads to the name {target}, which the controller resolves");
        return Behind {
            endpoints: seen(service, port, facts, BTreeMap::new()),
            remarks: vec![Remark::new(Level::Note, "ExternalName", message)],
        };
    }
    let Some(slices) = &facts.slices else {
        return Behind {
            endpoints: seen(service, port, facts, BTreeMap::new()),
            remarks: Vec::new(),
        };
    };
    let listed = listed(service, port, slices);
    let usable = listed.values().any(|(_, level)| *level < Level::Warning);
    let remarks = if usable {
        Vec::new()
    } else {
        vec![unusable(service, port, (listed.len(), slices))]
    };
    Behind {
        endpoints: seen(service, port, facts, listed),
        remarks,
    }
}

type ByAddress = BTreeMap<String, (Endpoint, Level)>;

/// The endpoints as slices have them, each address once, as well as it is told anywhere.
fn listed(service: &Service, port: &ServicePort, slices: &[EndpointSlice]) -> ByAddress {
    let mut found = ByAddress::new();
    for slice in slices.iter().filter(|slice| is_of(slice, service)) {
        let wanted = port.name.as_deref().unwrap_or_default();
        let ports = slice.ports.iter().flatten();
        let number = ports
            .filter(|it| it.name.as_deref().unwrap_or_default() == wanted)
            .find_map(|it| it.port);
        let Some(number) = number else { continue };
        for endpoint in &slice.endpoints {
            let Some(ip) = endpoint.addresses.first() else {
                continue;
            };
            let (level, state) = condition(endpoint);
            let address = match ip.contains(':') {
                true => format!("[{ip}]:{number}"),
                false => format!("{ip}:{number}"),
            };
            let pod = endpoint.target_ref.as_ref();
            let pod = pod.filter(|it| it.kind.as_deref() == Some("Pod"));
            let endpoint = Endpoint {
                address: address.clone(),
                pod: pod.and_then(|pod| pod.name.clone()),
                level,
                state: state.to_owned(),
                cause: None,
            };
            let best = found
                .entry(address)
                .or_insert_with(|| (endpoint.clone(), level));
            if level < best.1 {
                *best = (endpoint, level);
            }
        }
    }
    found
}

/// <https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions>
fn condition(endpoint: &Listed) -> (Level, &'static str) {
    let conditions = endpoint.conditions.as_ref();
    let is = |value: Option<bool>, default| value.unwrap_or(default);
    let ready = is(conditions.and_then(|it| it.ready), true);
    let terminating = is(conditions.and_then(|it| it.terminating), false);
    let serving = is(conditions.and_then(|it| it.serving), ready);
    // As translation reads them: ready goes first (a Service may publish addresses that are not).
    match (ready, terminating, serving) {
        (true, ..) => (Level::Good, "ready"),
        (_, true, true) => (Level::Note, "draining: its Pod terminates"),
        (_, true, false) => (Level::Warning, "terminating"),
        _ => (Level::Warning, "not ready"),
    }
}

fn is_of(slice: &EndpointSlice, service: &Service) -> bool {
    let labels = slice.meta().labels.as_ref();
    let owner = labels.and_then(|labels| labels.get(SERVICE_NAME));
    namespace(slice) == namespace(service) && owner.is_some_and(|owner| owner == name(service))
}

fn unusable(
    service: &Service,
    port: &ServicePort,
    (listed, slices): (usize, &[EndpointSlice]),
) -> Remark {
    let spec = service.spec.as_ref();
    let selector = spec.and_then(|spec| spec.selector.as_ref());
    let selector = selector.filter(|selector| !selector.is_empty());
    let selector = selector.map(|selector| {
        let pairs: Vec<_> = selector
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        pairs.join(",")
    });
    let look = match &selector {
        Some(selector) => format!("kubectl get pods -n {} -l {selector}", namespace(service)),
        None => format!(
            "kubectl get endpointslices -n {} -l {SERVICE_NAME}={}",
            namespace(service),
            name(service)
        ),
    };
    let others = slices.iter().filter(|slice| is_of(slice, service));
    let others: usize = others.map(|slice| slice.endpoints.len()).sum();
    let why = match (listed, others, &selector) {
        (0, 0, Some(selector)) => format!("no Pod has its selector {selector}"),
        (0, 0, None) => "it has no selector, and nobody wrote an EndpointSlice for it".to_owned(),
        (0, ..) => format!(
            "no Pod has a port for its port {}, whose targetPort is {}",
            words::port(port),
            port.target_port
                .as_ref()
                .map_or_else(|| port.port.to_string(), words::int_or_string)
        ),
        (1, ..) => "its only endpoint is not ready".to_owned(),
        (count, ..) => format!("none of its {count} endpoints is ready"),
    };
    Remark::new(
        Level::Problem,
        "NoEndpoints",
        format!("requests are answered 503: {why}; look at {look}"),
    )
}

/// The same with what replicas see, and with what only they know.
fn seen(service: &Service, port: &ServicePort, facts: &Facts, listed: ByAddress) -> Vec<Endpoint> {
    let upstream = words::upstream(service, port);
    let mut endpoints: BTreeMap<String, Endpoint> = listed
        .into_iter()
        .map(|(address, (endpoint, _))| (address, endpoint))
        .collect();
    let mut views: BTreeMap<&str, Vec<&shape::Endpoint>> = BTreeMap::new();
    for replica in &facts.live {
        let upstreams = replica
            .live
            .upstreams
            .iter()
            .filter(|it| it.name == upstream);
        for endpoint in upstreams.flat_map(|it| &it.endpoints) {
            views.entry(&endpoint.address).or_default().push(endpoint);
        }
    }
    for (address, views) in views {
        let endpoint = endpoints
            .entry(address.to_owned())
            .or_insert_with(|| Endpoint {
                address: address.to_owned(),
                state: "ready".to_owned(),
                ..Endpoint::default()
            });
        add(endpoint, &views, (facts.live.len(), facts.now));
    }
    endpoints.into_values().collect()
}

/// Adds what replicas see of an endpoint: the worst.
fn add(endpoint: &mut Endpoint, views: &[&shape::Endpoint], (replicas, now): (usize, Timestamp)) {
    if endpoint.pod.is_none() {
        endpoint.pod = views.iter().find_map(|view| view.pod.clone());
    }
    let bad: Vec<_> = views
        .iter()
        .filter(|view| level(view.state) > Level::Note)
        .collect();
    if let Some(worst) = bad.iter().max_by_key(|view| level(view.state)) {
        endpoint.level = endpoint.level.max(level(worst.state));
        endpoint.state = worst.state.words().to_owned();
        if let Some(until) = worst.until.filter(|until| *until > now) {
            endpoint.state += &format!(" for {} more", words::duration(until.duration_since(now)));
        }
        if replicas > 1 {
            endpoint.state += &format!(", as {} of {replicas} replicas see it", bad.len());
        }
    }
    let failures = views.iter().filter_map(|view| view.last_failure.as_ref());
    if let Some(failure) = failures.max_by_key(|failure| failure.at) {
        let ago = failure.at.map(|at| words::ago(at, now)).unwrap_or_default();
        endpoint.state += &format!("; last failure {ago}: {}", failure.sentence);
        endpoint.cause = Some(failure.cause.clone());
    }
}

fn level(state: EndpointState) -> Level {
    match state {
        EndpointState::Ready => Level::Good,
        EndpointState::Draining => Level::Note,
        EndpointState::HalfOpen => Level::Warning,
        EndpointState::Ejected | EndpointState::Down => Level::Problem,
    }
}
