//! Whether another attempt may follow, where, and after what wait: a pure decision.
//!
//! What was already sent decides, not the error's name (RFC 9110 section 9.2.2). A request that was
//! never sent goes to another endpoint whatever its method. One whose bytes were out goes again only
//! if its method is idempotent (or the policy says so), and after two endpoints broke off on it no
//! third is tried: the request may be what breaks them. An answer by status is retried for safe
//! methods only.

use std::time::Duration;

use crate::failure::{Cause, RetryClass};
use crate::routing::policy::Retry;

/// A failed attempt, as far as the decision depends on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed {
    pub(super) cause: Cause,
    /// No byte of the request was written.
    pub(super) unsent: bool,
    /// The connection had served before and ended without a byte of an answer: most likely it was
    /// closed while idle.
    pub(super) stale: bool,
}

/// What the attempts so far amount to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// Attempts so far, those on stale connections not counted.
    pub(super) attempts: u8,
    /// Endpoints that broke off after the request was out.
    pub(super) broken_off: u8,
    /// Since the request began.
    pub(super) elapsed: Duration,
    /// Whether the method is idempotent.
    pub(super) idempotent: bool,
    /// Whether the request's body can be sent again.
    pub(super) replayable: bool,
}

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The same endpoint at once, on a new connection; it does not count as an attempt.
    Reconnect,
    /// Another endpoint.
    Another,
    /// Nothing: the request failed.
    Stop,
}

/// Decides. `progress` includes the failed attempt.
pub(super) fn decide(policy: &Retry, failed: Failed, progress: Progress) -> Next {
    let repeatable = match failed.cause.retry_class() {
        RetryClass::Unsent => true,
        RetryClass::Idempotent => failed.unsent || progress.idempotent || policy.non_idempotent,
        RetryClass::Never => false,
    };
    if !repeatable || !progress.replayable || progress.elapsed >= policy.within {
        return Next::Stop;
    }
    if failed.stale {
        return Next::Reconnect;
    }
    let poisonous = progress.broken_off >= 2;
    if progress.attempts >= policy.attempts || poisonous {
        return Next::Stop;
    }
    Next::Another
}

/// Whether an endpoint broke off on a request that it had received: of such, two are enough.
pub(super) fn breaks_off(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::ConnectionClosed
            | Cause::ConnectionReset
            | Cause::HeadIncomplete
            | Cause::NotHttp
            | Cause::BadStatusLine
            | Cause::BadHeader
    )
}

/// The wait before an endpoint that was tried before: full jitter over an exponential step.
/// `random` is from 0 to 1; `repeats` counts the endpoint's earlier tries, from 1.
pub(super) fn backoff(policy: &Retry, repeats: u32, random: f64) -> Duration {
    let step = policy
        .backoff_base
        .saturating_mul(1 << repeats.saturating_sub(1).min(16));
    step.min(policy.backoff_max).mul_f64(random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(cause: Cause) -> Failed {
        Failed {
            cause,
            unsent: false,
            stale: false,
        }
    }

    fn first(idempotent: bool) -> Progress {
        Progress {
            attempts: 1,
            idempotent,
            replayable: true,
            ..Progress::default()
        }
    }

    #[test]
    fn a_request_that_was_never_sent_goes_elsewhere_whatever_its_method() {
        for cause in [
            Cause::ConnectionRefused,
            Cause::ConnectTimeout,
            Cause::ClosedBeforeSend,
        ] {
            assert_eq!(
                decide(&Retry::default(), failed(cause), first(false)),
                Next::Another
            );
        }
    }

    #[test]
    fn after_its_bytes_were_out_only_an_idempotent_request_goes_again() {
        for cause in [
            Cause::ConnectionReset,
            Cause::ConnectionClosed,
            Cause::ResponseTimeout,
        ] {
            assert_eq!(
                decide(&Retry::default(), failed(cause), first(true)),
                Next::Another
            );
            assert_eq!(
                decide(&Retry::default(), failed(cause), first(false)),
                Next::Stop
            );
            let policy = Retry {
                non_idempotent: true,
                ..Retry::default()
            };
            assert_eq!(decide(&policy, failed(cause), first(false)), Next::Another);
        }
    }

    #[test]
    fn a_request_that_broke_two_endpoints_reaches_no_third() {
        let progress = Progress {
            attempts: 2,
            broken_off: 2,
            ..first(true)
        };
        assert_eq!(
            decide(&Retry::default(), failed(Cause::ConnectionReset), progress),
            Next::Stop
        );
        let once = Progress {
            attempts: 2,
            broken_off: 1,
            ..first(true)
        };
        assert_eq!(
            decide(&Retry::default(), failed(Cause::ResponseTimeout), once),
            Next::Another
        );
    }

    #[test]
    fn attempts_and_time_end_it() {
        let last = Progress {
            attempts: 3,
            ..first(true)
        };
        let refused = failed(Cause::ConnectionRefused);
        assert_eq!(decide(&Retry::default(), refused, last), Next::Stop);
        let late = Progress {
            elapsed: Duration::from_secs(30),
            ..first(true)
        };
        assert_eq!(decide(&Retry::default(), refused, late), Next::Stop);
    }

    #[test]
    fn a_body_that_was_not_kept_is_not_sent_again() {
        let streamed = Progress {
            replayable: false,
            ..first(true)
        };
        assert_eq!(
            decide(&Retry::default(), failed(Cause::ConnectionReset), streamed),
            Next::Stop
        );
    }

    #[test]
    fn a_connection_closed_while_idle_costs_no_attempt() {
        let stale = Failed {
            cause: Cause::ConnectionClosed,
            unsent: false,
            stale: true,
        };
        let last = Progress {
            attempts: 3,
            ..first(true)
        };
        assert_eq!(decide(&Retry::default(), stale, last), Next::Reconnect);
        assert_eq!(decide(&Retry::default(), stale, first(false)), Next::Stop);
        let unsent = Failed {
            cause: Cause::ClosedBeforeSend,
            unsent: true,
            stale: true,
        };
        assert_eq!(
            decide(&Retry::default(), unsent, first(false)),
            Next::Reconnect
        );
    }

    #[test]
    fn the_backoff_grows_to_its_limit_and_is_jittered_in_full() {
        let policy = Retry::default();
        assert_eq!(backoff(&policy, 1, 1.0), Duration::from_millis(25));
        assert_eq!(backoff(&policy, 2, 1.0), Duration::from_millis(50));
        assert_eq!(backoff(&policy, 60, 1.0), Duration::from_millis(250));
        assert_eq!(backoff(&policy, 60, 0.0), Duration::ZERO);
    }
}
