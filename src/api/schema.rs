//! What is wrong with the form of a value, by the schema of the definition.
//!
//! One walk for all who ask: [`validation`](super::validation) refuses what the API server would, and
//! the [reading of a spec](section) passes over what it can. So the two cannot differ about what a
//! field is. What the server makes of a structural schema is said here and nowhere else; of its keywords
//! only those are known that the definition uses, and a test fails when it uses another.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Value, json};

pub(super) mod section;
pub(super) mod words;

/// Up to here every integer is a floating-point number too.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Something that is not as the schema has it.
pub(super) struct Found<'a> {
    /// Where, as a JSON pointer (RFC 6901); of a field that is missing, where it ought to be.
    pub(super) pointer: &'a str,
    /// What stands there; null where nothing does.
    pub(super) written: &'a Value,
    /// What it ought to be.
    pub(super) schema: &'a Value,
    /// In what way it is not.
    pub(super) fault: Fault<'a>,
}

/// In what way a value is not as the schema has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault<'a> {
    /// It is of another type, or none of the values that there are.
    Kind,
    /// A number that is too small or too great.
    Range,
    /// A text that is not written as it must be.
    Pattern,
    /// A text with fewer or more characters than it may have.
    Length,
    /// A list with fewer or more items than it may have.
    Items,
    /// An item of a set that stands there already.
    Twice,
    /// The field is not there, and must be.
    Missing(&'a str),
    /// There is no field of this name; the schema is that of the object around it.
    Unknown(&'a str),
}

/// The patterns of a schema, ready to be used.
#[derive(Debug, Default)]
pub(super) struct Patterns(BTreeMap<String, Regex>);

impl Patterns {
    /// Those of a schema and of all in it.
    ///
    /// # Errors
    /// If one cannot be understood.
    pub(super) fn of(schema: &Value) -> Result<Self, regex::Error> {
        let mut patterns = Self::default();
        patterns.add(schema)?;
        Ok(patterns)
    }

    fn add(&mut self, schema: &Value) -> Result<(), regex::Error> {
        if let Some(pattern) = schema["pattern"].as_str() {
            self.0.insert(pattern.to_owned(), Regex::new(pattern)?);
        }
        let properties = schema["properties"].as_object();
        let parts = properties.into_iter().flat_map(|it| it.values());
        parts
            .chain(schema.get("items"))
            .try_for_each(|part| self.add(part))
    }

    /// Whether a text is written so; one that is not among these is not asked for.
    fn fits(&self, pattern: &str, text: &str) -> bool {
        self.0.get(pattern).is_none_or(|it| it.is_match(text))
    }
}

/// Shows what is not as the schema has it in a value that was [`taken`]: an object before its fields.
pub(super) fn walk(
    schema: &Value,
    value: &Value,
    patterns: &Patterns,
    see: &mut dyn FnMut(Found<'_>),
) {
    let pointer = String::new();
    let mut walk = Walk {
        patterns,
        pointer,
        see,
    };
    walk.value(schema, value);
}

struct Walk<'w> {
    patterns: &'w Patterns,
    pointer: String,
    see: &'w mut dyn FnMut(Found<'_>),
}

