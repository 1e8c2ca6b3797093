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

    /// So many more, if there are then no more than allowed; whether there are.
    #[must_use]
    pub fn take(&self, further: u64, most: u64) -> bool {
        let mut now = self.0.load(Relaxed);
        loop {
            let then = now.saturating_add(further);
            if then > most {
                return false;
            }
            match self.0.compare_exchange_weak(now, then, Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(changed) => now = changed,
            }
        }
    }

    /// So many less, of those that were taken.
    pub fn give_back(&self, of_these: u64) {
        self.0.fetch_sub(of_these, Relaxed);
    }
}

impl Default for Count {
    fn default() -> Self {
        Self::new()
    }
}
