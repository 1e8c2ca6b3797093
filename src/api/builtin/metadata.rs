//! What all objects have.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::api::validation::Violation;

use super::{Faults, Form, names, step};

/// The most bytes of all annotations.
const ANNOTATIONS: usize = 256 * 1024;

/// Name, namespace, labels and annotations of an object that is in a namespace.
pub(super) fn namespaced(metadata: &ObjectMeta, name: Form, faults: &mut Faults) {
    faults.at("metadata", |faults| {
        faults.text("name", metadata.name.as_deref(), name);
        faults.text("namespace", metadata.namespace.as_deref(), names::label);
        for (key, value) in metadata.labels.iter().flatten() {
            label("labels", (key, value), faults);
        }
        let mut size = 0;
        for (key, value) in metadata.annotations.iter().flatten() {
            size += key.len() + value.len();
            if let Err(advice) = names::qualified(&key.to_lowercase()) {
                faults.at("annotations", |faults| {
                    faults.at(step(key), |faults| faults.wrong(key.as_str(), advice));
                });
            }
        }
        if size > ANNOTATIONS {
            faults.refuse_at("annotations", "all of them together hold at most 256 KiB");
        }
    });
}

/// What an API server would refuse the metadata of a GatewayPolicy for; its schema and rules say nothing of it.
pub fn policy_metadata(metadata: &ObjectMeta) -> Vec<Violation> {
    let mut faults = Faults::default();
    namespaced(metadata, names::subdomain, &mut faults);
    faults.found
}

/// Key and value of a label, or of a selector.
pub(super) fn label(field: &str, (key, value): (&str, &str), faults: &mut Faults) {
    faults.at(field, |faults| {
        faults.at(step(key), |faults| {
            if let Err(advice) = names::qualified(key) {
                faults.wrong(key, advice);
            }
            faults.form(value, names::label_value);
        });
    });
}
