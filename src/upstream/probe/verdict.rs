//! When an endpoint is down, and when it is up again: a pure state machine.
//!
//! Only probes in a row count, so that an endpoint which now and then misses one stays where it is.

use crate::routing::policy::upstream::HealthCheck;

/// What the probes of one endpoint say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It takes requests.
    Up {
        /// Bad probes in a row; fewer than take it down.
        bad: u8,
    },
    /// It is left out.
    Down {
        /// Good probes in a row; fewer than bring it back.
        good: u8,
    },
}

impl Verdict {
    /// Before the first probe.
    pub(super) fn new(down: bool) -> Self {
        if down {
            Self::Down { good: 0 }
        } else {
            Self::Up { bad: 0 }
        }
    }

    /// Whether the endpoint is left out.
    pub(super) fn is_down(self) -> bool {
        matches!(self, Self::Down { .. })
    }

    /// After one more probe.
    pub(super) fn after(self, good: bool, check: &HealthCheck) -> Self {
        match (self, good) {
            (Self::Up { .. }, true) => Self::Up { bad: 0 },
            (Self::Down { .. }, false) => Self::Down { good: 0 },
            (Self::Up { bad }, false) if bad + 1 < check.unhealthy_threshold => {
                Self::Up { bad: bad + 1 }
            }
            (Self::Up { .. }, false) => Self::Down { good: 0 },
            (Self::Down { good }, true) if good + 1 < check.healthy_threshold => {
                Self::Down { good: good + 1 }
            }
            (Self::Down { .. }, true) => Self::Up { bad: 0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use crate::routing::policy::upstream::Probe;

    use super::*;

    fn check(healthy: u8, unhealthy: u8) -> HealthCheck {
        HealthCheck {
            probe: Probe::Tcp,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(1),
            healthy_threshold: healthy,
            unhealthy_threshold: unhealthy,
        }
    }

    #[test]
    fn three_bad_probes_in_a_row_take_it_down_and_two_good_ones_bring_it_back() {
        let check = check(2, 3);
        let mut verdict = Verdict::new(false);
        for (good, down) in [
            (false, false),
            (false, false),
            (true, false),
            (false, false),
            (false, false),
            (false, true),
            (true, true),
            (false, true),
            (true, true),
            (true, false),
            (false, false),
        ] {
            verdict = verdict.after(good, &check);
            assert_eq!(verdict.is_down(), down, "{verdict:?}");
        }
    }

    proptest! {
        /// It changes exactly when the last probes, as many as it takes, all say otherwise.
        #[test]
        fn a_verdict_is_what_the_last_probes_in_a_row_say(
            probes in proptest::collection::vec(any::<bool>(), 0..60),
            healthy in 1_u8..=10,
            unhealthy in 1_u8..=10,
            known_down: bool,
        ) {
            let check = check(healthy, unhealthy);
            let mut verdict = Verdict::new(known_down);
            // Since when all said the opposite of the verdict.
            let mut against = 0;
            let mut down = known_down;
            for good in probes {
                against = if good == down { against + 1 } else { 0 };
                if against == if down { healthy } else { unhealthy } {
                    (down, against) = (!down, 0);
                }
                verdict = verdict.after(good, &check);
                prop_assert_eq!(verdict.is_down(), down);
            }
        }
    }
}
