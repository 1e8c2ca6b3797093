//! The process's own log, to stderr: text for people, or JSON with the fields at the top level.
//!
//! Workers write to it too, when a connection or a probe fails, so that it takes the same way as the
//! access log: a bounded [spool](super::spool), never a write that can block.

use std::io;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use super::spool::{Spool, SpoolWriter};

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    #[default]
    Json,
}

/// Why the log could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No thread for it.
    #[error("no thread for the log")]
    Thread(#[source] io::Error),
    /// Something else in this process logs already.
    #[error("the log is started already")]
    Twice(#[source] TryInitError),
}

/// Starts the log of this process; to be called once.
///
/// # Errors
/// When there is no thread for it, or when it was started before.
pub fn start(format: Format, filter: EnvFilter) -> Result<(Spool, SpoolWriter), StartError> {
    let (spool, writer) = Spool::start("log", 1, io::stderr()).map_err(StartError::Thread)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Lines(spool.clone()))
        .with_ansi(false);
    match format {
        Format::Text => builder.finish().try_init(),
        Format::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .finish()
            .try_init(),
    }
    .map_err(StartError::Twice)?;
    Ok((spool, writer))
}

/// Takes the lines that `tracing` formats, each in one write.
#[derive(Clone, Debug)]
struct Lines(Spool);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.append(0, |lines| lines.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
