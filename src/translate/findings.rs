//! The defects found so far.

use crate::report::{Code, Finding, ObjectRef};

/// Collects findings in any order.
#[derive(Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    /// Adds one; the message is a sentence without a full stop.
    pub(super) fn add(&mut self, object: &ObjectRef, code: Code, message: String) {
        self.0.push(Finding {
            object: Some(object.clone()),
            position: None,
            code,
            message,
        });
    }

    /// All of them in a fixed order; one that was seen on several ways counts once.
    pub(super) fn finish(mut self) -> Vec<Finding> {
        self.0.sort();
        self.0.dedup();
        self.0
    }
}
