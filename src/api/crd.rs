//! The definition of `GatewayPolicy`, as it is installed.
//!
//! Made from the types, with what these cannot say. The spec has no default, so that a section means
//! what its author wrote; the status has one, because tools that wait for an object (kstatus) take one
//! without a status for finished before anybody has looked at it. Nothing may be null, so that a rule
//! which finds a field finds a value.

use kube::CustomResourceExt;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::policy::GatewayPolicy;
use super::rules::{self, Rule};

/// The name of the definition.
pub const NAME: &str = "gatewaypolicies.bywash.dev";

/// What is checked about a part of a policy.
pub(super) struct Applied {
    /// Where the part stands, with `[]` for the items of a list.
    pub(super) part: &'static str,
    /// For the API server.
    validations: Value,
    /// The sentences of the rules that a part as written breaks; none for one that is no such part.
    pub(super) broken: fn(&Value) -> Vec<&'static str>,
}

macro_rules! applied {
    ($($part:literal $rules:path,)+) => {
        [$(Applied {
            part: $part,
            validations: rules::validations($rules),
            broken: |part| written($rules, part),
        },)+]
    };
}

fn written<T: DeserializeOwned>(rules: &'static [Rule<T>], part: &Value) -> Vec<&'static str> {
    let part = T::deserialize(part);
    part.map_or_else(|_| Vec::new(), |part| rules::broken(rules, &part).collect())
}

/// What is checked, by where it applies.
pub(super) fn applied() -> [Applied; 19] {
    use rules::{answers, upstream};
    applied![
        ".spec" rules::SPEC,
        ".spec.targetRefs[]" rules::TARGET,
        ".spec.timeouts" rules::TIMEOUTS,
        ".spec.retry" rules::RETRY,
        ".spec.retry.backoff" rules::BACKOFF,
        ".spec.outlierDetection.failurePercent" upstream::FAILURE_PERCENT,
        ".spec.outlierDetection.ejection" upstream::EJECTION,
        ".spec.healthCheck" upstream::HEALTH_CHECK,
        ".spec.healthCheck.http" upstream::HTTP_PROBE,
        ".spec.connectionPool" upstream::CONNECTION_POOL,
        ".spec.loadBalancing" upstream::LOAD_BALANCING,
        ".spec.loadBalancing.consistentHash" upstream::CONSISTENT_HASH,
        ".spec.loadBalancing.stickyCookie" upstream::STICKY_COOKIE,
        ".spec.fallback.service.port" upstream::PORT,
        ".spec.upstreamTls" upstream::UPSTREAM_TLS,
        ".spec.errorPages[]" answers::ERROR_PAGE,
        ".spec.responseValidation.json" answers::JSON_VALIDATION,
        ".spec.bypass[]" rules::BYPASS,
        ".spec.maintenance" rules::MAINTENANCE,
    ]
}

/// Lists that are sets, or maps by a key: what several write is merged.
const LISTS: [(&str, Option<&str>); 7] = [
    (".spec.retry.on", None),
    (".spec.outlierDetection.statuses", None),
    (".spec.errorPages[].statuses", None),
    (".status.conditions", Some("type")),
    (".status.ancestors[].conditions", Some("type")),
    (".status.ancestors[].sections", Some("name")),
    (".status.ancestors[].upstreams", Some("name")),
];

/// What keeps the definition, and with it every policy, when whatever installed it is taken away: Helm
/// deletes what its templates no longer hold, Argo CD also what a chart has under `crds/`. Applied
/// by the client, it would not fit into the annotation in which that keeps what was applied.
const KEPT: [(&str, &str); 2] = [
    ("helm.sh/resource-policy", "keep"),
    (
        "argocd.argoproj.io/sync-options",
        "Delete=false,Prune=false,ServerSideApply=true",
    ),
];

/// The definition.
pub fn definition() -> Value {
    // Serializing these types does not fail; were it to, the file would differ from the repository's.
    let mut definition = serde_json::to_value(GatewayPolicy::crd()).unwrap_or_default();
    definition["metadata"]["annotations"] = KEPT.into_iter().collect();
    let schema = "/spec/versions/0/schema/openAPIV3Schema";
    if let Some(schema) = definition.pointer_mut(schema) {
        normalize(schema);
        if let Some(status) = schema.pointer_mut("/properties/status") {
            status["default"] = json!({"observedGeneration": -1});
        }
        for Applied {
            part, validations, ..
        } in applied()
        {
            if let Some(Value::Object(part)) = schema.pointer_mut(&pointer(part)) {
                part.insert("x-kubernetes-validations".into(), validations);
            }
        }
        for (list, keys) in LISTS {
            let list = pointer(list);
            if let Some(Value::Object(list)) = schema.pointer_mut(&list) {
                let kind = if keys.is_some() { "map" } else { "set" };
                list.insert("x-kubernetes-list-type".into(), kind.into());
                list.extend(keys.map(|key| ("x-kubernetes-list-map-keys".into(), json!([key]))));
            }
        }
    }
    definition
}

/// The definition as a manifest.
pub fn manifest() -> String {
    // As above.
    serde_saphyr::to_string(&definition()).unwrap_or_else(|error| format!("# {error}\n"))
}

/// Where a field stands in a schema.
fn pointer(field: &str) -> String {
    field.replace('.', "/properties/").replace("[]", "/items")
}

/// Removes what is not meant, at every depth.
fn normalize(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("nullable") == Some(&Value::Bool(true)) {
                fields.remove("nullable");
            }
            if let Some(Value::String(text)) = fields.get_mut("description") {
                *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            }
            fields.values_mut().for_each(normalize);
        }
        Value::Array(items) => items.iter_mut().for_each(normalize),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(schema: &Value, path: &str, look: &mut dyn FnMut(&str, &Value)) {
        look(path, schema);
        let required = schema["required"].as_array();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let required = required.is_some_and(|it| it.iter().any(|it| it == name));
            let mark = if required { "!" } else { "" };
            visit(property, &format!("{path}.{name}{mark}"), look);
        }
        if schema["items"].is_object() {
            visit(&schema["items"], &format!("{path}[]"), look);
        }
    }

    fn part(name: &str) -> Value {
        let definition = definition();
        let path = format!("/spec/versions/0/schema/openAPIV3Schema/properties/{name}");
        definition.pointer(&path).unwrap().clone()
    }

    #[test]
    fn every_list_text_and_number_has_a_ceiling_and_nothing_of_the_spec_a_default() {
        let mut seen = 0;
        let definition = definition();
        let schema = "/spec/versions/0/schema/openAPIV3Schema";
        visit(
            definition.pointer(schema).unwrap(),
            "",
            &mut |path, schema| {
                seen += 1;
                let default = schema.get("default");
                assert!(
                    default.is_none() || path == ".status",
                    "{path} has a default"
                );
                assert!(schema.get("nullable").is_none(), "{path} may be null");
                let ceiling = match schema["type"].as_str() {
                    Some("array") => "maxItems",
                    Some("string") if schema.get("enum").is_none() => "maxLength",
                    Some("integer") => "maximum",
                    _ => return,
                };
                assert!(schema.get(ceiling).is_some(), "{path} has no {ceiling}");
            },
        );
        assert!(seen > 80, "only {seen} fields seen");
    }

    #[test]
    fn every_field_is_documented_and_optional_ones_say_their_default() {
        visit(&part("spec"), "spec", &mut |path, schema| {
            if path.ends_with("[]") {
                return;
            }
            let description = schema["description"].as_str().unwrap_or_default();
            assert!(!description.is_empty(), "{path} is not documented");
            let value = !matches!(schema["type"].as_str(), Some("object"));
            let required = path.ends_with('!') || path.contains("targetRefs");
            assert!(
                !value || required || description.contains("Default: "),
                "{path} does not say its default"
            );
        });
    }

    #[test]
    fn every_rule_stands_where_it_applies() {
        let spec = json!({"properties": {"spec": part("spec")}});
        for Applied {
            part, validations, ..
        } in applied()
        {
            let there = spec.pointer(&pointer(part));
            let there = there.map(|part| &part["x-kubernetes-validations"]);
            assert_eq!(there, Some(&validations), "{part}");
        }
    }

    #[test]
    fn a_policy_that_nobody_has_looked_at_is_not_finished() {
        assert_eq!(part("status")["default"], json!({"observedGeneration": -1}));
    }

    #[test]
    fn conditions_are_a_map_by_type_and_retry_conditions_a_set() {
        let conditions = &part("status")["properties"]["conditions"];
        assert_eq!(conditions["x-kubernetes-list-map-keys"], json!(["type"]));
        let on = &part("spec")["properties"]["retry"]["properties"]["on"];
        assert_eq!(on["x-kubernetes-list-type"], "set");
    }

    #[test]
    fn neither_helm_nor_argo_cd_deletes_it() {
        let annotations = &definition()["metadata"]["annotations"];
        assert_eq!(annotations["helm.sh/resource-policy"], "keep");
        let options = annotations["argocd.argoproj.io/sync-options"].as_str();
        let options: Vec<_> = options.unwrap().split(',').collect();
        assert_eq!(
            options,
            ["Delete=false", "Prune=false", "ServerSideApply=true"]
        );
    }

    #[test]
    fn it_is_found_under_its_short_name_and_in_its_category() {
        let names = &definition()["spec"]["names"];
        assert_eq!(names["shortNames"], json!(["gwp"]));
        assert_eq!(names["categories"], json!(["bywash"]));
    }
}
