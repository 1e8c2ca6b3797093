//! What stands somewhere, what ought to, and where, in words.

use std::borrow::Cow;

use serde_json::Value;

use crate::api::near::near;
use crate::api::values::{DURATION, QUANTITY};

/// The most of a text that is repeated in a sentence.
const MOST_CHARACTERS: usize = 40;

/// A JSON pointer as people write fields: `spec.bypass[0].path`.
pub(in crate::api) fn field(pointer: &str) -> String {
    let mut field = String::new();
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        match step.parse::<usize>() {
            Ok(index) => field.push_str(&format!("[{index}]")),
            Err(_) if field.is_empty() => field = step,
            Err(_) => field.push_str(&format!(".{step}")),
        }
    }
    field
}

/// What stands there.
pub(in crate::api) fn written(value: &Value) -> Cow<'static, str> {
    match value {
        Value::Null => "empty".into(),
        Value::Bool(value) => value.to_string().into(),
        Value::Number(number) => format!("the number {number}").into(),
        Value::String(text) => {
            let shown: String = text.chars().take(MOST_CHARACTERS).collect();
            let rest = if shown.len() < text.len() { "…" } else { "" };
            format!("the text '{}{rest}'", shown.escape_debug()).into()
        }
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
    }
}

/// What is to be written.
pub(in crate::api) fn wanted(schema: &Value) -> Cow<'static, str> {
    match schema["pattern"].as_str() {
        Some(DURATION) => return "a duration such as 500ms, 10s or 1h30m".into(),
        Some(QUANTITY) => return "a quantity of bytes such as 65536, 64Ki or 1Mi".into(),
        Some(pattern) => return format!("a text in quotes that matches {pattern}").into(),
        None => {}
    }
    match schema["type"].as_str() {
        Some("object") => match known(schema).as_slice() {
            [] => "{}".into(),
            known => format!("an object with fields of {}", known.join(", ")).into(),
        },
        Some("array") => format!("a list, each entry {}", wanted(&schema["items"])).into(),
        Some("boolean") => "true or false".into(),
        Some("integer") => integer(schema),
        Some("string") if schema["enum"].is_array() => {
            let values = schema["enum"].as_array().into_iter().flatten();
            let values: Vec<_> = values.filter_map(Value::as_str).map(unmistakable).collect();
            format!("one of {}", values.join(", ")).into()
        }
        _ => "a text, in quotes if need be".into(),
    }
}

/// A word that many readers of YAML take for a boolean, as it must be written for them.
fn unmistakable(word: &str) -> Cow<'_, str> {
    match word {
        "Off" => "\"Off\" (in quotation marks)".into(),
        word => word.into(),
    }
}

fn integer(schema: &Value) -> Cow<'static, str> {
    let bound = |name: &str| schema[name].as_f64();
    match (bound("minimum"), bound("maximum")) {
        (Some(least), Some(most)) => format!("a number from {least} to {most}").into(),
        (Some(least), None) => format!("a number from {least}").into(),
        _ => "a number".into(),
    }
}

/// How many there may be of something: `at most 32 items`.
pub(in crate::api) fn bounds(schema: &Value, [least, most]: [&str; 2], what: &str) -> String {
    match (schema[least].as_u64(), schema[most].as_u64()) {
        (None | Some(0), Some(most)) => format!("at most {most} {what}"),
        (Some(least), None) => format!("at least {least} {what}"),
        (least, most) => {
            let [least, most] = [least, most].map(Option::unwrap_or_default);
            format!("{least} to {most} {what}")
        }
    }
}

/// The fields that an object may have.
pub(in crate::api) fn known(schema: &Value) -> Vec<&str> {
    let properties = schema["properties"].as_object();
    let names = properties.into_iter().flat_map(|it| it.keys());
    names.map(String::as_str).collect()
}

/// Whether a field is what many readers of YAML make of a bare `on`.
pub(in crate::api) fn is_bare_on(name: &str, known: &[&str]) -> bool {
    name == "true" && known.contains(&"on")
}

/// The field that was meant by one that there is not, if it comes close to one.
pub(in crate::api) fn meant<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    near(name, known.iter().copied()).into_iter().next()
}
