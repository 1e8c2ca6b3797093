//! `/debug/processed`, `/debug/snapshot`, `/debug/findings` and `/debug/failures`.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::report::{Finding, Severity};
use crate::routing::snapshot::Snapshot;
use crate::telemetry::recorder::Recorder;

use super::processed::{self, Processed};
use super::server::Pages;
use super::{Answer, JSON, TEXT, answer, failures, not_found};

/// What is served, and what is wrong with it.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Absent before the first.
    pub snapshot: Option<Arc<Snapshot>>,
    /// Defects in objects.
    pub findings: Arc<[Finding]>,
}

/// The pages of the admin port.
#[derive(Debug)]
pub struct Debug {
    /// What is served, by version.
    pub processed: watch::Receiver<Processed>,
    /// What is served.
    pub state: watch::Receiver<State>,
    /// What failed.
    pub recorder: Arc<Recorder>,
}

impl Pages for Debug {
    async fn get(&self, path: &str, query: &str) -> Answer {
        match path {
            "/debug/processed" => processed::wait(self.processed.clone(), query).await,
            "/debug/snapshot" => self.snapshot(),
            "/debug/findings" => self.findings(),
            "/debug/failures" => failures::show(&self.recorder, query),
            _ => not_found("/debug/processed, /debug/snapshot, /debug/findings or /debug/failures"),
        }
    }
}

impl Debug {
    fn snapshot(&self) -> Answer {
        let snapshot = self.state.borrow().snapshot.clone();
        match snapshot {
            Some(snapshot) => answer(StatusCode::OK, TEXT, snapshot.to_string()),
            None => answer(
                StatusCode::SERVICE_UNAVAILABLE,
                TEXT,
                "Nothing is served yet.\n",
            ),
        }
    }

    fn findings(&self) -> Answer {
        let findings = Arc::clone(&self.state.borrow().findings);
        let findings: Vec<_> = findings.iter().map(finding).collect();
        answer(
            StatusCode::OK,
            JSON,
            format!("{:#}\n", Value::Array(findings)),
        )
    }
}

fn finding(finding: &Finding) -> Value {
    json!({
        "severity": match finding.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
        "code": finding.code.as_str(),
        "kind": finding.object.as_ref().map(|object| object.kind.as_str()),
        "namespace": finding.object.as_ref().map(|object| &*object.namespace),
        "name": finding.object.as_ref().map(|object| &*object.name),
        "position": finding.position.as_ref().map(ToString::to_string),
        "message": finding.message,
    })
}
