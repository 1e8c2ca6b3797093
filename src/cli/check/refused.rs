//! What an API server would refuse of manifests, and what need not be said of it again.
//!
//! Translation and the reading of files find some of the same defects in words of their own. Here they
//! are said once, as the server would: in the line of the field.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::api::validation::{Rulebook, Violation};
use crate::report::policy::PolicyReport;
use crate::report::{Code, Finding, Kind, ObjectRef};
use crate::stores::directory::once::{Reading, Written};

use super::fields;
use super::problem::{Level, Problem};

const NO_SUCH_FIELD: &str =
    "there is no such field in this kind: the API server drops it, or refuses the object";

/// What would be refused, by object.
pub(super) struct Refused<'a> {
    violations: BTreeMap<&'a ObjectRef, (&'a Written, Vec<Violation>)>,
    /// Fields that there are not.
    unknown: Vec<(&'a Written, String)>,
}

impl<'a> Refused<'a> {
    /// Looks at each object by itself.
    pub(super) fn new(reading: &'a Reading, rulebook: &Rulebook) -> Self {
        let mut refused = Self {
            violations: BTreeMap::new(),
            unknown: Vec::new(),
        };
        for written in &reading.written {
            let mut shape = fields::shape(written.key.kind, &written.value);
            if written.key.kind == Kind::GatewayPolicy {
                let of_spec = rulebook.violations(&written.value);
                shape.violations.extend(of_spec);
            }
            if !shape.violations.is_empty() {
                let entry = (written, shape.violations);
                refused.violations.insert(&written.key, entry);
            }
            let unknown = shape.unknown.into_iter();
            refused.unknown.extend(unknown.map(|it| (written, it)));
        }
        refused
    }

    /// Whether what the reading of files found is said here.
    pub(super) fn says_read(&self, finding: &Finding) -> bool {
        let object = finding.object.as_ref();
        finding.code == Code::InvalidObject
            && object.is_some_and(|object| self.violations.contains_key(object))
    }

    /// Whether what translation found is said here.
    pub(super) fn says(&self, finding: &Finding) -> bool {
        let object = finding.object.as_ref();
        let Some((written, violations)) = object.and_then(|it| self.violations.get(it)) else {
            return false;
        };
        match finding.code {
            Code::UnknownField | Code::InvalidObject => true,
            Code::InvalidHost | Code::InvalidPath => violations.iter().any(|violation| {
                // The path of a rule is told with its type.
                let pointer = violation.pointer.replace("/pathType", "/path");
                let value = written.value.pointer(&pointer).and_then(Value::as_str);
                let quoted = format!("'{}'", value.unwrap_or_default());
                code_of(written.key.kind, violation) == finding.code
                    && finding.message.contains(&quoted)
            }),
            _ => false,
        }
    }

    /// Sections of policies that are refused, in the words of translation.
    pub(super) fn said_of_policies(
        &self,
        policies: &'a [PolicyReport],
    ) -> BTreeSet<(&'a ObjectRef, String)> {
        let mut said = BTreeSet::new();
        for policy in policies {
            let Some((_, violations)) = self.violations.get(&policy.object) else {
                continue;
            };
            for defect in &policy.defects {
                let mut of_spec = violations
                    .iter()
                    .filter(|it| !it.pointer.starts_with("/metadata"));
                let is_said =
                    of_spec.any(|it| it.section().is_none_or(|section| section == defect.section));
                if is_said {
                    said.insert((&policy.object, defect.to_string()));
                }
            }
        }
        said
    }

    /// All of it.
    pub(super) fn problems(self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (written, violations) in self.violations.into_values() {
            problems.extend(violations.into_iter().map(|it| {
                let said = (Level::Error, code_of(written.key.kind, &it));
                Problem::at(written, &it.pointer, said, it.to_string())
            }));
        }
        problems.extend(self.unknown.into_iter().map(|(written, pointer)| {
            let field = Violation {
                message: NO_SUCH_FIELD.to_owned(),
                pointer,
                is_unknown: true,
            };
            let said = (Level::Warning, Code::UnknownField);
            Problem::at(written, &field.pointer, said, field.to_string())
        }));
        problems
    }
}

/// What a violation is called.
fn code_of(kind: Kind, violation: &Violation) -> Code {
    let mut steps = violation.pointer.rsplit('/');
    let field = steps.find(|step| step.parse::<usize>().is_err());
    match (kind, field) {
        _ if violation.is_unknown => Code::UnknownField,
        (Kind::GatewayPolicy, _) => Code::InvalidPolicy,
        (Kind::Ingress, Some("host" | "hosts")) => Code::InvalidHost,
        (Kind::Ingress, Some("path" | "pathType")) => Code::InvalidPath,
        (Kind::Service, Some("externalName")) => Code::InvalidExternalName,
        _ => Code::InvalidObject,
    }
}
