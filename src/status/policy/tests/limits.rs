//! What is said fits into what the API server takes.

use serde_json::Value;

use super::*;
use crate::api::crd;

/// What in `value` is longer than its schema allows.
fn too_long(path: &str, value: &Value, schema: &Value) -> Vec<String> {
    let exceeds = |length: usize, limit: &str| {
        let limit = schema[limit].as_u64();
        limit.is_some_and(|limit| u64::try_from(length).unwrap() > limit)
    };
    match value {
        Value::String(text) if exceeds(text.chars().count(), "maxLength") => vec![path.to_owned()],
        Value::Array(items) => {
            let own = exceeds(items.len(), "maxItems").then(|| path.to_owned());
            let inner = items.iter();
            let inner = inner.flat_map(|it| too_long(&format!("{path}[]"), it, &schema["items"]));
            own.into_iter().chain(inner).collect()
        }
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, it)| {
                let schema = &schema["properties"][name];
                assert!(schema.is_object(), "{path}.{name} has no schema");
                too_long(&format!("{path}.{name}"), it, schema)
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// A name as long as Kubernetes allows, and long in bytes.
fn long(number: usize) -> String {
    format!("{number:0253}")
}

#[test]
fn a_status_of_everything_at_its_longest_is_what_the_schema_takes() {
    let sections = |origin: &ObjectRef| {
        let section = |name| SectionReport {
            name,
            origin: Some(origin.clone()),
            values: "ä=1 ".repeat(5000),
        };
        ["timeouts", "retry", "bypass"].map(section).to_vec()
    };
    let targets = (0..40).map(|n| {
        let name = long(n);
        let mut target = target(&name, (n % 2 == 0).then(conflict));
        target.target.section_name = Some(name.clone());
        target.sections = sections(&object(Kind::GatewayPolicy, &"n".repeat(700)));
        target
    });
    let mut policy = report(targets.collect());
    policy.unresolved = (0..500)
        .map(|n| format!("ä{} is missing", long(n)))
        .collect();
    policy.defects = (0..500)
        .map(|n| Defect {
            section: "retry",
            why: long(n),
            instead: Instead::LastGood,
        })
        .collect();
    let speaker = speaker("ours", NOW);
    let unseen = GatewayPolicyStatus::default();
    let status = speaker.wanted(&policy, standing(&unseen, false)).unwrap();
    let definition = crd::definition();
    let schema = "/spec/versions/0/schema/openAPIV3Schema/properties/status";
    let schema = definition.pointer(schema).unwrap();
    let status = serde_json::to_value(&status).unwrap();
    assert_eq!(too_long("status", &status, schema), Vec::<String>::new());
    assert!(
        status["conditions"][0]["message"]
            .as_str()
            .unwrap()
            .contains(" … ")
    );
}
