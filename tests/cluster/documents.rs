//! The manifests that documents show are taken by the API server, as strictly as it can be asked to look.

use serde_json::{Value, json};

use crate::forms::{Form, documents, yaml};
use crate::gitops::kubectl;
use crate::markdown::pages;
use crate::tenant::Tenant;

trials![every_object_that_documents_show_is_taken];

/// Nothing is kept, and a field that nobody knows is an error.
const TRY: [&str; 5] = [
    "apply",
    "--server-side",
    "--dry-run=server",
    "--validate=strict",
    "--filename=-",
];

async fn every_object_that_documents_show_is_taken() {
    let shop = Tenant::new().await;
    let (mut seen, mut refused) = (0, Vec::new());
    for page in pages() {
        let blocks = yaml(&page).into_iter();
        for (_, block) in blocks.filter(|(form, _)| *form == Form::Objects) {
            let at = page.at(block.line);
            let objects = documents(&at, &block.text).into_iter();
            let objects: Vec<Value> = objects
                .filter(is_known)
                .map(|object| of(&shop, object))
                .collect();
            if objects.is_empty() {
                continue;
            }
            seen += objects.len();
            let output = kubectl(&shop, &TRY, &objects);
            if !output.status.success() {
                refused.push(format!("{at}: {}", String::from_utf8_lossy(&output.stderr)));
            }
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
    assert!(seen > 20, "only {seen} objects");
}

/// Whether the kind is one of Kubernetes or ours, and not of a program that is not here.
fn is_known(object: &Value) -> bool {
    let version = object["apiVersion"].as_str().unwrap();
    let group = version.split_once('/').map_or("", |(group, _)| group);
    ["", "apps", "bywash.dev"].contains(&group) || group.ends_with(".k8s.io")
}

/// The same in the namespace of the test; what has none under a name that nobody else has.
fn of(shop: &Tenant, mut object: Value) -> Value {
    let metadata = &mut object["metadata"];
    match metadata["namespace"].is_null() {
        true => {
            metadata["name"] = json!(format!(
                "{}-{}",
                shop.name,
                metadata["name"].as_str().unwrap()
            ))
        }
        false => metadata["namespace"] = json!(shop.name),
    }
    object
}
