//! Whether another attempt may follow, where, and after what wait: a pure decision.
//!
//! What was already sent decides, not the error's name (RFC 9110 section 9.2.2). A request that was
//! never sent goes to another endpoint whatever its method. One whose bytes were out goes again only
//! if its method is idempotent (or the policy says so), and after two endpoints broke off on it no
//! third is tried: the request may be what breaks them. An answer by status is retried for safe
//! methods only. And nothing begins that could not do more than open a connection in what is left.

use std::net::SocketAddr;
use std::time::Duration;

use crate::failure::{Cause, RetryClass};
use crate::report::outcome::Stop;
use crate::routing::policy::{Retry, RetryOn};

/// An attempt needs at least this beside a connection: less is no time for an answer.
pub(super) const LEAST_TIME: Duration = Duration::from_millis(10);

/// A timer may fire later by this.
const TIMER: Duration = Duration::from_millis(10);

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

/// What there was of time, and what is left of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Time {
    /// Since the first attempt could begin.
    pub(super) elapsed: Duration,
    /// What is left of the request's; absent while its body is still coming.
    pub(super) left: Option<Duration>,
}

/// What the attempts so far amount to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// Attempts so far, those on stale connections not counted.
    pub(super) attempts: u8,
    /// Endpoints that broke off after the request was out, each counted once; stale connections
    /// too, since the request may be what ended them.
    pub(super) broken_off: u8,
    /// The last of them.
    last_broken_off: Option<SocketAddr>,
    /// Whether one of them was for the endpoint's sake.
    tried_for_it: bool,
    pub(super) time: Time,
    /// How long it usually takes to connect to the endpoint of the last attempt.
    pub(super) connect: Duration,
    /// Whether the method is idempotent.
    pub(super) idempotent: bool,
    /// Whether the request's body can be sent again.
    pub(super) replayable: bool,
}

impl Progress {
    /// Takes a failed attempt into account. The first `trial` of an endpoint takes none of the
    /// request's own attempts: it was for the endpoint's sake.
    pub(super) fn book(&mut self, failed: Failed, (endpoint, trial): (SocketAddr, bool)) {
        let free = trial && !self.tried_for_it;
        if !failed.stale {
            self.tried_for_it |= trial;
        }
        if !failed.stale && !free {
            self.attempts = self.attempts.saturating_add(1);
        }
        let endpoint = Some(endpoint);
        if breaks_off(failed.cause) && !failed.unsent && self.last_broken_off != endpoint {
            self.last_broken_off = endpoint;
            self.broken_off = self.broken_off.saturating_add(1);
        }
    }

    /// What remains of it at the upstream that stands in: of a request that may be what breaks
    /// endpoints, one more is enough.
    pub(super) fn elsewhere(self) -> Self {
        Self {
            broken_off: self.broken_off.min(1),
            ..Self::default()
        }
    }
}

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The same endpoint at once, on a new connection; it does not count as an attempt.
    Reconnect,
    /// Another endpoint.
    Another,
    /// Nothing, for this reason: the request failed.
    Stop(Stop),
}

/// Decides. `progress` includes the failed attempt.
pub(super) fn decide(policy: &Retry, failed: Failed, progress: Progress) -> Next {
    match stops_all(policy, failed, progress) {
        Some(stop) => Next::Stop(stop),
        // A single attempt means that the request is sent once, whatever the connection was.
        None if failed.stale && !failed.unsent && policy.attempts == 1 => {
            Next::Stop(Stop::Attempts)
        }
        None if failed.stale => Next::Reconnect,
        None => stops_another(policy, failed, progress).map_or(Next::Another, Next::Stop),
    }
}

/// Whether the whole time of the request is over.
pub(super) fn is_over(cause: Cause) -> bool {
    matches!(cause, Cause::DeadlineExceeded | Cause::CallerDeadline)
}

/// Why the request is not sent again at all, be it to the same endpoint.
fn stops_all(policy: &Retry, failed: Failed, progress: Progress) -> Option<Stop> {
    if is_over(failed.cause) {
        Some(Stop::Deadline)
    } else if failed.cause.retry_class() == RetryClass::Never {
        Some(Stop::Cause)
    } else if !is_repeatable(policy, failed, progress) {
        Some(Stop::NotIdempotent)
    } else if !progress.replayable {
        Some(Stop::NotReplayable)
    } else {
        // How long another endpoint takes is known when it is chosen.
        let connect = if failed.stale {
            progress.connect
        } else {
            Duration::ZERO
        };
        too_late(policy, progress.time, connect)
    }
}

