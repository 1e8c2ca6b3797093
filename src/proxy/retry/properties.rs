//! Whatever fails, in whatever order: whom a request reaches, and how often.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;

use super::{
    Failed, LEAST_TIME, Next, Progress, Time, backoff, breaks_off, can_wait, closes, decide,
    too_late,
};
use crate::failure::{Cause, RetryClass};
use crate::routing::policy::Retry;

/// One try on one endpoint that failed.
#[derive(Clone, Copy, Debug)]
struct Try {
    /// When it began.
    began: Duration,
    endpoint: SocketAddr,
    failed: Failed,
    /// Whether the endpoint was tried with it after its ejection.
    trial: bool,
}

fn policy() -> impl Strategy<Value = Retry> {
    let attempts = prop_oneof![Just(1), 1..=10_u8];
    (attempts, any::<bool>(), 0..60_u64).prop_map(|(attempts, non_idempotent, within)| Retry {
        attempts,
        non_idempotent,
        within: Duration::from_secs(within),
        ..Retry::default()
    })
}

/// How an attempt may fail; only a connection that served before can be stale.
fn failure() -> impl Strategy<Value = Failed> {
    (select(Cause::all()), any::<bool>(), any::<bool>()).prop_map(|(cause, reused, unsent)| {
        let stale = reused && closes(cause);
        let unsent = unsent || cause == Cause::ClosedBeforeSend;
        Failed {
            cause,
            unsent: unsent && (closes(cause) || cause.retry_class() == RetryClass::Unsent),
            stale,
        }
    })
}

/// The tries of a request on five endpoints, each of which fails like this, as the loop of attempts
/// makes them: another endpoint each time, the same one again when its connection was stale.
fn run(policy: &Retry, start: Progress, pace: Duration, failures: &[(Failed, bool)]) -> Vec<Try> {
    let mut progress = start;
    let mut tries = Vec::new();
    let mut port = 1;
    let mut fresh = false;
    for (failed, trial) in failures.iter().copied() {
        let endpoint = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stale = failed.stale && !fresh;
        let failed = Failed { stale, ..failed };
        tries.push(Try {
            began: progress.time.elapsed,
            endpoint,
            failed,
            trial,
        });
        progress.book(failed, (endpoint, trial));
        progress.time.elapsed += pace;
        progress.time.left = progress.time.left.map(|left| left.saturating_sub(pace));
        match decide(policy, failed, progress) {
            Next::Stop(_) => break,
            Next::Reconnect => fresh = true,
            Next::Another => {
                port = port % 5 + 1;
                fresh = false;
            }
        }
    }
    tries
}

prop_compose! {
    fn tries()(
        policy in policy(),
        idempotent in any::<bool>(),
        replayable in prop::bool::weighted(0.9),
        (pace, left) in (0..5_000_u64, 0..120_000_u64),
        connect in 0..1_000_u64,
        failures in prop::collection::vec((failure(), any::<bool>()), 40),
    ) -> (Retry, Progress, Vec<Try>) {
        let time = Time { elapsed: Duration::ZERO, left: Some(Duration::from_millis(left)) };
        let connect = Duration::from_millis(connect);
        let start = Progress { idempotent, replayable, time, connect, ..Progress::default() };
        let pace = Duration::from_millis(pace);
        let tries = run(&policy, start, pace, &failures);
        (policy, start, tries)
    }
}

proptest! {
    #[test]
    fn a_request_that_is_not_idempotent_is_never_sent_again((policy, start, tries) in tries()) {
        prop_assume!(!start.idempotent && !policy.non_idempotent);
        let sent = |failed: &Failed| !failed.unsent && failed.cause.retry_class() != RetryClass::Unsent;
        for earlier in &tries[..tries.len() - 1] {
            prop_assert!(!sent(&earlier.failed), "{earlier:?}");
        }
    }

    #[test]
    fn a_single_attempt_is_sent_once((policy, _, tries) in tries()) {
        prop_assume!(policy.attempts == 1);
        let sent = |one: &&Try| {
            let class = one.failed.cause.retry_class();
            !one.failed.unsent && class != RetryClass::Unsent && !one.trial
        };
        prop_assert!(tries.iter().filter(sent).count() <= 1, "{tries:?}");
    }

    #[test]
    fn attempts_are_never_exceeded((policy, _, tries) in tries()) {
        let counted = tries.iter().filter(|one| !one.failed.stale).count();
        // One for an endpoint's sake is free.
        let free = tries.iter().any(|one| one.trial && !one.failed.stale);
        let most = usize::from(policy.attempts) + usize::from(free);
        prop_assert!(counted <= most);
        // A stale connection is free, once for each attempt.
        prop_assert!(tries.len() <= 2 * most);
    }

    #[test]
    fn a_request_breaks_two_endpoints_at_most((_, _, tries) in tries()) {
        let broken: BTreeSet<_> = tries
            .iter()
            .filter(|one| breaks_off(one.failed.cause) && !one.failed.unsent)
            .map(|one| one.endpoint)
            .collect();
        prop_assert!(broken.len() <= 2, "{broken:?}");
    }

    #[test]
    fn nothing_begins_with_too_little_time_left((policy, start, tries) in tries()) {
        let whole = start.time.left.unwrap_or_default();
        for pair in tries.windows(2) {
            let connects = if pair[0].failed.stale { start.connect } else { Duration::ZERO };
            let until = pair[1].began + connects + LEAST_TIME;
            prop_assert!(until <= whole && until <= policy.within, "{pair:?}");
        }
    }

    #[test]
    fn what_waits_as_long_as_it_can_is_not_too_late(
        policy in policy(),
        (elapsed, left, connect) in (0..60_000_u64, prop::option::of(0..60_000_u64), 0..1_000_u64),
    ) {
        let [elapsed, connect] = [elapsed, connect].map(Duration::from_millis);
        let left = left.map(Duration::from_millis);
        let wait = can_wait(&policy, Time { elapsed, left }, connect);
        prop_assume!(!wait.is_zero());
        let elapsed = elapsed + wait;
        let left = left.map(|left| left.saturating_sub(wait));
        prop_assert_eq!(too_late(&policy, Time { elapsed, left }, connect), None);
    }

    #[test]
    fn a_wait_is_at_most_its_step_and_its_step_at_most_the_longest(
        (base, max) in (0..2_000_u64, 0..10_000_u64),
        repeats in 1..40_u32,
        random in 0.0..=1.0_f64,
    ) {
        let [backoff_base, backoff_max] = [base, max].map(Duration::from_millis);
        let policy = Retry { backoff_base, backoff_max, ..Retry::default() };
        let step = u128::from(base) << (repeats - 1);
        let most = step.min(max.into());
        prop_assert!(backoff(&policy, repeats, random).as_millis() <= most);
        if repeats < 16 {
            prop_assert_eq!(backoff(&policy, repeats, 1.0).as_millis(), most);
        }
        prop_assert_eq!(backoff(&policy, repeats, 0.0), Duration::ZERO);
    }

    #[test]
    fn nothing_follows_what_cannot_be_repeated((policy, start, tries) in tries()) {
        let last = tries.len() - 1;
        for earlier in &tries[..last] {
            prop_assert_ne!(earlier.failed.cause.retry_class(), RetryClass::Never);
        }
        if !start.replayable || policy.within.is_zero() {
            prop_assert_eq!(last, 0);
        }
    }
}
