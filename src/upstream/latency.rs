//! The latency average of an endpoint: peak-sensitive and exponentially weighted.
//!
//! As in Finagle and linkerd, a sample above the average replaces it at once and one below pulls it
//! down slowly, so that a slow endpoint is avoided from its first slow answer on. Without samples
//! the average decays, so that an endpoint is tried again. A failure never improves it: a pod that
//! answers errors fast must not look like a fast pod.

use std::time::{Duration, Instant};

use super::sync::{AtomicU64, Ordering::Relaxed};

/// The time in which an old sample's weight falls to 1/e.
const DECAY: Duration = Duration::from_secs(10);

/// What a failure of the endpoint costs: high enough that any endpoint without one is preferred.
const FAILURE_COST: Duration = Duration::from_secs(1);

/// The average of one endpoint, in one atomic word.
#[derive(Debug)]
pub struct Latency {
    /// The average in microseconds as `f32` bits, then the time of its last change in milliseconds
    /// since `epoch`, wrapping after 49 days.
    packed: AtomicU64,
    epoch: Instant,
}

impl Latency {
    /// Without any sample.
    pub fn new(epoch: Instant) -> Self {
        Self {
            packed: AtomicU64::new(0),
            epoch,
        }
    }

    /// The average at this moment in microseconds, decayed; `None` without samples.
    pub fn micros(&self, now: Instant) -> Option<f32> {
        let packed = self.packed.load(Relaxed);
        (packed != 0).then(|| {
            let (value, stamp) = unpack(packed);
            value * weight(self.millis(now).wrapping_sub(stamp))
        })
    }

    /// Takes the time to a response head of a request that succeeded.
    pub fn success(&self, took: Duration, now: Instant) {
        let sample = micros(took);
        self.update(now, |average, weight| {
            if sample >= average {
                sample
            } else {
                average * weight + sample * (1.0 - weight)
            }
        });
    }

    /// Takes a failure that is the endpoint's.
    pub fn failure(&self, took: Duration, now: Instant) {
        let sample = micros(took.max(FAILURE_COST));
        self.update(now, |average, _| sample.max(average));
    }

    /// Takes an error of the application: no better than the time typical for the upstream.
    pub fn unimproved(&self, took: Duration, typical: f32, now: Instant) {
        let sample = micros(took).max(typical);
        self.update(now, |average, _| sample.max(average));
    }

    /// Nothing is known any more.
    pub fn forget(&self) {
        self.packed.store(0, Relaxed);
    }

    /// A lost race against another worker loses one sample, which is fine.
    fn update(&self, now: Instant, next: impl Fn(f32, f32) -> f32) {
        let current = self.packed.load(Relaxed);
        let (value, stamp) = unpack(current);
        let now = self.millis(now);
        let value = next(value, weight(now.wrapping_sub(stamp))).max(1.0);
        let _ = self
            .packed
            .compare_exchange_weak(current, pack(value, now), Relaxed, Relaxed);
    }

    #[expect(clippy::cast_possible_truncation, reason = "the stamp wraps")]
    fn millis(&self, now: Instant) -> u32 {
        now.saturating_duration_since(self.epoch).as_millis() as u32
    }
}

fn micros(duration: Duration) -> f32 {
    duration.as_secs_f32() * 1e6
}

fn weight(age_millis: u32) -> f32 {
    // A stamp from the future (another worker was faster) wraps to a huge age.
    let age = if age_millis > u32::MAX / 2 {
        0
    } else {
        age_millis
    };
    (-Duration::from_millis(age.into()).as_secs_f32() / DECAY.as_secs_f32()).exp()
}

fn pack(value: f32, stamp: u32) -> u64 {
    u64::from(value.to_bits()) << 32 | u64::from(stamp)
}

#[expect(clippy::cast_possible_truncation, reason = "the halves of the word")]
fn unpack(packed: u64) -> (f32, u32) {
    (f32::from_bits((packed >> 32) as u32), packed as u32)
}