/// Why an attempt that would send the request after so long, to wait and to connect, is not worth its
/// beginning.
pub(super) fn too_late(policy: &Retry, time: Time, after: Duration) -> Option<Stop> {
    let needed = after.saturating_add(LEAST_TIME);
    if time.left.is_some_and(|left| left < needed) {
        Some(Stop::Deadline)
    } else if time.elapsed.saturating_add(needed) > policy.within {
        Some(Stop::Within)
    } else {
        None
    }
}

/// How long an attempt that then needs so long to connect can be put off and is worth its beginning
/// still: as much less as a timer may be late.
pub(super) fn can_wait(policy: &Retry, time: Time, connect: Duration) -> Duration {
    let needed = connect.saturating_add(LEAST_TIME + TIMER);
    let left = policy.within.saturating_sub(time.elapsed);
    time.left
        .map_or(left, |it| it.min(left))
        .saturating_sub(needed)
}

/// Why it is not sent to another endpoint.
fn stops_another(policy: &Retry, failed: Failed, progress: Progress) -> Option<Stop> {
    if !is_listed(policy.on, failed.cause) {
        Some(Stop::NotListed)
    } else if progress.broken_off >= 2 {
        Some(Stop::Poison)
    } else if progress.attempts >= policy.attempts {
        Some(Stop::Attempts)
    } else {
        None
    }
}

/// Whether a request that failed may be sent to the upstream that stands in. What no other endpoint
/// would help with, it may; which failures are retried, and how long, is no matter here.
pub(super) fn may_fall_back(policy: &Retry, failed: Failed, progress: Progress) -> bool {
    let failure = match failed.cause {
        Cause::RetriedStatus(_) => true,
        cause => matches!(cause.status().as_u16(), 502..=504),
    };
    failure && progress.replayable && is_repeatable(policy, failed, progress)
}

/// Whether a request may be sent again (RFC 9110 section 9.2.2).
fn is_repeatable(policy: &Retry, failed: Failed, progress: Progress) -> bool {
    let unsent = failed.unsent || failed.cause.retry_class() == RetryClass::Unsent;
    unsent || progress.idempotent || policy.non_idempotent
}

/// Whether the policy has failures of this kind retried. A status was found in its list before it
/// became a cause; what happens on our side alone is no matter of policy.
fn is_listed(on: RetryOn, cause: Cause) -> bool {
    match cause {
        Cause::DnsError
        | Cause::DnsTimeout
        | Cause::ConnectionRefused
        | Cause::AddressUnroutable
        | Cause::ConnectTimeout
        | Cause::TlsCertificate
        | Cause::TlsAlert(_)
        | Cause::TlsProtocol => on.connect_failure,
        Cause::ClosedBeforeSend
        | Cause::ConnectionClosed
        | Cause::ConnectionReset
        | Cause::PeerVanished
        | Cause::GoneAway
        | Cause::StreamReset
        | Cause::H2ConnectionLost => on.reset,
        Cause::StreamRefused | Cause::Http11Required | Cause::NotHttp2 => on.refused_stream,
        Cause::ResponseTimeout => on.timeout,
        Cause::HeadIncomplete
        | Cause::NotHttp
        | Cause::BadStatusLine
        | Cause::BadHeader
        | Cause::InvalidJson
        | Cause::BodyIncomplete
        | Cause::BodyReset
        | Cause::BodyBadChunk => on.invalid_response,
        _ => true,
    }
}

/// Whether a retry takes from the budget of its upstream: not if the request was never sent.
pub(super) fn costs(failed: Failed) -> bool {
    !failed.unsent && failed.cause.retry_class() != RetryClass::Unsent
}

/// Whether an endpoint broke off on a request that it had received: of such, two are enough.
fn breaks_off(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::ConnectionClosed
            | Cause::ConnectionReset
            | Cause::HeadIncomplete
            | Cause::NotHttp
            | Cause::BadStatusLine
            | Cause::BadHeader
            | Cause::InvalidJson
            | Cause::BodyIncomplete
            | Cause::BodyReset
            | Cause::BodyBadChunk
    )
}

/// Whether a connection ended like one that the endpoint no longer wants.
pub(super) fn closes(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::ClosedBeforeSend | Cause::ConnectionClosed | Cause::ConnectionReset
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
mod properties;
#[cfg(test)]
mod tests;
