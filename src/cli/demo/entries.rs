//! The access log of the demonstration: read for the table first, then shown to the user.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Deserialize;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What the log says of a request, as far as the table shows it.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    pub(super) id: String,
    #[serde(default)]
    pub(super) cause: Option<String>,
    #[serde(default)]
    pub(super) attempts: Vec<Try>,
}

/// One try on one endpoint.
#[derive(Debug, Deserialize)]
pub(super) struct Try {
    #[serde(default)]
    pub(super) cause: Option<String>,
}

/// The reading end.
pub(super) struct Entries {
    lines: UnboundedReceiver<Entry>,
    passing_on: Arc<AtomicBool>,
}

/// The writing end.
pub(super) struct Sink {
    unfinished: Vec<u8>,
    entries: UnboundedSender<Entry>,
    passing_on: Arc<AtomicBool>,
}

pub(super) fn channel() -> (Sink, Entries) {
    let (entries, lines) = unbounded_channel();
    let passing_on = Arc::new(AtomicBool::new(false));
    let sink = Sink {
        unfinished: Vec::new(),
        entries,
        passing_on: Arc::clone(&passing_on),
    };
    (sink, Entries { lines, passing_on })
}

impl Entries {
    /// What is logged of the request with this id; `None` when the log has ended.
    pub(super) async fn of(&mut self, id: &str) -> Option<Entry> {
        loop {
            let entry = self.lines.recv().await?;
            if entry.id == id {
                return Some(entry);
            }
        }
    }

    /// From now on lines go to stdout, for people.
    pub(super) fn pass_on(self) {
        self.passing_on.store(true, Ordering::Relaxed);
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.passing_on.load(Ordering::Relaxed) {
            return io::stdout().write(bytes);
        }
        self.unfinished.extend_from_slice(bytes);
        while let Some(end) = self.unfinished.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.unfinished.drain(..=end).collect();
            let _nobody_waits = self.entries.send(serde_json::from_slice(&line)?);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}
