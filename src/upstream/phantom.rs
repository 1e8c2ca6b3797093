//! The load that fast failures leave behind.
//!
//! An endpoint that fails at once never has many requests in flight, and by the number of those it
//! looks idle: left to itself, a balancer would send it ever more. So a request that failed goes on
//! counting for as long as a successful one would typically have taken. It is a sum that decays with
//! that time, which by Little's law settles where the requests in flight of a working endpoint do.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn failures_at_a_steady_rate_weigh_as_much_as_successes_in_flight_would() {
        let start = Instant::now();
        let load = PhantomLoad::new(start);
        // 1,000 a second for a second, where a success takes 10 ms: 10 in flight.
        for i in 0..1_000 {
            load.add(10_000.0, start + Duration::from_millis(i));
        }
        let settled = load.load(10_000.0, start + Duration::from_secs(1));
        assert!((9.0..11.5).contains(&settled), "{settled}");
    }

    #[test]
    fn the_load_is_gone_when_a_success_would_long_have_ended() {
        let start = Instant::now();
        let load = PhantomLoad::new(start);
        load.add(10_000.0, start);
        assert!(load.load(10_000.0, start) > 0.9);
        assert!(load.load(10_000.0, start + Duration::from_millis(100)) < 0.001);
    }
}
