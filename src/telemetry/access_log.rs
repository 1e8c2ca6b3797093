//! The access log: a line for each request, to stdout.
//!
//! The data plane fills a [`Record`] of borrowed fields when a request has ended; it is written
//! straight into the worker's [spool](super::spool), so that a line costs no allocation and never
//! waits. A blocked reader costs lines, which are counted, never requests. Lines of different workers
//! may change places within the few milliseconds for which they are gathered.
//!
//! The query of a URL often carries secrets (tokens, names), so that it is logged only when asked for.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use crate::failure::Cause;

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

/// Where records are left; cheap to clone.
#[derive(Clone, Debug)]
pub struct AccessLog(Option<Open>);

#[derive(Clone, Debug)]
struct Open {
    format: Format,
    query: Query,
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
    /// The method.
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
    /// The namespace of the Ingress that matched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress_namespace: Option<&'a str>,
    /// The Ingress that matched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress: Option<&'a str>,
    /// The upstream, `namespace/service:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<&'a str>,
    /// Whether the answer is that of the upstream which stands in.
    #[serde(skip_serializing_if = "is_false")]
    pub fallback: bool,
    /// `User-Agent`, where it is printable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<&'a str>,
    /// The tries, in order.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub attempts: &'a [Try],
}

/// One try on one endpoint.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Try {
    /// Where; absent when no endpoint was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<SocketAddr>,
    /// The status received, if a response head was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How it failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "label")]
    pub cause: Option<Cause>,
    /// From the choice of the endpoint to the head or the failure.
    #[serde(rename = "duration_ms", serialize_with = "millis")]
    pub duration: Duration,
    /// Whether it was at the upstream that stands in.
    #[serde(skip_serializing_if = "is_false")]
    pub fallback: bool,
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
        (format, query): (Format, Query),
        workers: usize,
        metrics: &Arc<Metrics>,
        out: impl Write + Send + 'static,
    ) -> io::Result<(Self, SpoolWriter)> {
        let (spool, writer) = Spool::start("access-log", workers, out)?;
        let open = Open {
            format,
            query,
            spool,
            metrics: Arc::clone(metrics),
        };
        Ok((Self(Some(open)), writer))
    }

    /// Whether anything is logged: where not, a record need not even be made.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Logs a request that a worker has finished.
    pub fn record(&self, worker: usize, record: &Record<'_>) {
        let Some(Open {
            format,
            query,
            spool,
            metrics,
        }) = &self.0
        else {
            return;
        };
        let mut record = *record;
        if *query == Query::Hidden {
            record.query = None;
        }
        let taken = spool.append(worker, |lines| {
            let start = lines.len();
            let written = match format {
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

/// RFC 3339 with milliseconds, in UTC.
fn timestamp<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    let time = jiff::Timestamp::try_from(*time).unwrap_or_default();
    serializer.collect_str(&format_args!("{time:.3}"))
}

fn millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    let micros = u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
    serializer.serialize_f64(f64::from(micros) / 1000.0)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "what decides whether a field is written gets a reference"
)]
fn is_false(value: &bool) -> bool {
    !*value
}

fn label<S: Serializer>(cause: &Option<Cause>, serializer: S) -> Result<S::Ok, S::Error> {
    cause.map(Cause::label).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    struct Lines(Sender<Vec<u8>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format, query: Query, record: &Record<'_>) -> String {
        let (sender, lines) = channel();
        let metrics = Metrics::new(1);
        let settings = (format, query);
        let (log, writer) = AccessLog::start(settings, 1, &metrics, Lines(sender)).unwrap();
        log.record(0, record);
        assert!(writer.finish(Duration::from_secs(10)));
        String::from_utf8(lines.recv().unwrap()).unwrap()
    }

    fn record<'a>(attempts: &'a [Try]) -> Record<'a> {
        Record {
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
            id: "01J0",
            client: [192, 0, 2, 7].into(),
            method: "GET",
            host: Some("shop.example"),
            path: "/cart\"\n",
            query: Some("token=secret"),
            protocol: "HTTP/1.1",
            tls: None,
            status: 502,
            cause: Some(Cause::ConnectionRefused),
            bytes_received: 0,
            bytes_sent: 33,
            duration: Duration::from_micros(1500),
            ingress_namespace: Some("shop"),
            ingress: Some("cart"),
            upstream: Some("shop/cart:80"),
            fallback: false,
            user_agent: None,
            attempts,
        }
    }

    #[test]
    fn a_json_line_names_the_cause_and_each_attempt() {
        let attempts = [Try {
            endpoint: Some(([10, 244, 0, 7], 8080).into()),
            status: None,
            cause: Some(Cause::ConnectionRefused),
            duration: Duration::from_micros(250),
            fallback: false,
        }];
        let line = logged(Format::Json, Query::Hidden, &record(&attempts));
        assert_eq!(line.matches('\n').count(), 1);
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let expected = serde_json::json!({
            "time": "2023-11-14T22:13:20.123Z",
            "id": "01J0",
            "client": "192.0.2.7",
            "method": "GET",
            "host": "shop.example",
            "path": "/cart\"\n",
            "protocol": "HTTP/1.1",
            "status": 502,
            "cause": "connection_refused",
            "bytes_received": 0,
            "bytes_sent": 33,
            "duration_ms": 1.5,
            "ingress_namespace": "shop",
            "ingress": "cart",
            "upstream": "shop/cart:80",
            "attempts": [
                {"endpoint": "10.244.0.7:8080", "cause": "connection_refused", "duration_ms": 0.25},
            ],
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn the_query_is_logged_only_when_asked_for() {
        let hidden = logged(Format::Json, Query::Hidden, &record(&[]));
        assert!(!hidden.contains("secret"), "{hidden}");
        let shown = logged(Format::Json, Query::Shown, &record(&[]));
        assert!(shown.contains(r#""query":"token=secret""#), "{shown}");
    }

    #[test]
    fn a_line_of_the_common_log_format_cannot_be_forged() {
        let line = logged(Format::Clf, Query::Shown, &record(&[]));
        assert_eq!(
            line,
            "192.0.2.7 - - [14/Nov/2023:22:13:20 +0000] \
             \"GET /cart\\x22\\x0a?token=secret HTTP/1.1\" 502 33\n"
        );
    }

    #[test]
    fn a_log_that_is_off_takes_nothing() {
        assert!(!AccessLog::off().is_on());
        AccessLog::off().record(0, &record(&[]));
    }
}
