//! The latency average of an endpoint: peak-sensitive and exponentially weighted.
//!
//! As in Finagle and linkerd, a sample above the average replaces it at once and one below pulls it
//! down slowly, so that a slow endpoint is avoided from its first slow answer on. Without samples
//! the average decays, so that an endpoint is tried again. A failure never improves it: a pod that
//! answers errors fast must not look like a fast pod.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

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

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_peak_counts_at_once_and_an_improvement_slowly() {
        let start = Instant::now();
        let latency = Latency::new(start);
        assert_eq!(latency.micros(start), None);
        latency.success(ms(10), start);
        latency.success(ms(100), start + ms(1));
        assert!(latency.micros(start + ms(1)).unwrap() > 99_000.0);
        latency.success(ms(10), start + ms(2));
        assert!(latency.micros(start + ms(2)).unwrap() > 90_000.0);
    }

    #[test]
    fn the_average_decays_by_a_factor_of_e_in_ten_seconds() {
        let start = Instant::now();
        let latency = Latency::new(start);
        latency.success(ms(100), start);
        let later = latency.micros(start + ms(10_000)).unwrap();
        assert!((36_000.0..38_000.0).contains(&later), "{later}");
    }

    #[test]
    fn a_failure_never_improves_the_average() {
        let start = Instant::now();
        let latency = Latency::new(start);
        latency.success(ms(5_000), start);
        latency.failure(ms(1), start);
        latency.unimproved(ms(1), 10.0, start);
        assert!(latency.micros(start).unwrap() >= 4_999_000.0);
    }

    #[test]
    fn an_application_error_is_no_faster_than_what_is_typical() {
        let start = Instant::now();
        let latency = Latency::new(start);
        latency.unimproved(ms(1), 80_000.0, start);
        assert!(latency.micros(start).unwrap() >= 79_000.0);
    }
}
