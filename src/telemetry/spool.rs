//! Lines of text on their way to a reader that may be slow.
//!
//! A log on stdout is read by the container runtime, and when that stops reading, a process that
//! writes directly stops serving. So whoever has a line appends it to a bounded buffer of its own
//! worker, and one OS thread writes the buffers out; what does not fit is dropped and counted. The
//! thread wakes when the first line comes and then gathers for a moment, so that a busy process makes
//! few large writes and wakes nobody for each request.
//!
//! Refused: a channel of lines (an allocation and often a wake-up for each), and a blocking pool
//! (a blocked stdout would occupy it).

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How long lines are gathered before they are written.
const GATHER: Duration = Duration::from_millis(10);

/// A buffer that holds this much takes no more lines.
const LIMIT: usize = 256 * 1024;

/// Where lines are left; cheap to clone.
#[derive(Clone, Debug)]
pub struct Spool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    shards: Box<[Shard]>,
    bell: SyncSender<()>,
    unwritten: AtomicU64,
}

/// The buffer of one worker; alone on its cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    lines: Mutex<Vec<u8>>,
    dropped: AtomicU64,
}

impl Spool {
    /// Starts the thread that writes to `out`, with a buffer for each of `workers` (at least one).
    ///
    /// # Errors
    /// When the operating system has no thread left.
    pub fn start(
        name: &str,
        workers: usize,
        out: impl Write + Send + 'static,
    ) -> io::Result<(Self, SpoolWriter)> {
        let (bell, rung) = sync_channel(1);
        let (stop, stopped) = channel();
        let (end, ended) = channel();
        let spool = Self(Arc::new(Shared {
            shards: (0..workers.max(1)).map(|_| Shard::default()).collect(),
            bell,
            unwritten: AtomicU64::new(0),
        }));
        let shared = Arc::clone(&spool.0);
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                shared.write_out(&rung, &stopped, out);
                drop(end);
            })?;
        let writer = SpoolWriter {
            spool: spool.clone(),
            stop: Some(stop),
            ended,
        };
        Ok((spool, writer))
    }

    /// Lets `write` append whole lines to a worker's buffer; false when it is full and they are
    /// dropped.
    pub fn append(&self, worker: usize, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let shard = &self.0.shards[worker % self.0.shards.len()];
        let mut lines = shard.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() >= LIMIT {
            drop(lines);
            shard.dropped.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        let first = lines.is_empty();
        write(&mut lines);
        drop(lines);
        if first {
            self.ring();
        }
        true
    }

    /// How many appends were dropped, and lines that could not be written.
    pub fn dropped(&self) -> u64 {
        let shards = self.0.shards.iter();
        let refused: u64 = shards
            .map(|shard| shard.dropped.load(Ordering::Relaxed))
            .sum();
        refused + self.0.unwritten.load(Ordering::Relaxed)
    }

    /// A bell that already rings needs no second ring.
    fn ring(&self) {
        let _already_ringing = self.0.bell.try_send(());
    }
}

impl Shared {
    fn write_out(&self, bell: &Receiver<()>, stop: &Receiver<()>, mut out: impl Write) {
        let mut batch = Vec::new();
        while bell.recv().is_ok() {
            let last = stop.recv_timeout(GATHER) != Err(RecvTimeoutError::Timeout);
            for shard in &self.shards {
                let mut lines = shard.lines.lock().unwrap_or_else(PoisonError::into_inner);
                std::mem::swap(&mut *lines, &mut batch);
                drop(lines);
                if !batch.is_empty() && out.write_all(&batch).is_err() {
                    let lines = batch.iter().filter(|byte| **byte == b'\n').count();
                    self.unwritten.fetch_add(lines as u64, Ordering::Relaxed);
                }
                batch.clear();
            }
            let _reader_gone = out.flush();
            if last {
                return;
            }
        }
    }
}

/// The thread behind a [`Spool`]; it ends, after what is there was written, when this is dropped.
#[derive(Debug)]
pub struct SpoolWriter {
    spool: Spool,
    stop: Option<Sender<()>>,
    ended: Receiver<()>,
}

impl SpoolWriter {
    /// Writes what is there and ends; false when the reader did not take it within this time.
    pub fn finish(mut self, within: Duration) -> bool {
        self.stop();
        self.ended.recv_timeout(within) != Err(RecvTimeoutError::Timeout)
    }

    fn stop(&mut self) {
        drop(self.stop.take());
        self.spool.ring();
    }
}

impl Drop for SpoolWriter {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes that wait until they are allowed, and then can be seen.
    struct Gate {
        open: Receiver<()>,
        written: Sender<Vec<u8>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.open.recv().map_err(io::Error::other)?;
            self.written
                .send(bytes.to_vec())
                .map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated(workers: usize) -> (Spool, SpoolWriter, Sender<()>, Receiver<Vec<u8>>) {
        let (opener, open) = channel();
        let (written, seen) = channel();
        let (spool, writer) = Spool::start("test", workers, Gate { open, written }).unwrap();
        (spool, writer, opener, seen)
    }

    #[test]
    fn what_was_appended_is_written_before_the_end() {
        let (spool, writer, opener, seen) = gated(2);
        opener.send(()).unwrap();
        opener.send(()).unwrap();
        assert!(spool.append(0, |lines| lines.extend_from_slice(b"one\n")));
        assert!(spool.append(1, |lines| lines.extend_from_slice(b"two\n")));
        assert!(writer.finish(Duration::from_secs(10)));
        let mut all: Vec<_> = seen.iter().take(2).collect();
        all.sort();
        assert_eq!(all, [b"one\n".to_vec(), b"two\n".to_vec()]);
    }

    #[test]
    fn a_reader_that_does_not_read_costs_lines_but_never_time() {
        let (spool, writer, opener, _seen) = gated(1);
        let line = [b'x'; 1024];
        let taken = (0..4096)
            .filter(|_| spool.append(0, |lines| lines.extend_from_slice(&line)))
            .count();
        assert!(taken >= LIMIT / line.len());
        assert_eq!(spool.dropped(), 4096 - taken as u64);
        assert!(spool.dropped() > 3000);
        assert!(!writer.finish(Duration::from_millis(50)));
        drop(opener);
    }

    #[test]
    fn lines_that_nobody_can_read_any_more_are_counted() {
        let (spool, writer, opener, _seen) = gated(1);
        drop(opener);
        assert!(spool.append(0, |lines| lines.extend_from_slice(b"a\nb\n")));
        assert!(writer.finish(Duration::from_secs(10)));
        assert_eq!(spool.dropped(), 2);
    }
}
