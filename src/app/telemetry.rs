//! Metrics and logs of a process, made from its configuration.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use crate::config::{AccessLogFormat, Config, LogFormat, Logs};
use crate::stores::Source;
use crate::telemetry::access_log::{self, AccessLog, Query};
use crate::telemetry::logs::{self, StartError};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::spool::{Spool, SpoolWriter};
use crate::telemetry::traces::Traces;

use super::Error;

/// How long a reader of our logs may take for what is left when the process ends.
const LAST_LINES: Duration = Duration::from_secs(1);

/// What the process tells about itself.
#[derive(Debug)]
pub struct Telemetry {
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The log of requests.
    pub access_log: AccessLog,
    /// The spans of requests.
    pub traces: Traces,
    /// The process's own log, for lines that are not events.
    pub log: Spool,
    writers: Vec<SpoolWriter>,
}

impl Telemetry {
    /// Starts the logs, that of requests to `out`.
    ///
    /// # Errors
    /// When the operating system has no thread left, something in this process logs already, or traces
    /// cannot be exported as the environment says.
    pub fn start(config: &Config, out: impl Write + Send + 'static) -> Result<Self, Error> {
        let Logs {
            access_log,
            access_log_query,
            access_log_sample,
            level,
            format,
        } = &config.logs;
        let format = match format {
            LogFormat::Text => logs::Format::Text,
            LogFormat::Json => logs::Format::Json,
        };
        let (log, writer) = logs::start(format, filter(level))?;
        let mut writers = vec![writer];
        let workers = config.workers.get();
        let metrics = Metrics::new(workers);
        let query = if *access_log_query {
            Query::Shown
        } else {
            Query::Hidden
        };
        let format = match access_log {
            AccessLogFormat::Json => Some(access_log::Format::Json),
            AccessLogFormat::Clf => Some(access_log::Format::Clf),
            AccessLogFormat::Off => None,
        };
        let access_log = match format {
            Some(format) => {
                let settings = access_log::Settings {
                    format,
                    query,
                    sample: *access_log_sample,
                };
                let (log, writer) = AccessLog::start(settings, workers, &metrics, out)
                    .map_err(StartError::Thread)?;
                writers.push(writer);
                log
            }
            None => AccessLog::off(),
        };
        Ok(Self {
            traces: Traces::from_environment(&metrics)?,
            metrics,
            access_log,
            log,
            writers,
        })
    }

    /// Whether what is served is up to date is asked of where it comes from.
    pub(super) fn follows(&self, source: Source) {
        self.metrics.control().follows(move || source.behind());
    }

    /// Writes out what is left.
    pub fn finish(self) {
        self.traces.finish();
        for writer in self.writers {
            let _reader_too_slow = writer.finish(LAST_LINES);
        }
    }
}

/// The Kubernetes client reports each failed request by itself; whoever made the request says so too,
/// with more sense. Whoever writes a filter, or asks for everything, gets what they ask for.
fn filter(level: &str) -> EnvFilter {
    match level.to_ascii_lowercase().as_str() {
        "error" | "warn" | "info" => EnvFilter::new(format!("{level},kube_client=off")),
        _ => EnvFilter::new(level),
    }
}
