//! For scripts: everything that is known, with a version of its form.

use serde::Serialize;
use serde_json::{Value, json};

use super::problem::{Checked, Level, Problem};
use super::reference;

/// Raised when something is renamed or removed.
pub(super) const VERSION: u32 = 1;

#[derive(Serialize)]
struct Finding<'a> {
    severity: &'static str,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    message: &'a str,
    help: String,
}

/// The whole as JSON.
pub(super) fn json(checked: &Checked) -> Value {
    let findings: Vec<Finding<'_>> = checked.problems.iter().map(finding).collect();
    let assumed = checked.assumed.iter().map(|object| {
        json!({
            "kind": object.kind.as_str(), "namespace": &*object.namespace, "name": &*object.name,
        })
    });
    let mut json = json!({
        "version": VERSION,
        "summary": {
            "files": checked.files,
            "ingresses": checked.ingresses,
            "ingressesOfOtherClasses": checked.elsewhere,
            "policies": checked.policies,
            "documentsPassedOver": checked.passed_over,
            "errors": checked.count(Level::Error),
            "warnings": checked.count(Level::Warning),
            "notes": checked.count(Level::Note),
        },
        "assumed": assumed.collect::<Value>(),
        "findings": findings,
    });
    if let Some(difference) = &checked.difference {
        let changes = difference.changes.iter().map(|change| {
            let mut entry = json!(change);
            entry["sentence"] = change.sentence().into();
            entry
        });
        json["comparedWith"] = difference.with.as_str().into();
        json["changes"] = changes.collect();
        json["notCompared"] = difference.unread.as_slice().into();
    }
    json
}

fn finding(problem: &Problem) -> Finding<'_> {
    let object = problem.object.as_ref();
    let namespace = object.map(|it| &*it.namespace);
    let position = problem.position.as_ref();
    Finding {
        severity: problem.level.as_str(),
        code: problem.code.as_str(),
        kind: object.map(|it| it.kind.as_str()),
        namespace: namespace.filter(|it| !it.is_empty()),
        name: object.map(|it| &*it.name),
        file: position.map(|it| it.file.display().to_string()),
        line: position.map(|it| it.line),
        source: problem.source.as_deref(),
        message: &problem.message,
        help: reference::link(problem.code),
    }
}
