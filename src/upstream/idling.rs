//! Since when a connection idles: one word between whoever keeps it and its task.
//!
//! Only the task of a connection sees that the endpoint closed it, and only its keeper knows whether
//! it idled then, was taken for a request, or was closed on this side. Each step is one exchange on the
//! same word, so that an idle time ends once: by being used, by a close of ours, or by the
//! endpoint's. Nothing else is told through the word, so that no order beyond its own is needed.

use std::time::{Duration, Instant};

use super::sync::{AtomicU64, Ordering::Relaxed};

/// It serves a request, or nobody keeps it any more.
const IN_USE: u64 = 0;

/// Its task has ended.
const OVER: u64 = u64::MAX;

/// Since when a connection idles, if it does.
#[derive(Debug)]
pub struct Idling {
    /// One of the above, or microseconds since `epoch`, from 1.
    word: AtomicU64,
    epoch: Instant,
}

impl Idling {
    /// In use.
    pub fn new(epoch: Instant) -> Self {
        Self {
            word: AtomicU64::new(IN_USE),
            epoch,
        }
    }

    /// Its keeper: it idles from now on; false where its task has ended.
    pub fn begin(&self, now: Instant) -> bool {
        let begun = self
            .word
            .compare_exchange(IN_USE, self.stamp(now), Relaxed, Relaxed);
        begun.is_ok()
    }

    /// Its keeper: it is used, or closed on this side. How long it idled, unless its task has ended.
    pub fn end(&self, now: Instant) -> Option<Duration> {
        let since = self.word.load(Relaxed);
        if since == IN_USE || since == OVER {
            return None;
        }
        let ended = self.word.compare_exchange(since, IN_USE, Relaxed, Relaxed);
        ended.ok().map(|since| self.age(since, now))
    }

    /// Its task: the connection has ended. How long it had idled, if that is what it did.
    pub fn over(&self, now: Instant) -> Option<Duration> {
        match self.word.swap(OVER, Relaxed) {
            IN_USE | OVER => None,
            since => Some(self.age(since, now)),
        }
    }

    fn age(&self, since: u64, now: Instant) -> Duration {
        Duration::from_micros(self.stamp(now).saturating_sub(since))
    }

    fn stamp(&self, now: Instant) -> u64 {
        let micros = now.saturating_duration_since(self.epoch).as_micros();
        u64::try_from(micros).unwrap_or(OVER - 2) + 1
    }
}
