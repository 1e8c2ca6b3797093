//! What an API server would say to a policy, where there is none to ask.
//!
//! Two things are looked at, as there: the shape, by the schema of the definition, and the [`rules`].
//! A field that the schema does not have is refused, as `kubectl apply` has it refused, because a
//! misspelt field is otherwise dropped in silence.
//!
//! [`rules`]: super::rules

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Value, json};

use super::crd::{self, Applied};
use super::policy::QUOTE_ON;
use super::schema::{Fault, Found, Patterns, taken, walk, words};

/// Something that an API server would refuse.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// Where, as a JSON pointer into the policy (RFC 6901).
    pub pointer: String,
    /// What is wrong and what to do.
    pub message: String,
    /// Whether it is a field that there is not.
    pub is_unknown: bool,
}

impl Violation {
    /// The section of the spec that it is about.
    pub fn section(&self) -> Option<&str> {
        let rest = self.pointer.strip_prefix("/spec/")?;
        rest.split('/').next()
    }
}

impl fmt::Display for Violation {
    /// `spec.retry.attempts: …`, as people write fields.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = words::field(&self.pointer);
        match path.is_empty() {
            true => f.write_str(&self.message),
            false => write!(f, "{path}: {}", self.message),
        }
    }
}

/// Decides about policies.
pub struct Rulebook {
    schema: Value,
    patterns: Patterns,
    rules: [Applied; 19],
}

/// The definition makes no schema that can be used.
#[derive(Debug, thiserror::Error)]
#[error("the schema of GatewayPolicy cannot be used: {0}")]
pub struct Unusable(String);

impl Rulebook {
    /// The rules of this version.
    ///
    /// # Errors
    /// If the schema cannot be used, which a test excludes.
    pub fn new() -> Result<Self, Unusable> {
        let mut definition = crd::definition();
        let schema = definition.pointer_mut("/spec/versions/0/schema/openAPIV3Schema");
        let mut schema = schema
            .map(Value::take)
            .ok_or_else(|| Unusable("there is none".to_owned()))?;
        if let Some(Value::Object(properties)) = schema.get_mut("properties") {
            // Every object has them; the server looks at them by itself.
            for name in ["apiVersion", "kind"] {
                properties.insert(name.to_owned(), json!({"type": "string"}));
            }
            let metadata = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
            properties.insert("metadata".to_owned(), metadata);
        }
        let patterns = Patterns::of(&schema).map_err(|error| Unusable(error.to_string()))?;
        Ok(Self {
            schema,
            patterns,
            rules: crd::applied(),
        })
    }

    /// What an API server would refuse a policy for; it is fine if that is nothing.
    pub fn violations(&self, policy: &Value) -> Vec<Violation> {
        let policy = taken(&self.schema, policy);
        let mut found: BTreeSet<Violation> = BTreeSet::new();
        walk(&self.schema, &policy, &self.patterns, &mut |fault| {
            found.insert(of_shape(&fault));
        });
        for rule in &self.rules {
            visit(
                &policy,
                rule.part,
                &mut String::new(),
                &mut |pointer, part| {
                    let broken = (rule.broken)(part).into_iter();
                    found.extend(broken.map(|message| Violation {
                        pointer: pointer.to_owned(),
                        message: message.to_owned(),
                        is_unknown: false,
                    }));
                },
            );
        }
        found.into_iter().collect()
    }
}

impl fmt::Debug for Rulebook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rulebook").finish_non_exhaustive()
    }
}

fn of_shape(found: &Found<'_>) -> Violation {
    let pointer = match found.fault {
        // What is not there has no line: the object around it has.
        Fault::Missing(_) => found
            .pointer
            .rsplit_once('/')
            .map_or("", |(around, _)| around),
        _ => found.pointer,
    };
    Violation {
        pointer: pointer.to_owned(),
        message: said(found),
        is_unknown: matches!(found.fault, Fault::Unknown(_)),
    }
}

fn said(found: &Found<'_>) -> String {
    let schema = found.schema;
    match found.fault {
        Fault::Kind | Fault::Range | Fault::Pattern => {
            let (written, wanted) = (words::written(found.written), words::wanted(schema));
            format!("this is {written}: write {wanted}")
        }
        Fault::Length => {
            let characters = words::bounds(schema, ["minLength", "maxLength"], "characters");
            format!("this text must have {characters}")
        }
        Fault::Items => {
            let items = words::bounds(schema, ["minItems", "maxItems"], "items");
            format!("this list must have {items}")
        }
        Fault::Twice => "this item stands twice in the list: remove one of them".to_owned(),
        Fault::Missing(name) => {
            format!(
                "the field {name} is missing: write {}",
                words::wanted(schema)
            )
        }
        Fault::Unknown(name) => unknown(name, &words::known(schema)),
    }
}

/// About a field that there is not.
fn unknown(name: &str, known: &[&str]) -> String {
    match words::meant(name, known) {
        _ if words::is_bare_on(name, known) => format!("there is no such field: {QUOTE_ON}"),
        Some(meant) => format!("there is no such field; is {meant} meant?"),
        None if known.is_empty() => "there is no such field: remove it".to_owned(),
        None => format!("there is no such field; there are {}", known.join(", ")),
    }
}

/// Shows each part of a value that a path like `.spec.errorPages[]` leads to.
fn visit(value: &Value, path: &str, pointer: &mut String, see: &mut dyn FnMut(&str, &Value)) {
    if path.is_empty() {
        return see(pointer, value);
    }
    let before = pointer.len();
    if let Some(rest) = path.strip_prefix("[]") {
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            pointer.push_str(&format!("/{index}"));
            visit(item, rest, pointer, see);
            pointer.truncate(before);
        }
        return;
    }
    let path = path.trim_start_matches('.');
    let end = path.find(['.', '[']).unwrap_or(path.len());
    let (field, rest) = path.split_at(end);
    if let Some(part) = value.get(field) {
        pointer.push_str(&format!("/{field}"));
        visit(part, rest, pointer, see);
        pointer.truncate(before);
    }
}

#[cfg(test)]
mod tests;
