//! `/livez`, `/readyz` and `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::sync::watch;

use crate::telemetry::metrics::Metrics;
use crate::telemetry::spool::Spool;

use super::server::{Asked, Pages};
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

/// For whoever does not ask for OpenMetrics.
const PLAIN_METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

impl Pages for Probes {
    /// Anybody in the cluster may ask here.
    const WITHIN: Option<Duration> = Some(Duration::from_secs(10));

    async fn get(&self, asked: Asked<'_>) -> Answer {
        match asked.path {
            "/livez" => answer(StatusCode::OK, TEXT, "alive\n"),
            "/readyz" => self.readiness(),
            "/metrics" => self.metrics(prefers_open_metrics(asked.accept)),
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

    fn metrics(&self, open: bool) -> Answer {
        let control = self.metrics.control();
        control.set_own_log_lines_dropped(self.log.dropped());
        let (media_type, text) = match open {
            true => (OPEN_METRICS, self.metrics.encode()),
            false => (PLAIN_METRICS, self.metrics.encode_plain()),
        };
        match text {
            Ok(text) => answer(StatusCode::OK, media_type, text),
            Err(error) => {
                let body = format!("The metrics could not be written: {error}.\n");
                answer(StatusCode::INTERNAL_SERVER_ERROR, TEXT, body)
            }
        }
    }
}

/// Whether an `Accept` field asks for OpenMetrics, and for nothing else that there is more.
fn prefers_open_metrics(accept: &str) -> bool {
    let weight = |wanted: &str| {
        let ranges = accept.split(',').filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let is_wanted = parts.next()?.eq_ignore_ascii_case(wanted);
            let weight = parts.find_map(|it| it.strip_prefix("q="));
            is_wanted.then(|| weight.map_or(1.0, |it| it.parse().unwrap_or(0.0)))
        });
        ranges.fold(0.0, f32::max)
    };
    let open = weight("application/openmetrics-text");
    open > 0.0 && open >= weight("text/plain")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_metrics_are_for_those_who_ask_for_them_and_like_nothing_better() {
        for accept in [
            "application/openmetrics-text",
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1",
            "text/plain, Application/OpenMetrics-Text; version=0.0.1",
        ] {
            assert!(prefers_open_metrics(accept), "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "text/plain;version=0.0.4;q=0.5,application/openmetrics-text;q=0.4",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=much",
        ] {
            assert!(!prefers_open_metrics(accept), "{accept}");
        }
    }
}
