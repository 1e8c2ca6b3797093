//! The load that fast failures leave behind.
//!
//! An endpoint that fails at once never has many requests in flight, and by the number of those it
//! looks idle: left to itself, a balancer would send it ever more. So a request that failed goes on
//! counting for as long as a successful one would typically have taken. It is a sum that decays with
//! that time, which by Little's law settles where the requests in flight of a working endpoint do.

use std::time::Instant;

use super::sync::{AtomicU64, Ordering::Relaxed};

/// A stamp that is at most this much ahead is from a worker that was faster, in microseconds.
const AHEAD: u32 = 1_000_000;

/// The decaying sum of one endpoint, in one atomic word.
#[derive(Debug)]
pub struct PhantomLoad {
    /// The sum as `f32` bits, then the time of its last change in microseconds since `epoch`,
    /// wrapping.
    packed: AtomicU64,
    epoch: Instant,
}

impl PhantomLoad {
    /// No load.
    pub fn new(epoch: Instant) -> Self {
        Self {
            packed: AtomicU64::new(0),
            epoch,
        }
    }

    /// The load at this moment, where a request typically takes this many microseconds.
    pub fn load(&self, typical: f32, now: Instant) -> f32 {
        match self.packed.load(Relaxed) {
            0 => 0.0,
            packed => decayed(packed, self.micros(now), typical),
        }
    }

    /// Adds a request that failed. A lost race against another worker loses one, which is fine.
    pub fn add(&self, typical: f32, now: Instant) {
        let now = self.micros(now);
        let current = self.packed.load(Relaxed);
        let load = decayed(current, now, typical) + 1.0;
        let next = u64::from(load.to_bits()) << 32 | u64::from(now);
        let _ = self
            .packed
            .compare_exchange_weak(current, next, Relaxed, Relaxed);
    }

    #[expect(clippy::cast_possible_truncation, reason = "the stamp wraps")]
    fn micros(&self, now: Instant) -> u32 {
        now.saturating_duration_since(self.epoch).as_micros() as u32
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the halves of the word")]
#[expect(clippy::cast_precision_loss, reason = "an age needs no seven digits")]
fn decayed(packed: u64, now: u32, typical: f32) -> f32 {
    let (load, stamp) = (f32::from_bits((packed >> 32) as u32), packed as u32);
    let age = now.wrapping_sub(stamp);
    let age = if age > u32::MAX - AHEAD { 0 } else { age };
    load * (-(age as f32) / typical.max(1.0)).exp()
}