impl Walk<'_> {
    fn value(&mut self, schema: &Value, written: &Value) {
        if !is_of_kind(schema, written) {
            return self.tell(schema, written, Fault::Kind);
        }
        match written {
            Value::Object(_) => self.object(schema, written),
            Value::Array(items) => self.list(schema, written, items),
            Value::String(text) => self.text(schema, written, text),
            Value::Number(number) => {
                // Both ends are small enough to be exact.
                let number = number.as_f64().unwrap_or_default();
                if is_outside(schema, ["minimum", "maximum"], number) {
                    self.tell(schema, written, Fault::Range);
                }
            }
            Value::Bool(_) | Value::Null => {}
        }
    }

    fn object(&mut self, schema: &Value, written: &Value) {
        let properties = &schema["properties"];
        let required = schema["required"].as_array().into_iter().flatten();
        for name in required.filter_map(Value::as_str) {
            if written.get(name).is_none() {
                self.within(name, |walk| {
                    walk.tell(&properties[name], &Value::Null, Fault::Missing(name));
                });
            }
        }
        let is_open = schema["x-kubernetes-preserve-unknown-fields"] == true;
        for (name, value) in written.as_object().into_iter().flatten() {
            self.within(name, |walk| match properties.get(name) {
                Some(schema) => walk.value(schema, value),
                None if is_open => {}
                None => walk.tell(schema, value, Fault::Unknown(name)),
            });
        }
    }

    fn list(&mut self, schema: &Value, written: &Value, items: &[Value]) {
        if is_outside(schema, ["minItems", "maxItems"], items.len() as f64) {
            // What is too long is not compared item by item.
            self.tell(schema, written, Fault::Items);
        } else if schema["x-kubernetes-list-type"] == "set" {
            for (index, item) in items.iter().enumerate() {
                if items[..index].contains(item) {
                    self.within(&index.to_string(), |walk| {
                        walk.tell(schema, item, Fault::Twice);
                    });
                }
            }
        }
        for (index, item) in items.iter().enumerate() {
            self.within(&index.to_string(), |walk| {
                walk.value(&schema["items"], item);
            });
        }
    }

    fn text(&mut self, schema: &Value, written: &Value, text: &str) {
        let length = text.chars().count() as f64;
        let pattern = schema["pattern"].as_str();
        if is_outside(schema, ["minLength", "maxLength"], length) {
            self.tell(schema, written, Fault::Length);
        } else if pattern.is_some_and(|pattern| !self.patterns.fits(pattern, text)) {
            self.tell(schema, written, Fault::Pattern);
        }
    }

    fn within(&mut self, step: &str, look: impl FnOnce(&mut Self)) {
        let before = self.pointer.len();
        self.pointer.push('/');
        let step = step.replace('~', "~0").replace('/', "~1");
        self.pointer.push_str(&step);
        look(self);
        self.pointer.truncate(before);
    }

    fn tell(&mut self, schema: &Value, written: &Value, fault: Fault<'_>) {
        (self.see)(Found {
            pointer: &self.pointer,
            written,
            schema,
            fault,
        });
    }
}

fn is_of_kind(schema: &Value, written: &Value) -> bool {
    if let Some(values) = schema["enum"].as_array() {
        return values.contains(written);
    }
    if schema["x-kubernetes-int-or-string"] == true {
        return written.is_i64() || written.is_string();
    }
    match schema["type"].as_str() {
        Some("object") => written.is_object(),
        Some("array") => written.is_array(),
        Some("boolean") => written.is_boolean(),
        Some("integer") => written.is_i64(),
        Some("string") => written.is_string(),
        _ => true,
    }
}

/// Whether a rule of an object reads this field of it. One of alternatives may not come to that: what
/// cannot be read is no fault in CEL where another of them holds.
fn is_read(object: &Value, field: &str) -> bool {
    let rules = object["x-kubernetes-validations"].as_array();
    let reads = |cel: &str| {
        cel.match_indices("self.").any(|(at, own)| {
            let read = &cel[at + own.len()..];
            let end = read.find(|c: char| !c.is_ascii_alphanumeric());
            &read[..end.unwrap_or(read.len())] == field
        })
    };
    let mut rules = rules
        .into_iter()
        .flatten()
        .filter_map(|it| it["rule"].as_str())
        .filter(|rule| !rule.contains("||"));
    rules.any(reads)
}

fn is_outside(schema: &Value, [least, most]: [&str; 2], number: f64) -> bool {
    schema[least].as_f64().is_some_and(|it| number < it)
        || schema[most].as_f64().is_some_and(|it| number > it)
}

/// As the server takes a value: a known field that is null is not there, and an integer may be written
/// with a fraction of nothing, unless a rule reads it: CEL takes no such number for an integer.
pub(super) fn taken(schema: &Value, value: &Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() && schema["type"] == "integer" => {
            let number = number.as_f64().unwrap_or_default();
            match number.fract() == 0.0 && number.abs() <= EXACT {
                true => json!(number as i64),
                false => value.clone(),
            }
        }
        Value::Object(fields) => {
            let known = |name: &str| schema["properties"].get(name);
            let fields = fields.iter();
            let fields = fields.filter(|(name, value)| !value.is_null() || known(name).is_none());
            fields
                .map(|(name, value)| {
                    let field = known(name).unwrap_or(&Value::Null);
                    let value = match value.is_f64() && is_read(schema, name) {
                        true => value.clone(),
                        false => taken(field, value),
                    };
                    (name.clone(), value)
                })
                .collect()
        }
        Value::Array(items) => {
            let items = items.iter();
            items.map(|item| taken(&schema["items"], item)).collect()
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests;
