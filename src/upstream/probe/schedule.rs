//! When an endpoint is probed: spread in time, so that a gateway never asks all at once.

use std::time::Duration;

/// Jitter: from one probe to the next it is up to this part longer or shorter than the interval, so
/// that several gateways do not fall into step.
const JITTER: f64 = 0.1;

/// One that joins later is probed within this part of the interval.
const SOON: f64 = 0.1;

/// In what company an endpoint begins to be probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joining {
    /// With all others.
    Together,
    /// Others are being probed.
    Later,
}

/// Before the first probe. `random` is from 0 to 1.
pub(super) fn first(interval: Duration, joining: Joining, random: f64) -> Duration {
    let within = match joining {
        Joining::Together => interval,
        Joining::Later => interval.mul_f64(SOON),
    };
    within.mul_f64(random.clamp(0.0, 1.0))
}

/// From the start of one probe to that of the next.
pub(super) fn next(interval: Duration, random: f64) -> Duration {
    interval.mul_f64(1.0 - JITTER + 2.0 * JITTER * random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);

    #[test]
    fn those_that_join_together_are_spread_over_the_interval_and_later_ones_are_asked_soon() {
        let seconds = |joining, random| first(INTERVAL, joining, random).as_secs_f64();
        assert_eq!(seconds(Joining::Together, 0.0), 0.0);
        assert_eq!(seconds(Joining::Together, 0.5), 5.0);
        assert_eq!(seconds(Joining::Later, 1.0), 1.0);
    }

    #[test]
    fn from_one_probe_to_the_next_the_interval_passes_give_or_take_a_tenth() {
        let seconds = |random| next(INTERVAL, random).as_secs_f64();
        assert_eq!(
            [seconds(0.0), seconds(0.5), seconds(1.0)],
            [9.0, 10.0, 11.0]
        );
    }
}
