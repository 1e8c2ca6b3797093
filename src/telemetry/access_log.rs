//! The access log: a line for each request, to stdout.
//!
//! The data plane fills a [`Record`] of borrowed fields when a request has ended; it is written
//! straight into the worker's [spool](super::spool), so that a line costs no allocation and never
//! waits. A blocked reader costs lines, which are counted, never requests. Lines of different workers
//! may change places within the few milliseconds for which they are gathered.
//!
//! The query of a URL often carries secrets (tokens, names), so that it is logged only when asked for.
//! Requests that went well may be sampled, where they are too many to be kept.

use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use crate::failure::Cause;
use crate::report::json::{label, millis, timestamp};
use crate::report::outcome::Attempt;

use super::metrics::Metrics;
use super::spool::{Spool, SpoolWriter};

mod clf;

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// The Common Log Format of web servers.
    Clf,
}

/// Whether the query of a URL is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Query {
    /// Left out.
    #[default]
    Hidden,
    /// Logged as it came.
    Shown,
}

/// What is logged, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// How a line looks.
    pub format: Format,
    /// Whether the query is part of it.
    pub query: Query,
    /// The part of the requests that went well, from 0 to 1; failures are always logged.
    pub sample: f64,
}

/// Where records are left; cheap to clone.
#[derive(Clone, Debug)]
pub struct AccessLog(Option<Open>);

#[derive(Clone, Debug)]
struct Open {
    settings: Settings,
    spool: Spool,
    metrics: Arc<Metrics>,
}

/// A request that ended.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Record<'a> {
    /// When its head had been read.
    #[serde(serialize_with = "timestamp")]
    pub time: SystemTime,
    /// The correlation id.
    pub id: &'a str,
    /// The client's address, behind trusted proxies too.
    pub client: IpAddr,
    /// The method; empty, like the path, where the head could not be read.
    pub method: &'a str,
    /// The host asked for, without a port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<&'a str>,
    /// The path, as it was routed on.
    pub path: &'a str,
    /// What follows the question mark; logged only when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<&'a str>,
    /// `HTTP/1.1`, `HTTP/2`.
    pub protocol: &'a str,
    /// `TLSv1.3`; absent on plain connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<&'a str>,
    /// The name that the client asked for in the TLS handshake, where that is not the host.
    #[serde(rename = "tls_server_name", skip_serializing_if = "Option::is_none")]
    pub server_name: Option<&'a str>,
    /// The status sent; 499 if the client had left.
    pub status: u16,
    /// Why it failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "label")]
    pub cause: Option<Cause>,
    /// Bytes of the request body that were read.
    pub bytes_received: u64,
    /// Bytes of the response body that were sent.
    pub bytes_sent: u64,
    /// From the end of the request head to the end of the response.
    #[serde(rename = "duration_ms", serialize_with = "millis")]
    pub duration: Duration,
    /// From the head of an endpoint's response to its end; absent where none answered.
    #[serde(
        rename = "body_ms",
        skip_serializing_if = "Option::is_none",
        serialize_with = "some_millis"
    )]
    pub body: Option<Duration>,
    /// The namespace of the Ingress that matched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress_namespace: Option<&'a str>,
    /// The Ingress that matched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress: Option<&'a str>,
    /// The namespace of the Service behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_namespace: Option<&'a str>,
    /// The Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<&'a str>,
    /// The upstream, `namespace/service:port`, as metrics call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<&'a str>,
    /// The policies in force, `namespace/name`.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub policies: &'a [Box<str>],
    /// Whether the answer is that of the upstream which stands in.
    #[serde(skip_serializing_if = "is_false")]
    pub fallback: bool,
    /// `User-Agent`, where it is printable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<&'a str>,
    /// The tries, in order.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub attempts: &'a [Attempt],
}

impl AccessLog {
    /// No log at all.
    pub fn off() -> Self {
        Self(None)
    }

    /// A log that a thread of its own writes to `out`; dropped lines are counted in `metrics`.
    ///
    /// # Errors
    /// When the operating system has no thread left.
    pub fn start(
        settings: Settings,
        workers: usize,
        metrics: &Arc<Metrics>,
        out: impl Write + Send + 'static,
    ) -> io::Result<(Self, SpoolWriter)> {
        let (spool, writer) = Spool::start("access-log", workers, out)?;
        let open = Open {
            settings,
            spool,
            metrics: Arc::clone(metrics),
        };
        Ok((Self(Some(open)), writer))
    }

    /// Whether anything is logged: where not, a record need not even be made.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Whether a request that went well is logged; `draw` gives a number from 0 to 1.
    pub fn samples(&self, draw: impl FnOnce() -> f64) -> bool {
        let Some(Open { settings, .. }) = &self.0 else {
            return false;
        };
        settings.sample >= 1.0 || draw() < settings.sample
    }

    /// Logs a request that a worker has finished.
    pub fn record(&self, worker: usize, record: &Record<'_>) {
        let Some(Open {
            settings,
            spool,
            metrics,
        }) = &self.0
        else {
            return;
        };
        let mut record = *record;
        if settings.query == Query::Hidden {
            record.query = None;
        }
        let taken = spool.append(worker, |lines| {
            let start = lines.len();
            let written = match settings.format {
                Format::Json => serde_json::to_writer(&mut *lines, &record).is_ok(),
                Format::Clf => clf::write(lines, &record).is_ok(),
            };
            if written {
                lines.push(b'\n');
            } else {
                lines.truncate(start);
            }
        });
        if !taken {
            metrics.log_line_dropped(worker);
        }
    }
}

fn some_millis<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    millis(&duration.unwrap_or_default(), serializer)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "what decides whether a field is written gets a reference"
)]
fn is_false(value: &bool) -> bool {
    !*value
}

#[cfg(test)]
mod tests;
