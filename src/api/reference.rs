//! The reference of `GatewayPolicy`, made from its definition.

use std::fmt::Write as _;

use serde_json::Value;

use super::crd;

/// The tables of the page: one for the policy, one for each section.
pub fn tables() -> String {
    let definition = crd::definition();
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
    let mut page = String::new();
    if let Some(spec) = definition.pointer(spec) {
        write_table(&mut page, "spec", spec);
    }
    page
}

/// The table of one object, followed by those of the objects in it.
fn write_table(page: &mut String, path: &str, schema: &Value) {
    let _infallible = write!(
        page,
        "\n## `{path}`\n\n{}\n\n| field | form | meaning |\n|---|---|---|\n",
        text(schema)
    );
    let mut objects = Vec::new();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let item = &field["items"];
        if field["properties"].is_object() {
            objects.push((path, field));
        } else if item["properties"].is_object() {
            objects.push((format!("{path}[]"), item));
        }
        let _infallible = writeln!(page, "| `{name}` | {} | {} |", form(field), text(field));
    }
    for rule in schema["x-kubernetes-validations"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let message = rule["message"].as_str().unwrap_or_default();
        let _infallible = write!(page, "\nRefused otherwise: *{message}.*\n");
    }
    for (path, schema) in objects {
        write_table(page, &path, schema);
    }
}

fn text(schema: &Value) -> &str {
    schema["description"].as_str().unwrap_or_default()
}

/// What may be written, in a few words.
fn form(field: &Value) -> String {
    let number = |name: &str| field[name].as_f64();
    let pattern = field["pattern"].as_str().unwrap_or_default();
    match field["type"].as_str() {
        _ if field["x-kubernetes-int-or-string"] == true => "quantity".to_owned(),
        Some("array") => format!(
            "list of {}, at most {}",
            form(&field["items"]),
            number("maxItems").unwrap_or_default()
        ),
        Some("integer") => format!(
            "number from {} to {}",
            number("minimum").unwrap_or_default(),
            number("maximum").unwrap_or_default()
        ),
        Some("boolean") => "true or false".to_owned(),
        Some("object") => "object".to_owned(),
        Some("string") if field["enum"].is_array() => {
            let values = field["enum"].as_array().into_iter().flatten();
            let values: Vec<_> = values.filter_map(Value::as_str).collect();
            values.join(", ")
        }
        Some("string") if pattern.contains("ms") => "duration".to_owned(),
        _ => "text".to_owned(),
    }
}
