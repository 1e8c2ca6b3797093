//! For code scanning: SARIF 2.1.0
//! (<https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>).
//!
//! The codes are the rules. A place is a file and a line of it; what was read from a pipe has the name
//! `stdin`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::report::Code;
use crate::stores::installation::stable_hash;

use super::problem::{Checked, Level, Problem};
use super::reference;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The whole as a log with one run.
pub(super) fn sarif(checked: &Checked) -> Value {
    let mut rules: BTreeMap<Code, usize> = BTreeMap::new();
    for problem in &checked.problems {
        rules.insert(problem.code, 0);
    }
    for (index, place) in rules.values_mut().enumerate() {
        *place = index;
    }
    let results = checked.problems.iter();
    let results = results.map(|problem| result(problem, rules.get(&problem.code)));
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "bywash",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "informationUri": reference::DOCUMENTS,
                "rules": rules.keys().map(|code| rule(*code)).collect::<Value>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results.collect::<Value>(),
        }],
    })
}

fn rule(code: Code) -> Value {
    json!({
        "id": code.as_str(),
        "name": code.as_str(),
        "shortDescription": {"text": code.as_str()},
        "fullDescription": {"text": reference::meaning(code)},
        "helpUri": reference::link(code),
        "defaultConfiguration": {"level": Level::from(code.severity()).as_str()},
    })
}

fn result(problem: &Problem, rule: Option<&usize>) -> Value {
    let mut location = json!({});
    if let Some(position) = &problem.position {
        location["physicalLocation"] = json!({
            "artifactLocation": {"uri": uri(&position.file)},
            "region": {"startLine": position.line.max(1)},
        });
    }
    if let Some(object) = &problem.object {
        location["logicalLocations"] = json!([{
            "name": &*object.name,
            "kind": "resource",
            "fullyQualifiedName": object.to_string(),
        }]);
    }
    json!({
        "ruleId": problem.code.as_str(),
        "ruleIndex": rule,
        "level": problem.level.as_str(),
        "message": {"text": problem.message},
        "locations": [location],
        "partialFingerprints": {"finding/v1": fingerprint(problem)},
    })
}

/// The same wherever the object moves in its file.
fn fingerprint(problem: &Problem) -> String {
    let file = problem.position.as_ref();
    let file = file
        .map(|it| it.file.display().to_string())
        .unwrap_or_default();
    let object = problem
        .object
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    let parts = [problem.code.as_str(), &file, &object, &problem.message];
    format!("{:016x}", stable_hash(parts.map(str::as_bytes)))
}

/// A relative reference (RFC 3986 section 4.2).
fn uri(file: &Path) -> String {
    let text = file.to_string_lossy();
    let text = if text == super::STDIN { "stdin" } else { &text };
    let text = text.strip_prefix("./").unwrap_or(text);
    let mut uri = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => {
                uri.push(char::from(byte));
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    match uri.starts_with('/') {
        true => format!("file://{uri}"),
        false => uri,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_a_reference_that_every_reader_takes() {
        for (file, expected) in [
            ("shop/web.yaml", "shop/web.yaml"),
            ("./a b#ä.yaml", "a%20b%23%C3%A4.yaml"),
            ("/srv/web.yaml", "file:///srv/web.yaml"),
            ("-", "stdin"),
        ] {
            assert_eq!(uri(Path::new(file)), expected);
        }
    }
}
