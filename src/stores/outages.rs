//! For how long kinds cannot be followed.
//!
//! A watch that works again says nothing until something changes, which may take days. It would have
//! failed again soon if it did not work, so that an outage without a failure for a while is over.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::report::Kind;

/// A watch that does not work fails again within this time: after the longest wait before it is tried
/// anew, and the time that trying may take.
const QUIET: Duration = Duration::from_secs(120);

/// The kinds whose watch has failed.
#[derive(Debug, Default)]
pub(crate) struct Outages(BTreeMap<Kind, Outage>);

#[derive(Clone, Copy, Debug)]
struct Outage {
    since: Instant,
    last: Instant,
}

impl Outages {
    /// The watch of a kind has failed.
    pub(crate) fn failed(&mut self, kind: Kind, now: Instant) {
        let new = Outage {
            since: now,
            last: now,
        };
        let known = self.0.get(&kind).filter(|outage| outage.lasts(now));
        let since = known.map_or(now, |known| known.since);
        self.0.insert(kind, Outage { since, ..new });
    }

    /// It delivers.
    pub(crate) fn over(&mut self, kind: Kind) {
        self.0.remove(&kind);
    }

    /// For how long the one that is out for the longest time is.
    pub(crate) fn longest(&self, now: Instant) -> Option<Duration> {
        let outages = self.0.values().filter(|outage| outage.lasts(now));
        let since = outages.map(|outage| outage.since).min()?;
        Some(now.saturating_duration_since(since))
    }
}

impl Outage {
    fn lasts(self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) < QUIET
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_outage_lasts_from_its_first_failure_until_the_watch_delivers() {
        let (mut outages, began) = (Outages::default(), Instant::now());
        assert_eq!(outages.longest(began), None);
        outages.failed(Kind::Secret, began);
        outages.failed(Kind::Ingress, began + 10 * SECOND);
        outages.failed(Kind::Secret, began + 60 * SECOND);
        assert_eq!(outages.longest(began + 61 * SECOND), Some(61 * SECOND));
        outages.over(Kind::Secret);
        assert_eq!(outages.longest(began + 61 * SECOND), Some(51 * SECOND));
        outages.over(Kind::Ingress);
        assert_eq!(outages.longest(began + 61 * SECOND), None);
    }

    #[test]
    fn a_watch_that_has_not_failed_for_a_while_works_again() {
        let (mut outages, began) = (Outages::default(), Instant::now());
        outages.failed(Kind::Secret, began);
        assert_eq!(outages.longest(began + QUIET), None);
        outages.failed(Kind::Secret, began + 2 * QUIET);
        assert_eq!(outages.longest(began + 2 * QUIET + SECOND), Some(SECOND));
    }
}
