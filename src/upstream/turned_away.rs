//! When an upstream last turned a request away, for people.
//!
//! Of each upstream apart, though several share what is counted: the one with the lower limit turns
//! requests away alone, and its policy is the one to change.

use std::time::{Duration, Instant};

use crate::telemetry::metrics::BreakerLimit;

use super::sync::{AtomicU64, Ordering::Relaxed};

/// For so long after it turned a request away a breaker is said to be open.
const OPEN: Duration = Duration::from_secs(30);

/// Of each limit, the last time.
#[derive(Debug)]
pub(super) struct TurnedAway {
    /// In milliseconds since the epoch, from 1.
    last: [AtomicU64; BreakerLimit::ALL.len()],
    epoch: Instant,
}

impl TurnedAway {
    /// Never yet.
    pub(super) fn new(epoch: Instant) -> Self {
        Self {
            last: Default::default(),
            epoch,
        }
    }

    /// A request was turned away.
    pub(super) fn note(&self, limit: BreakerLimit) {
        let now = self.epoch.elapsed().as_millis();
        let now = u64::try_from(now).unwrap_or(u64::MAX).max(1);
        self.last[limit.index()].store(now, Relaxed);
    }

    /// The limits for which requests were turned away of late.
    pub(super) fn of_late(&self, now: Instant) -> impl Iterator<Item = BreakerLimit> {
        let since = now.saturating_duration_since(self.epoch);
        BreakerLimit::ALL.into_iter().filter(move |limit| {
            let last = self.last[limit.index()].load(Relaxed);
            last > 0 && since.saturating_sub(Duration::from_millis(last)) < OPEN
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_open_for_half_a_minute_after_it_turned_a_request_away() {
        let start = Instant::now();
        let turned_away = TurnedAway::new(start);
        assert_eq!(turned_away.of_late(start).count(), 0);
        turned_away.note(BreakerLimit::Requests);
        let open = turned_away.of_late(start + Duration::from_secs(29));
        assert_eq!(open.collect::<Vec<_>>(), [BreakerLimit::Requests]);
        let later = Instant::now() + Duration::from_secs(31);
        assert_eq!(turned_away.of_late(later).count(), 0);
    }
}
