//! How many requests of an endpoint ended well, and how many failed, in the last seconds.
//!
//! One word for each of ten seconds, reused in turn: what it counts is marked with its second, so
//! that nobody has to clear it. A count is one addition, but for the first of a second.

use std::time::{Duration, Instant};

use super::sync::{AtomicU64, Ordering::Relaxed};

const SLOTS: u64 = 10;

/// Of a word: the second (16 bits), what ended well (24), what failed (24).
const GOOD: u64 = 1 << 24;
const BAD: u64 = 1;
const COUNT: u64 = (1 << 24) - 1;

/// The counts of the last ten seconds.
#[derive(Debug)]
pub struct Window {
    slots: [AtomicU64; SLOTS as usize],
    epoch: Instant,
}

/// Counts over some seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests that ended as they should.
    pub good: u64,
    /// Failures.
    pub bad: u64,
}

impl Window {
    /// Nothing yet.
    pub fn new(epoch: Instant) -> Self {
        Self {
            slots: std::array::from_fn(|_| AtomicU64::new(0)),
            epoch,
        }
    }

    /// Counts a request that ended as it should.
    pub fn succeeded(&self, now: Instant) {
        self.add(GOOD, now);
    }

    /// Counts a failure.
    pub fn failed(&self, now: Instant) {
        self.add(BAD, now);
    }

    /// The counts of the last whole seconds and the current one, at most ten in all.
    pub fn totals(&self, now: Instant, window: Duration) -> Totals {
        let second = self.second(now);
        let seconds = window.as_secs().clamp(1, SLOTS).min(second);
        let mut totals = Totals::default();
        for second in second - seconds + 1..=second {
            let word = self.slots[slot(second)].load(Relaxed);
            if word >> 48 == second & 0xffff {
                totals.good += word >> 24 & COUNT;
                totals.bad += word & COUNT;
            }
        }
        totals
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.slots.iter().for_each(|slot| slot.store(0, Relaxed));
    }

    fn add(&self, count: u64, now: Instant) {
        let second = self.second(now);
        let mark = second & 0xffff;
        let slot = &self.slots[slot(second)];
        let mut word = slot.load(Relaxed);
        loop {
            if word >> 48 == mark {
                slot.fetch_add(count, Relaxed);
                return;
            }
            match slot.compare_exchange_weak(word, mark << 48 | count, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(changed) => word = changed,
            }
        }
    }

    /// From 1: an unused slot is marked with 0.
    fn second(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.epoch).as_secs() + 1
    }
}

impl Totals {
    /// Whether this many were counted, and so many of a hundred failed.
    pub fn reaches(self, percent: u8, requests: u32) -> bool {
        let all = self.good + self.bad;
        all >= u64::from(requests) && self.bad * 100 >= all * u64::from(percent)
    }
}

fn slot(second: u64) -> usize {
    (second % SLOTS) as usize
}
