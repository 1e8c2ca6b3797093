use std::collections::BTreeSet;

use crate::api::crd;

use super::*;

mod oracle;

/// Of the definition as a whole.
fn definition() -> Value {
    let definition = crd::definition();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// The keywords of a schema and of all in it.
fn keywords(schema: &Value, found: &mut BTreeSet<String>) {
    found.extend(
        schema
            .as_object()
            .into_iter()
            .flat_map(|it| it.keys())
            .cloned(),
    );
    let properties = schema["properties"].as_object();
    let parts = properties.into_iter().flat_map(|it| it.values());
    parts
        .chain(schema.get("items"))
        .for_each(|part| keywords(part, found));
}

fn faults(schema: Value, value: Value) -> Vec<(String, String)> {
    let patterns = Patterns::of(&schema).unwrap();
    let mut faults = Vec::new();
    walk(&schema, &taken(&schema, &value), &patterns, &mut |found| {
        faults.push((found.pointer.to_owned(), format!("{:?}", found.fault)));
    });
    faults
}

#[test]
fn no_keyword_of_the_definition_is_passed_over() {
    let decided = [
        "enum",
        "items",
        "maxItems",
        "maxLength",
        "maximum",
        "minItems",
        "minLength",
        "minimum",
        "pattern",
        "properties",
        "required",
        "type",
        "x-kubernetes-int-or-string",
        "x-kubernetes-list-type",
    ];
    // They decide nothing that is not decided by others: the spec's integers have ends within their
    // format, and maps by a key and times stand in the status, which nobody writes by hand.
    let words = [
        "default",
        "description",
        "format",
        "title",
        "x-kubernetes-list-map-keys",
    ];
    // Asked by the functions that stand beside these.
    let rules = ["x-kubernetes-validations"];
    let mut used = BTreeSet::new();
    keywords(&definition(), &mut used);
    for known in [&decided[..], &words, &rules].concat() {
        used.remove(known);
    }
    assert!(used.is_empty(), "not known to the walk: {used:?}");
}

#[test]
fn each_fault_is_found_where_it_is() {
    let schema = json!({"type": "object", "required": ["name"], "properties": {
        "name": {"type": "string", "minLength": 2, "maxLength": 3, "pattern": "^[a-z]*$"},
        "count": {"type": "integer", "minimum": 1.0, "maximum": 9.0},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "maxItems": 3,
            "items": {"type": "string", "enum": ["a", "b"]}},
        "size": {"x-kubernetes-int-or-string": true, "pattern": "^[0-9]+$"},
        "none": {"type": "object"},
        "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    }});
    for (value, expected) in [
        (json!([]), &[("", "Kind")][..]),
        (json!({}), &[("/name", "Missing(\"name\")")]),
        (json!({"name": null}), &[("/name", "Missing(\"name\")")]),
        (json!({"name": "ä"}), &[("/name", "Length")]),
        (json!({"name": "äöü"}), &[("/name", "Pattern")]),
        (json!({"name": "abcd"}), &[("/name", "Length")]),
        (json!({"name": "abc", "count": 0}), &[("/count", "Range")]),
        (json!({"name": "abc", "count": 9.0}), &[]),
        (json!({"name": "abc", "count": 9.5}), &[("/count", "Kind")]),
        (json!({"name": "abc", "count": 10}), &[("/count", "Range")]),
        (
            json!({"name": "abc", "set": ["a", "a"]}),
            &[("/set/1", "Twice")],
        ),
        (
            json!({"name": "abc", "set": ["b", "c"]}),
            &[("/set/1", "Kind")],
        ),
        (
            json!({"name": "abc", "set": ["a", "a", "a", "a"]}),
            &[("/set", "Items")],
        ),
        (json!({"name": "abc", "size": "x"}), &[("/size", "Pattern")]),
        (json!({"name": "abc", "size": 3.0}), &[("/size", "Kind")]),
        (json!({"name": "abc", "size": 3}), &[]),
        (
            json!({"name": "abc", "none": {"a/b": 1}}),
            &[("/none/a~1b", "Unknown(\"a/b\")")],
        ),
        (json!({"name": "abc", "any": {"a/b": 1}}), &[]),
    ] {
        let found = faults(schema.clone(), value.clone());
        let found: Vec<(&str, &str)> = found.iter().map(|(at, it)| (&**at, &**it)).collect();
        assert_eq!(found, expected, "{value}");
    }
}
