//! What a check of manifests found, before anybody says how it looks.

use super::compare::Change;
use crate::report::{Code, FilePosition, Finding, ObjectRef, Severity};
use crate::stores::directory::once::Written;

/// How much a problem matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// A part would not be served as written.
    Error,
    /// Served, but likely not as meant.
    Warning,
    /// Cannot be decided from the files.
    Note,
}

impl Level {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

impl From<Severity> for Level {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Error => Self::Error,
            Severity::Warning => Self::Warning,
        }
    }
}

/// One thing that is wrong, or may be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Problem {
    pub(super) position: Option<FilePosition>,
    pub(super) level: Level,
    pub(super) code: Code,
    pub(super) object: Option<ObjectRef>,
    pub(super) message: String,
    /// The template that the object was made from.
    pub(super) source: Option<String>,
}

impl Problem {
    /// Something about a field of an object.
    pub(super) fn at(
        written: &Written,
        pointer: &str,
        (level, code): (Level, Code),
        message: String,
    ) -> Self {
        Self {
            position: Some(written.place(pointer)),
            level,
            code,
            object: Some(written.key.clone()),
            message,
            source: None,
        }
    }
}

impl From<Finding> for Problem {
    fn from(finding: Finding) -> Self {
        Self {
            level: finding.severity().into(),
            position: finding.position,
            code: finding.code,
            object: finding.object,
            message: finding.message,
            source: None,
        }
    }
}

/// An object that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Looked {
    pub(super) position: FilePosition,
    pub(super) object: ObjectRef,
}

/// The whole.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// By file and line.
    pub(super) problems: Vec<Problem>,
    /// Objects that are not among the files, and that the cluster is taken to have.
    pub(super) assumed: Vec<ObjectRef>,
    /// By file and line.
    pub(super) looked: Vec<Looked>,
    pub(super) files: usize,
    /// Ingresses of the class.
    pub(super) ingresses: usize,
    /// Ingresses of other classes, or of namespaces that are not read.
    pub(super) elsewhere: usize,
    /// Whether one namespace is all that is read.
    pub(super) one_namespace: bool,
    pub(super) policies: usize,
    /// Documents beside manifests that are no objects.
    pub(super) passed_over: usize,
    /// What would change, where somebody asked.
    pub(super) difference: Option<Difference>,
}

/// What the files would change for clients.
#[derive(Debug)]
pub(super) struct Difference {
    /// What they were compared with.
    pub(super) with: String,
    pub(super) changes: Vec<Change>,
    /// What could not be read, so that nothing is said about it.
    pub(super) unread: Vec<String>,
}

impl Checked {
    pub(super) fn count(&self, level: Level) -> usize {
        let problems = self.problems.iter();
        problems.filter(|problem| problem.level == level).count()
    }

    /// Whether a pipeline has to stop.
    pub(super) fn fails(&self, strict: bool) -> bool {
        self.count(Level::Error) > 0 || (strict && self.count(Level::Warning) > 0)
    }
}
