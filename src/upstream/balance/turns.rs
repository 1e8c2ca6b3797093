//! Whose turn it is.

use super::super::sync::{AtomicU64, Ordering::Relaxed};

/// Turns that have been taken, by all workers; on a cache line of its own, because they all write to
/// it.
#[derive(Debug)]
#[repr(align(128))]
pub struct Turns(AtomicU64);

impl Turns {
    /// Beginning here: replicas that begin differently do not all send their first request to the same
    /// endpoint.
    pub fn starting_at(turn: u64) -> Self {
        Self(AtomicU64::new(turn))
    }

    /// Takes the next.
    pub(super) fn next(&self) -> u64 {
        self.0.fetch_add(1, Relaxed)
    }
}
