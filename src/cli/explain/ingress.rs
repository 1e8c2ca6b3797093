//! Explaining an Ingress: whose it is, where it is reached, and what is behind each of its rules.

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::networking::v1::{HTTPIngressPath, Ingress, IngressBackend};

use crate::api::policy::GatewayPolicy;

use super::class::{self, Belongs};
use super::facts::{Facts, name, namespace, similar};
use super::picture::{Explained, Host, Level, Path, Remark};
use super::{OURS, endpoints, events, policy, words};

/// Explains an Ingress.
pub(super) fn explain(ingress: &Ingress, facts: &Facts) -> Explained {
    let mut explained = Explained {
        kind: "Ingress",
        namespace: namespace(ingress).to_owned(),
        name: name(ingress).to_owned(),
        ..Explained::default()
    };
    match class::of(ingress, facts) {
        Belongs::Elsewhere(remark) => {
            let foreign = remark.level == Level::Note;
            explained.remarks.push(remark);
            explained
                .remarks
                .extend(events::about(("Ingress", ingress), None, facts));
            let mut explained = explained.judged();
            explained.verdict = if foreign {
                "not Bywash's"
            } else {
                "likely not served"
            };
            return explained;
        }
        Belongs::Here { class, .. } => explained.about.push(("class", class)),
    }
    let addresses = addresses(ingress);
    if addresses.is_empty() {
        explained.remarks.push(no_address());
    } else {
        explained.about.push(("address", addresses.join(", ")));
    }
    let services = services(ingress, facts);
    let attached = attached(ingress, &services, facts);
    if !attached.is_empty() {
        let names: Vec<&str> = attached.iter().map(|it| name(*it)).collect();
        explained.about.push(("policy", names.join(", ")));
    }
    told(ingress, &services, facts, &mut explained.remarks);
    explained.hosts = hosts(ingress, facts);
    explained.with_suspects().judged()
}

/// What conditions, ports and Events say; each failure once, where it is said best.
fn told(ingress: &Ingress, services: &[&Service], facts: &Facts, remarks: &mut Vec<Remark>) {
    let conditions = policy::about(ingress, services, facts);
    let failing = (!addresses(ingress).is_empty()).then(|| !failures(ingress).is_empty());
    let events = events::about(("Ingress", ingress), failing, facts);
    let mut news = conditions;
    for event in events {
        let known = |it: &Remark| it.reason.ends_with(&event.reason) || it.message == event.message;
        if !news.iter().any(known) {
            news.push(event);
        }
    }
    for failure in failures(ingress) {
        let explained = news.iter().any(|it| it.level == Level::Problem);
        let said = news.iter().any(|it| it.reason.starts_with(failure));
        if !explained && !said {
            let message = "its requests are answered with an error that Bywash makes; who may read \
                           Events and GatewayPolicies sees why";
            news.push(Remark::new(Level::Problem, failure, message));
        }
    }
    remarks.extend(news);
}

/// The failures that its status names.
fn failures(ingress: &Ingress) -> Vec<&str> {
    let ports = points(ingress)
        .iter()
        .flat_map(|it| it.ports.iter().flatten());
    let errors = ports.filter_map(|port| port.error.as_deref()?.strip_prefix(OURS));
    let mut errors: Vec<&str> = errors.collect();
    errors.sort_unstable();
    errors.dedup();
    errors
}

type Point = k8s_openapi::api::networking::v1::IngressLoadBalancerIngress;

fn points(ingress: &Ingress) -> &[Point] {
    let status = ingress.status.as_ref();
    let balancer = status.and_then(|status| status.load_balancer.as_ref());
    let points = balancer.and_then(|balancer| balancer.ingress.as_deref());
    points.unwrap_or_default()
}

/// The addresses in its status.
pub(super) fn addresses(ingress: &Ingress) -> Vec<&str> {
    let points = points(ingress).iter();
    points
        .filter_map(|point| point.ip.as_deref().or(point.hostname.as_deref()))
        .collect()
}

fn no_address() -> Remark {
    Remark::new(
        Level::Warning,
        "NoAddress",
        "no address is written to its status: no Bywash has seen it yet, or it runs without \
         --publish-service and --publish-address, or with --update-status=false",
    )
}

