//! How many there are of something, and no more than allowed.

use super::sync::{AtomicU64, Ordering::Relaxed};

/// A number that several workers raise and lower.
#[derive(Debug)]
pub struct Count(AtomicU64);

impl Count {
    /// None.
    pub fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// One more, if there are fewer than these; whether there is.
    #[must_use]
    pub fn take(&self, most: u32) -> bool {
        let mut now = self.0.load(Relaxed);
        loop {
            if now >= most.into() {
                return false;
            }
            let swapped = self.0.compare_exchange_weak(now, now + 1, Relaxed, Relaxed);
            match swapped {
                Ok(_) => return true,
                Err(changed) => now = changed,
            }
        }
    }

    /// One less, of those that were taken.
    pub fn give_back(&self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
