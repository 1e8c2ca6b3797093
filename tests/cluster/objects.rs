//! Kubernetes objects in the few words that a test needs to say.

use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::CertificateDer;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The port that pods listen on; Services map port 80 to it.
pub(crate) const POD_PORT: u16 = 8080;

/// A typed object from its JSON form.
pub(crate) fn object<K: DeserializeOwned>(json: Value) -> K {
    serde_json::from_value(json).unwrap()
}

/// An Ingress that sends all of `host` to port 80 of the Service.
pub(crate) fn ingress(class: &str, name: &str, host: &str, service: &str) -> Ingress {
    object(json!({
        "metadata": {"name": name},
        "spec": {"ingressClassName": class, "rules": [rule(host, "/", service)]},
    }))
}

/// One rule of an Ingress: a prefix of one host.
pub(crate) fn rule(host: &str, path: &str, service: &str) -> Value {
    json!({"host": host, "http": {"paths": [
        {"path": path, "pathType": "Prefix", "backend": backend(service)},
    ]}})
}

pub(crate) fn backend(service: &str) -> Value {
    json!({"service": {"name": service, "port": {"number": 80}}})
}

/// The Ingress with TLS for its hosts from the named Secret.
pub(crate) fn with_tls(mut ingress: Ingress, host: &str, secret: &str) -> Ingress {
    let tls = object(json!([{"hosts": [host], "secretName": secret}]));
    ingress.spec.as_mut().unwrap().tls = tls;
    ingress
}

pub(crate) fn ingress_class(name: &str, controller: &str) -> IngressClass {
    object(json!({"metadata": {"name": name}, "spec": {"controller": controller}}))
}

/// A Service whose pods carry the label `app: name`.
pub(crate) fn service(name: &str) -> Service {
    object(json!({
        "metadata": {"name": name},
        "spec": {
            "selector": {"app": name},
            "ports": [{"name": "http", "port": 80, "targetPort": POD_PORT}],
        },
    }))
}

/// A self-signed certificate for one host, in a Secret and as a client will see it.
pub(crate) fn tls_secret(name: &str, host: &str) -> (Secret, CertificateDer<'static>) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![host.to_owned()]).unwrap();
    let certificate = certificate.self_signed(&key).unwrap();
    let secret = object(json!({
        "metadata": {"name": name},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": certificate.pem(), "tls.key": key.serialize_pem()},
    }));
    (secret, certificate.der().clone())
}
