//! Rules for an Ingress.

use k8s_openapi::api::core::v1::TypedLocalObjectReference;
use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, Ingress, IngressBackend, IngressRule, IngressServiceBackend, IngressSpec,
    IngressTLS,
};

use crate::api::metadata::INGRESS_CLASS;
use crate::api::validation::Violation;

use super::{Faults, addresses, items, metadata, names, step};

/// What a path of type `Exact` or `Prefix` must not hold.
const FORBIDDEN: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];

/// Nor end with.
const FORBIDDEN_ENDS: [&str; 2] = ["/..", "/."];

const PATH_TYPES: [&str; 3] = ["Exact", "ImplementationSpecific", "Prefix"];

/// What an API server would refuse an Ingress for.
pub fn ingress(ingress: &Ingress) -> Vec<Violation> {
    let mut faults = Faults::default();
    metadata::namespaced(&ingress.metadata, names::subdomain, &mut faults);
    let empty = IngressSpec::default();
    let spec = ingress.spec.as_ref().unwrap_or(&empty);
    class(ingress, spec, &mut faults);
    faults.at("spec", |faults| of_spec(spec, faults));
    faults.found
}

fn class(ingress: &Ingress, spec: &IngressSpec, faults: &mut Faults) {
    let annotations = ingress.metadata.annotations.as_ref();
    let legacy = annotations.and_then(|it| it.get(INGRESS_CLASS));
    if let (Some(legacy), Some(class)) = (legacy, &spec.ingress_class_name)
        && legacy != class
    {
        let path = format!("metadata/annotations/{}", step(INGRESS_CLASS));
        let message = format!(
            "this is '{legacy}', and spec.ingressClassName is '{class}': remove the annotation"
        );
        faults.refuse_at(path, message);
    }
}

fn of_spec(spec: &IngressSpec, faults: &mut Faults) {
    let IngressSpec {
        default_backend,
        ingress_class_name,
        rules,
        tls,
    } = spec;
    let rules = items(rules.as_ref());
    if rules.is_empty() && default_backend.is_none() {
        faults.refuse("there are neither rules nor a defaultBackend: write one of them");
    }
    if let Some(default) = default_backend {
        faults.at("defaultBackend", |faults| backend(default, faults));
    }
    faults.each("rules", rules, |faults, it| rule(it, faults));
    faults.each("tls", items(tls.as_ref()), |faults, it| of_tls(it, faults));
    faults.text(
        "ingressClassName",
        ingress_class_name.as_deref(),
        names::subdomain,
    );
}

fn rule(rule: &IngressRule, faults: &mut Faults) {
    let IngressRule { host, http } = rule;
    let host = host.as_deref().filter(|host| !host.is_empty());
    if host.is_some_and(addresses::looks_like_one) {
        let message = "this is an IP address: write a DNS name such as shop.example, or leave the host \
                       out, for requests to every host";
        faults.refuse_at("host", message);
    } else {
        faults.text("host", host, names::host);
    }
    let Some(http) = http else { return };
    faults.at("http", |faults| {
        if http.paths.is_empty() {
            faults.missing("paths", "a list with a path, its pathType and a backend");
        }
        faults.each("paths", &http.paths, |faults, it| path(it, faults));
    });
}

fn path(path: &HTTPIngressPath, faults: &mut Faults) {
    let HTTPIngressPath {
        backend: to,
        path,
        path_type,
    } = path;
    let path = path.as_deref().unwrap_or_default();
    match path_type.is_empty() {
        true => faults.missing("pathType", "one of Exact, Prefix, ImplementationSpecific"),
        false => faults.one_of("pathType", Some(path_type), &PATH_TYPES),
    }
    faults.at("path", |faults| match path_type.as_str() {
        "Exact" | "Prefix" => plain_path(path, faults),
        "ImplementationSpecific" if !path.is_empty() => absolute(path, faults),
        _ => {}
    });
    faults.at("backend", |faults| backend(to, faults));
}

fn absolute(path: &str, faults: &mut Faults) {
    if !path.starts_with('/') {
        faults.wrong(path, "a path that begins with '/'");
    }
}

fn plain_path(path: &str, faults: &mut Faults) {
    absolute(path, faults);
    let inside = FORBIDDEN.iter().filter(|it| path.contains(**it));
    for forbidden in inside {
        faults.refuse(format!(
            "this holds '{forbidden}': write the path without, as it is when it is asked for"
        ));
    }
    let ends = FORBIDDEN_ENDS.iter().filter(|it| path.ends_with(**it));
    for forbidden in ends {
        faults.refuse(format!(
            "this ends with '{forbidden}': write the path that it leads to"
        ));
    }
}

fn backend(backend: &IngressBackend, faults: &mut Faults) {
    let IngressBackend { resource, service } = backend;
    match (resource, service) {
        (Some(_), Some(_)) => {
            faults.refuse("there are both a service and a resource: leave one of them out");
        }
        (Some(resource), None) => faults.at("resource", |faults| reference(resource, faults)),
        (None, Some(service)) => of_service(service, faults),
        (None, None) => faults.refuse("there is no service: write its name and its port"),
    }
}

fn of_service(service: &IngressServiceBackend, faults: &mut Faults) {
    let IngressServiceBackend { name, port } = service;
    faults.at("service", |faults| match name.is_empty() {
        true => faults.missing("name", "the name of a Service"),
        false => faults.text("name", Some(name), names::label),
    });
    let port = port.clone().unwrap_or_default();
    let name = port.name.filter(|name| !name.is_empty());
    match (name, port.number.unwrap_or_default()) {
        (Some(_), 1.. | ..=-1) => {
            faults.refuse("service.port has both a name and a number: leave one of them out");
        }
        (Some(name), 0) => faults.at("service/port", |faults| {
            faults.text("name", Some(&name), names::port_name);
        }),
        (None, 0) => faults.refuse("service.port is missing: write its number or its name"),
        (None, number) => {
            faults.at("service/port/number", |faults| faults.port_number(number));
        }
    }
}

fn reference(to: &TypedLocalObjectReference, faults: &mut Faults) {
    let TypedLocalObjectReference {
        api_group,
        kind,
        name,
    } = to;
    faults.text("apiGroup", api_group.as_deref(), names::subdomain);
    for (field, text) in [("kind", kind), ("name", name)] {
        match text.is_empty() {
            true => faults.missing(field, "that of an object"),
            false => faults.text(field, Some(text), names::path_segment),
        }
    }
}

fn of_tls(tls: &IngressTLS, faults: &mut Faults) {
    let IngressTLS { hosts, secret_name } = tls;
    faults.each("hosts", items(hosts.as_ref()), |faults, host| {
        faults.form(host, names::host);
    });
    let secret = secret_name.as_deref().filter(|name| !name.is_empty());
    faults.text("secretName", secret, names::subdomain);
}
