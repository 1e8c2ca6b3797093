//! The pages for people who debug, by path.

use std::net::IpAddr;
use std::sync::Arc;

use http::StatusCode;
use http::uri::Authority;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::report::{Finding, Severity};
use crate::routing::snapshot::Snapshot;
use crate::telemetry::recorder::Recorder;

use super::processed::{self, Processed};
use super::server::{Asked, Pages};
use super::{Answer, JSON, TEXT, answer, dashboard, failures, not_found, state};

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
    /// What lives.
    pub live: state::Sources,
}

impl Pages for Debug {
    /// Only under a name of this machine: a page of a stranger may have its own name lead to loopback, and
    /// would read this as its own.
    fn admits(&self, host: Option<&str>) -> bool {
        host.is_some_and(is_loopback)
    }

    async fn get(&self, asked: Asked<'_>) -> Answer {
        let Asked { path, query, .. } = asked;
        match path {
            "/debug/processed" => processed::wait(self.processed.clone(), query).await,
            "/debug/snapshot" => self.snapshot(),
            "/debug/findings" => self.findings(),
            "/debug/failures" => failures::show(&self.recorder, query),
            "/debug/state" => self.live(query),
            _ => dashboard::part(path).unwrap_or_else(|| {
                not_found("/, /debug/state, /debug/failures, /debug/findings, /debug/snapshot or /debug/processed")
            }),
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

    fn live(&self, query: &str) -> Answer {
        let snapshot = self.state.borrow().snapshot.clone();
        let generation = self.processed.borrow().generation;
        state::show(&self.live, (snapshot.as_deref(), generation), query)
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

/// Whether a `Host` (with a port or not) is a name or an address of loopback.
fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    let name = authority.host();
    if authority.as_str().contains('@') {
        return false;
    }
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_answered() {
        for host in [
            "localhost",
            "LOCALHOST:9091",
            "127.0.0.1:9091",
            "127.8.9.1",
            "[::1]:9091",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "attacker.example",
            "attacker.example:9091",
            "localhost.attacker.example",
            "127.0.0.1.attacker.example",
            "10.0.0.1:9091",
            "user@localhost",
            "[::2]",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
