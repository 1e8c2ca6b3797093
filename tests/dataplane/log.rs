//! The access log, read by tests: what the data plane says of each request, in order.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use bywash::report::outcome::Outcome;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{Receiver, UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::client::within;

/// What was logged of a request.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) status: u16,
    #[serde(default)]
    pub(crate) cause: Option<String>,
    /// The port of a Service that was meant.
    #[serde(default)]
    pub(crate) upstream: Option<String>,
    /// Whether the answer is that of what stands in.
    #[serde(default)]
    pub(crate) fallback: bool,
    #[serde(default)]
    pub(crate) attempts: Vec<Try>,
    pub(crate) bytes_received: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) duration_ms: f64,
}

/// The outcomes that the data plane tells of, in order.
pub(crate) struct Outcomes(Mutex<Receiver<Arc<Outcome>>>);

impl Outcomes {
    pub(crate) fn new(outcomes: Receiver<Arc<Outcome>>) -> Self {
        Self(Mutex::new(outcomes))
    }

    /// The next one, when it is there.
    pub(crate) async fn next(&self) -> Arc<Outcome> {
        let mut outcomes = self.0.lock().await;
        let next = within("an outcome", outcomes.recv()).await;
        next.expect("the data plane ended")
    }

    /// The next one, if it is there.
    pub(crate) async fn now(&self) -> Option<Arc<Outcome>> {
        self.0.lock().await.try_recv().ok()
    }
}

/// One try on one endpoint.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Try {
    #[serde(default)]
    pub(crate) endpoint: Option<SocketAddr>,
    #[serde(default)]
    pub(crate) status: Option<u16>,
    #[serde(default)]
    pub(crate) cause: Option<String>,
    /// What followed it, if anything but its answer did.
    #[serde(default)]
    pub(crate) next: Option<String>,
    /// Why nothing did.
    #[serde(default)]
    pub(crate) reason: Option<String>,
    /// Whether it was at what stands in.
    #[serde(default)]
    pub(crate) fallback: bool,
}

impl Entry {
    /// The causes of the failed tries, in order; a try that went well is an empty text.
    pub(crate) fn causes(&self) -> Vec<&str> {
        let causes = self.attempts.iter();
        causes.map(|a| a.cause.as_deref().unwrap_or("")).collect()
    }

    /// How many tries were at what stands in, after those at the upstream itself.
    pub(crate) fn at_fallback(&self) -> usize {
        let mut own = self.attempts.iter().skip_while(|a| !a.fallback);
        assert!(own.all(|a| a.fallback), "{self:?}");
        self.attempts.iter().filter(|a| a.fallback).count()
    }

    /// The endpoints tried, in order.
    pub(crate) fn endpoints(&self) -> Vec<SocketAddr> {
        self.attempts.iter().filter_map(|a| a.endpoint).collect()
    }
}

/// The reading end.
pub(crate) struct Log(Mutex<UnboundedReceiver<Entry>>);

/// The writing end, for the data plane.
pub(crate) struct Sink {
    unfinished: Vec<u8>,
    entries: UnboundedSender<Entry>,
}

/// A log of which each entry can be read once.
pub(crate) fn log() -> (Sink, Log) {
    let (entries, read) = unbounded_channel();
    let sink = Sink {
        unfinished: Vec::new(),
        entries,
    };
    (sink, Log(Mutex::new(read)))
}

impl Log {
    /// The next entry, when it is there.
    pub(crate) async fn next(&self) -> Entry {
        let mut entries = self.0.lock().await;
        let next = within("an entry in the access log", entries.recv()).await;
        next.expect("the data plane ended")
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unfinished.extend_from_slice(bytes);
        while let Some(end) = self.unfinished.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = self.unfinished.drain(..=end).collect();
            let entry = serde_json::from_slice(&line)?;
            // The test may have ended.
            let _ = self.entries.send(entry);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
