//! How many places are taken, and how many wait for one.
//!
//! Both in one word, so that of somebody who finds no place and somebody who leaves one, the second
//! sees that the first waits, or the first sees the place: in two words each could miss the other.

use super::sync::{AtomicU64, Ordering::Relaxed};

const TAKEN: u64 = 1 << 32;
const WAITING: u64 = 1;

/// Places that several workers take and leave; at most 2^32 - 1 of each.
#[derive(Debug)]
pub struct Places(AtomicU64);

impl Places {
    /// None taken, and nobody waits.
    pub fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Takes a place, if fewer than these are taken; whether it did.
    #[must_use]
    pub fn take(&self, most: u32) -> bool {
        let free = |word: u64| word >> 32 < u64::from(most);
        self.change_if(free, TAKEN)
    }

    /// Takes a place, however many are taken.
    pub fn take_further(&self) {
        self.0.fetch_add(TAKEN, Relaxed);
    }

    /// Leaves a place; whether somebody waits for one.
    pub fn leave(&self) -> bool {
        self.0.fetch_sub(TAKEN, Relaxed) << 32 != 0
    }

    /// Waits, if fewer than these do; whether it does.
    #[must_use]
    pub fn wait(&self, most: u32) -> bool {
        let few = |word: u64| word << 32 >> 32 < u64::from(most);
        self.change_if(few, WAITING)
    }

    /// Waits, however many do.
    pub fn wait_further(&self) {
        self.0.fetch_add(WAITING, Relaxed);
    }

    /// Waits no longer; whether somebody else does.
    pub fn wait_no_longer(&self) -> bool {
        (self.0.fetch_sub(WAITING, Relaxed) - WAITING) << 32 != 0
    }

    /// Whether somebody waits.
    pub fn are_wanted(&self) -> bool {
        // A change that changes nothing is in one order with the others.
        self.0.fetch_add(0, Relaxed) << 32 != 0
    }

    fn change_if(&self, may: impl Fn(u64) -> bool, change: u64) -> bool {
        let mut now = self.0.load(Relaxed);
        loop {
            if !may(now) {
                return false;
            }
            let swapped = self
                .0
                .compare_exchange_weak(now, now + change, Relaxed, Relaxed);
            match swapped {
                Ok(_) => return true,
                Err(changed) => now = changed,
            }
        }
    }
}

impl Default for Places {
    fn default() -> Self {
        Self::new()
    }
}
