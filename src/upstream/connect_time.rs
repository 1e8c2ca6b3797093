//! How long it usually takes until a connection to an endpoint stands.
//!
//! The median, not an average: a lost SYN costs a second and says nothing of the next connection. It is
//! followed with one word and no memory of samples: each one that takes longer raises it by a step, each
//! that does not lowers it, as in frugal streaming (Ma, Muthukrishnan and Sandler, 2013), so that it
//! stands still where half of them are on either side.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// More is not believed of the first connection, in microseconds: it may be the one that lost a SYN, and
/// with connections that are kept there may be few others to tell.
const FIRST: u32 = 20_000;

/// A step is such a part of the median.
const STEPS: u32 = 16;

/// The median of one endpoint.
#[derive(Debug, Default)]
pub(super) struct ConnectTime {
    /// In microseconds; 0 while nothing is known.
    micros: AtomicU32,
}

impl ConnectTime {
    /// What is usual; nothing while nothing is known.
    pub(super) fn usual(&self) -> Duration {
        Duration::from_micros(self.micros.load(Relaxed).into())
    }

    /// Takes a connection that stands. Of two at the same moment one may be lost, which is fine.
    pub(super) fn took(&self, time: Duration) {
        let sample = u32::try_from(time.as_micros()).unwrap_or(u32::MAX).max(1);
        let usual = self.micros.load(Relaxed);
        let step = usual / STEPS + 1;
        let next = match usual {
            0 => sample.min(FIRST),
            _ if sample > usual => usual.saturating_add(step).min(sample),
            _ => usual.saturating_sub(step).max(sample),
        };
        self.micros.store(next, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn the_first_one_is_what_is_usual() {
        let time = ConnectTime::default();
        assert_eq!(time.usual(), Duration::ZERO);
        time.took(ms(3));
        assert_eq!(time.usual(), ms(3));
    }

    #[test]
    fn a_lost_syn_says_little_of_the_next_connection() {
        let time = ConnectTime::default();
        time.took(ms(1));
        time.took(ms(1001));
        assert!(time.usual() < ms(2), "{:?}", time.usual());
    }

    #[test]
    fn nor_does_one_that_the_first_connection_lost() {
        let time = ConnectTime::default();
        time.took(ms(1001));
        assert!(time.usual() <= ms(20), "{:?}", time.usual());
    }

    #[test]
    fn another_road_is_usual_soon() {
        let time = ConnectTime::default();
        time.took(ms(1));
        let steps = (0..).take_while(|_| {
            time.took(ms(80));
            time.usual() < ms(80)
        });
        assert!(steps.count() < 100);
    }

    proptest! {
        #[test]
        fn it_comes_to_lie_near_the_middle(
            samples in proptest::collection::vec(100..100_000_u64, 400..500),
        ) {
            let time = ConnectTime::default();
            for sample in &samples {
                time.took(Duration::from_micros(*sample));
            }
            let mut sorted = samples;
            sorted.sort_unstable();
            let at = |part: usize| Duration::from_micros(sorted[sorted.len() * part / 100]);
            prop_assert!((at(10)..at(90)).contains(&time.usual()), "{:?}", time.usual());
        }
    }
}
