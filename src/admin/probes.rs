//! `/livez`, `/readyz` and `/metrics`.

use std::sync::Arc;

use http::StatusCode;
use tokio::sync::watch;

use crate::telemetry::metrics::Metrics;
use crate::telemetry::spool::Spool;

use super::server::Pages;
use super::{Answer, TEXT, answer, not_found};

/// Whether requests should be sent here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Readiness {
    /// Not before the first snapshot of a source that was read completely is served.
    #[default]
    Starting,
    /// Yes.
    Serving,
    /// Not any more.
    Draining,
}

/// The pages of the metrics port.
#[derive(Debug)]
pub struct Probes {
    /// Whether requests should be sent here.
    pub readiness: watch::Receiver<Readiness>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The process's own log, for what it dropped.
    pub log: Spool,
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl Pages for Probes {
    async fn get(&self, path: &str, _query: &str) -> Answer {
        match path {
            "/livez" => answer(StatusCode::OK, TEXT, "alive\n"),
            "/readyz" => self.readiness(),
            "/metrics" => self.metrics(),
            _ => not_found("/livez, /readyz or /metrics"),
        }
    }
}

impl Probes {
    fn readiness(&self) -> Answer {
        let (status, text) = match *self.readiness.borrow() {
            Readiness::Starting => (
                StatusCode::SERVICE_UNAVAILABLE,
                "not ready: the routes have not all been read yet\n",
            ),
            Readiness::Serving => (StatusCode::OK, "ready\n"),
            Readiness::Draining => (StatusCode::SERVICE_UNAVAILABLE, "not ready: draining\n"),
        };
        answer(status, TEXT, text)
    }

    fn metrics(&self) -> Answer {
        let control = self.metrics.control();
        control.set_own_log_lines_dropped(self.log.dropped());
        match self.metrics.encode() {
            Ok(text) => answer(StatusCode::OK, OPEN_METRICS, text),
            Err(error) => {
                let body = format!("The metrics could not be written: {error}.\n");
                answer(StatusCode::INTERNAL_SERVER_ERROR, TEXT, body)
            }
        }
    }
}