/// The Services that its rules name.
pub(super) fn services<'f>(ingress: &Ingress, facts: &'f Facts) -> Vec<&'f Service> {
    let spec = ingress.spec.as_ref();
    let rules = spec
        .into_iter()
        .flat_map(|spec| spec.rules.iter().flatten());
    let paths = rules.flat_map(|rule| rule.http.iter().flat_map(|http| &http.paths));
    let backends = paths.map(|path| &path.backend);
    let default = spec.and_then(|spec| spec.default_backend.as_ref());
    let backends = backends.chain(default);
    let named = backends.filter_map(|backend| Some(backend.service.as_ref()?.name.as_str()));
    let found = named.filter_map(|named| facts.service(namespace(ingress), named));
    found.collect()
}

fn attached<'f>(
    ingress: &Ingress,
    services: &[&Service],
    facts: &'f Facts,
) -> Vec<&'f GatewayPolicy> {
    let policies = facts.policies.iter().flatten();
    policies
        .filter(|it| policy::is_for(it, ingress, services))
        .collect()
}

/// Its rules, in the order in which they are written.
fn hosts(ingress: &Ingress, facts: &Facts) -> Vec<Host> {
    let Some(spec) = &ingress.spec else {
        return Vec::new();
    };
    let mut hosts: Vec<Host> = Vec::new();
    let mut add = |host: &str, path: Path| match hosts.iter_mut().find(|it| it.host == host) {
        Some(known) => known.paths.push(path),
        None => hosts.push(Host {
            host: host.to_owned(),
            paths: vec![path],
        }),
    };
    for rule in spec.rules.iter().flatten() {
        let host = rule
            .host
            .as_deref()
            .filter(|host| !host.is_empty())
            .unwrap_or("*");
        let paths = rule.http.iter().flat_map(|http| &http.paths);
        for path in paths {
            add(host, node(ingress, Some(path), &path.backend, facts));
        }
        if let (None, Some(backend)) = (&rule.http, &spec.default_backend) {
            add(host, node(ingress, None, backend, facts));
        }
    }
    if let Some(backend) = &spec.default_backend {
        add("*", node(ingress, None, backend, facts));
    }
    hosts
}

fn node(
    ingress: &Ingress,
    rule: Option<&HTTPIngressPath>,
    backend: &IngressBackend,
    facts: &Facts,
) -> Path {
    let mut node = Path {
        path: rule.map(|rule| rule.path.clone().unwrap_or_else(|| "/".to_owned())),
        path_type: rule.map(|rule| rule.path_type.clone()),
        ..Path::default()
    };
    let Some(wanted) = &backend.service else {
        node.backend = "a resource".to_owned();
        let message = "requests are answered 503: the backend is not a Service, and only Services \
                       are served";
        node.remarks
            .push(Remark::new(Level::Problem, "UnsupportedBackend", message));
        return node;
    };
    let port = wanted.port.as_ref();
    let number = port.and_then(|port| port.number);
    let named = port.and_then(|port| port.name.as_deref());
    let shown = number.map(|it| it.to_string()).or(named.map(str::to_owned));
    let shown = shown.unwrap_or_default();
    node.backend = format!("Service {}, port {shown}", wanted.name);
    if facts.services.is_none() {
        return node;
    }
    let of = namespace(ingress);
    let Some(service) = facts.service(of, &wanted.name) else {
        node.remarks.push(no_service((of, &wanted.name), facts));
        return node;
    };
    let ports = service
        .spec
        .iter()
        .flat_map(|spec| spec.ports.iter().flatten());
    let is_wanted = |port: &&ServicePort| match number {
        Some(number) => port.port == number,
        None => port.name.as_deref() == named,
    };
    let Some(port) = ports.clone().find(is_wanted) else {
        let has: Vec<String> = ports.map(words::port).collect();
        let has = match has.as_slice() {
            [] => "it has none".to_owned(),
            has => format!("it has {}", has.join(", ")),
        };
        let message = format!(
            "requests are answered 503: the Service {} has no port {shown}; {has}",
            wanted.name
        );
        node.remarks
            .push(Remark::new(Level::Problem, "PortNotFound", message));
        return node;
    };
    node.backend = format!("Service {}, port {}", wanted.name, words::port(port));
    node.upstream = Some(words::upstream(service, port));
    let behind = endpoints::behind(service, port, facts);
    (node.endpoints, node.remarks) = (behind.endpoints, behind.remarks);
    node
}

fn no_service((of, wanted): (&str, &str), facts: &Facts) -> Remark {
    let services = facts.services.iter().flatten();
    let names = services.filter(|it| namespace(*it) == of).map(name);
    let message = format!(
        "requests are answered 503: there is no Service {wanted} in namespace {of}{}",
        similar(wanted, names)
    );
    Remark::new(Level::Problem, "ServiceNotFound", message)
}
