//! Generated specs: the walk finds something where a validator of JSON Schema does, and nowhere else.

use std::collections::BTreeSet;

use jsonschema::Validator;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

fn spec() -> Value {
    definition()["properties"]["spec"].clone()
}

/// Has JSON Schema say what an API server says beyond it.
fn closed(mut schema: Value) -> Value {
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for property in properties.values_mut() {
            *property = closed(property.take());
        }
    }
    if let Some(items) = schema.get_mut("items") {
        *items = closed(items.take());
    }
    if schema["type"] == "object" {
        schema["additionalProperties"] = json!(false);
    }
    if schema["x-kubernetes-int-or-string"] == true {
        schema["type"] = json!(["integer", "string"]);
    }
    if schema["x-kubernetes-list-type"] == "set" {
        schema["uniqueItems"] = json!(true);
    }
    schema
}

/// Anything that somebody may write anywhere.
fn anything() -> BoxedStrategy<Value> {
    let some = [
        json!(null),
        json!(true),
        json!(-1),
        json!(2.5),
        json!(1_i64 << 40),
        json!(""),
        json!("10 s"),
        json!("ä".repeat(2000)),
        json!([]),
        json!([null]),
        json!([1, 1]),
        json!({}),
        json!({"path": null, "a/b~": 1}),
    ];
    select(some.to_vec()).boxed()
}

/// What mostly is as the schema has it.
fn written(schema: &Value) -> BoxedStrategy<Value> {
    prop_oneof![30 => fitting(schema), 1 => anything()].boxed()
}

fn fitting(schema: &Value) -> BoxedStrategy<Value> {
    if let Some(values) = schema["enum"].as_array() {
        return select(values.clone()).boxed();
    }
    let length = |name: &str| schema[name].as_u64().unwrap_or_default() as usize;
    match schema["type"].as_str() {
        Some("object") => object(schema),
        Some("array") => {
            let most = length("maxItems");
            let length = prop_oneof![20 => 0..4_usize, 1 => most..=most + 1];
            let item = written(&schema["items"]);
            length
                .prop_flat_map(move |length| prop::collection::vec(item.clone(), length))
                .prop_map(Value::Array)
                .boxed()
        }
        Some("integer") => {
            let end = |name: &str| schema[name].as_f64().map(|it| it as i64);
            let (least, most) = (end("minimum").unwrap_or(0), end("maximum").unwrap());
            let ends = select(vec![least - 1, least, most, most + 1]);
            prop_oneof![10 => least..=most, 1 => ends]
                .prop_map(|number| json!(number))
                .boxed()
        }
        Some("boolean") => any::<bool>().prop_map(Value::Bool).boxed(),
        _ => {
            let pattern = schema["pattern"].as_str().unwrap_or("[a-z/*.]{1,9}");
            let fitting = prop::string::string_regex(pattern.trim_matches(['^', '$'])).unwrap();
            let some = ["web", "10", "504-502", "1s\n", "\n1s", "x1s", "1sx", ""];
            let most = length("maxLength");
            let long = [most, most + 1].map(|it| "ä".repeat(it));
            let other = prop_oneof![
                select(some.map(str::to_owned).to_vec()),
                select(long.to_vec())
            ];
            let text = prop_oneof![20 => fitting, 1 => other].prop_map(Value::String);
            match schema["x-kubernetes-int-or-string"] == true {
                true => prop_oneof![text, any::<i64>().prop_map(|number| json!(number))].boxed(),
                false => text.boxed(),
            }
        }
    }
}

fn object(schema: &Value) -> BoxedStrategy<Value> {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let mut fields = Just(serde_json::Map::new()).boxed();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let often = if required.contains(&json!(name)) {
            0.98
        } else {
            0.3
        };
        let field = prop::option::weighted(often, written(property));
        let name = name.clone();
        fields = (fields, field)
            .prop_map(move |(mut fields, field)| {
                fields.extend(field.map(|field| (name.clone(), field)));
                fields
            })
            .boxed();
    }
    let unknown = prop::option::weighted(0.02, select(vec!["atempts", "x-y/z~", "Name"]));
    (fields, unknown)
        .prop_map(|(mut fields, unknown)| {
            fields.extend(unknown.map(|name| (name.to_owned(), json!(1))));
            Value::Object(fields)
        })
        .boxed()
}

/// Where the walk finds something, in the way of JSON Schema: at an object what of its fields is missing
/// or not known, at a list what stands in it twice.
fn found(schema: &Value, patterns: &Patterns, value: &Value) -> BTreeSet<String> {
    let mut places = BTreeSet::new();
    walk(schema, value, patterns, &mut |found| {
        let around = found.pointer.rsplit_once('/').map(|(around, _)| around);
        let place = match found.fault {
            Fault::Missing(_) | Fault::Unknown(_) | Fault::Twice => around.unwrap(),
            _ => found.pointer,
        };
        places.insert(place.to_owned());
    });
    places
}

fn expected(validator: &Validator, value: &Value) -> BTreeSet<String> {
    let errors = validator.iter_errors(value);
    errors
        .map(|it| it.instance_path().as_str().to_owned())
        .collect()
}

proptest! {
    #[test]
    fn a_validator_of_json_schema_finds_as_much_in_the_same_places(value in written(&spec())) {
        thread_local! {
            static ORACLE: (Value, Patterns, Validator) = {
                let schema = spec();
                let patterns = Patterns::of(&schema).unwrap();
                let validator = jsonschema::draft7::new(&closed(schema.clone())).unwrap();
                (schema, patterns, validator)
            };
        }
        ORACLE.with(|(schema, patterns, validator)| {
            let value = taken(schema, &value);
            prop_assert_eq!(found(schema, patterns, &value), expected(validator, &value));
            Ok(())
        })?;
    }
}
