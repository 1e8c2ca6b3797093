//! The API server accepts every object that the matrix of values renders, without an unknown field.

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams, ValidationDirective};
use kube::core::discovery::ApiResource;
use kube::{Api, Client};
use serde_json::{Value, json};

use super::release::{Helm, NEWER, OLDER, chart};
use crate::control_plane::ControlPlane;
use crate::namespace;
use crate::tenant::Tenant;
use crate::values::matrix;
use crate::wait::{SOON, eventually};

trials![the_api_server_accepts_everything_that_is_rendered];

async fn the_api_server_accepts_everything_that_is_rendered() {
    let own = ControlPlane::own("accepted").await;
    let shop = Tenant::of(std::sync::Arc::clone(&own.plane)).await;
    for name in ["shop", "blog"] {
        let namespace: Namespace = crate::objects::object(json!({"metadata": {"name": name}}));
        Api::all(shop.client.clone())
            .create(&PostParams::default(), &namespace)
            .await
            .unwrap();
    }
    monitoring(&shop.client).await;
    for version in [NEWER, OLDER] {
        let helm = Helm::of(version, &shop);
        let mut seen = 0;
        for (name, values) in matrix() {
            let file = namespace::scratch().join("accepted.yaml");
            std::fs::write(&file, values.to_string()).unwrap();
            let file = file.display().to_string();
            let rendered = helm
                .run(&["template", "edge", &chart("bywash"), "--values", &file])
                .await;
            for object in serde_saphyr::from_multiple::<Value>(&rendered).unwrap() {
                if !object.is_null() {
                    seen += 1;
                    accept(&shop.client, name, &object).await;
                }
            }
        }
        assert!(seen > 80, "only {seen} objects");
    }
}

/// A dry run of a server-side apply, strict about fields.
async fn accept(client: &Client, values: &str, object: &Value) {
    let text = |field: &str| object.pointer(field).and_then(Value::as_str);
    let (version, kind) = (text("/apiVersion").unwrap(), text("/kind").unwrap());
    let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
    let kind = kube::core::GroupVersionKind::gvk(group, version, kind);
    let resource = match kind.kind.as_str() {
        "NetworkPolicy" => ApiResource::from_gvk_with_plural(&kind, "networkpolicies"),
        _ => ApiResource::from_gvk(&kind),
    };
    let api: Api<DynamicObject> = match text("/metadata/namespace") {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let mut dry = PatchParams::apply("tests").force();
    dry.dry_run = true;
    dry.field_validation = Some(ValidationDirective::Strict);
    let name = text("/metadata/name").unwrap();
    let answer = api.patch(name, &dry, &Patch::Apply(object)).await;
    answer.unwrap_or_else(|error| panic!("{values}: {} {name}: {error}", kind.kind));
}

/// The kinds of the Prometheus operator: known by name, their fields are not looked at here.
async fn monitoring(client: &Client) {
    let api = Api::<CustomResourceDefinition>::all(client.clone());
    for (plural, kind) in [
        ("servicemonitors", "ServiceMonitor"),
        ("podmonitors", "PodMonitor"),
        ("prometheusrules", "PrometheusRule"),
    ] {
        let name = format!("{plural}.monitoring.coreos.com");
        let definition: CustomResourceDefinition = crate::objects::object(json!({
            "metadata": {"name": name},
            "spec": {
                "group": "monitoring.coreos.com", "scope": "Namespaced",
                "names": {"plural": plural, "kind": kind},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema":
                    {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}],
            },
        }));
        api.create(&PostParams::default(), &definition)
            .await
            .unwrap();
        eventually("kind that is served", SOON, async || {
            let kind = kube::core::GroupVersionKind::gvk("monitoring.coreos.com", "v1", kind);
            let resource = ApiResource::from_gvk(&kind);
            let api: Api<DynamicObject> = Api::default_namespaced_with(client.clone(), &resource);
            let listed = api.list(&Default::default()).await;
            listed.map(drop).map_err(|error| error.to_string())
        })
        .await;
    }
}
