//! What an API server would say of one object of Kubernetes' own kinds: rules that it breaks, and fields
//! that its kind does not have, which are dropped or cost the object.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::networking::v1::IngressClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_ignored::Path;
use serde_json::Value;

use crate::api::builtin;
use crate::api::policy::GatewayPolicy;
use crate::api::validation::Violation;
use crate::report::Kind;

/// What can be said of an object by itself.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// JSON pointers to fields that there are not. The spec of a policy has a schema that says more.
    pub(super) unknown: Vec<String>,
    /// What an API server would refuse it for: of a policy, for its metadata alone.
    pub(super) violations: Vec<Violation>,
}

/// Looks at an object as it is written.
pub(super) fn shape(kind: Kind, value: &Value) -> Shape {
    match kind {
        Kind::Ingress => looked_at(value, builtin::ingress),
        Kind::Service => looked_at(value, builtin::service),
        Kind::EndpointSlice => looked_at(value, builtin::endpoint_slice),
        Kind::IngressClass => looked_at(value, no_rules::<IngressClass>),
        Kind::Secret => looked_at(value, no_rules::<Secret>),
        Kind::ConfigMap => looked_at(value, no_rules::<ConfigMap>),
        Kind::GatewayPolicy => {
            let mut shape = looked_at(value, no_rules::<GatewayPolicy>);
            let unknown = &mut shape.unknown;
            unknown.retain(|pointer| pointer.starts_with("/metadata/"));
            // By itself, because a spec that is not of its form leaves no policy to look at.
            let metadata = value.get("metadata").map(ObjectMeta::deserialize);
            let metadata = metadata.and_then(Result::ok).unwrap_or_default();
            shape.violations = builtin::policy_metadata(&metadata);
            shape
        }
    }
}

fn no_rules<K>(_: &K) -> Vec<Violation> {
    Vec::new()
}

fn looked_at<K: DeserializeOwned>(value: &Value, rules: fn(&K) -> Vec<Violation>) -> Shape {
    let mut unknown = Vec::new();
    let read = serde_ignored::deserialize(value, |path| unknown.push(pointer(&path)));
    Shape {
        unknown,
        // An object that is none is told by whoever reads it.
        violations: read.map(|object| rules(&object)).unwrap_or_default(),
    }
}

fn pointer(path: &Path<'_>) -> String {
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => format!("{}/{index}", pointer(parent)),
        Path::Map { parent, key } => {
            let key = key.replace('~', "~0").replace('/', "~1");
            format!("{}/{key}", pointer(parent))
        }
        Path::Some { parent }
        | Path::NewtypeStruct { parent }
        | Path::NewtypeVariant { parent } => pointer(parent),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_that_there_is_not_is_found_at_any_depth() {
        let ingress = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": "web", "label": {}},
            "spec": {"rules": [{"host": "a.example", "htp": {}}], "ingressClass": "bywash"},
        });
        let mut found = shape(Kind::Ingress, &ingress).unknown;
        found.sort();
        assert_eq!(
            found,
            ["/metadata/label", "/spec/ingressClass", "/spec/rules/0/htp"]
        );
    }

    #[test]
    fn of_a_policy_only_what_its_schema_does_not_tell() {
        let policy = json!({"metadata": {"nme": "web"}, "spec": {"retrys": {}}});
        let found = shape(Kind::GatewayPolicy, &policy).unknown;
        assert_eq!(found, ["/metadata/nme"]);
    }

    #[test]
    fn of_a_policy_labels_and_annotations_are_looked_at_whatever_its_spec_is() {
        let policy = json!({
            "metadata": {"name": "web", "labels": {"a": "b c"}, "annotations": {"x y": "z"}},
            "spec": {"retry": "often"},
        });
        let found = shape(Kind::GatewayPolicy, &policy).violations;
        let found: Vec<&str> = found.iter().map(|it| it.pointer.as_str()).collect();
        assert_eq!(found, ["/metadata/labels/a", "/metadata/annotations/x y"]);
    }
}
