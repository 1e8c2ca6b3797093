//! The better of two endpoints that were drawn.
//!
//! Drawing two and taking the better one spreads the load without the herd that runs to the single
//! best. What a request waits at an endpoint are the requests before it and itself, times the average
//! time to a response head. The requests before it count less where the endpoint weighs more; itself
//! it is the same everywhere, so that with nothing in flight a weight is no advantage beside being
//! drawn more often. An endpoint of which nothing is known yet is taken to be as fast as the other.

use std::time::Instant;

use super::set::{Candidates, Member};

/// By what one is better.
#[derive(Clone, Copy, Debug)]
pub(super) enum Measure {
    /// The requests before one's own, and the average time to a head.
    Wait {
        /// That over the whole upstream, in microseconds.
        typical: f32,
    },
    /// The requests alone. Those that failed go on counting for the typical time.
    Requests {
        /// As above.
        typical: f32,
    },
}

/// The better one; the first where there is nothing between them.
pub(super) fn better<'m>(
    of: &Candidates<'m>,
    (a, b): (&'m Member, &'m Member),
    measure: Measure,
) -> &'m Member {
    let second = match measure {
        Measure::Wait { typical } => wait(of, b, a, typical) < wait(of, a, b, typical),
        Measure::Requests { typical } => load(of, b, typical) < load(of, a, typical),
    };
    if second { b } else { a }
}

/// What a request waits at an endpoint that was drawn with another.
fn wait(of: &Candidates<'_>, member: &Member, other: &Member, typical: f32) -> f32 {
    let latency = |member: &Member, now: Instant| member.endpoint.latency(now);
    let known = latency(member, of.now).or_else(|| latency(other, of.now));
    load(of, member, typical) * known.unwrap_or(typical)
}

/// The requests that one waits for, itself included.
fn load(of: &Candidates<'_>, member: &Member, typical: f32) -> f32 {
    let load = member.endpoint.load(typical, of.now);
    if of.are_even() {
        return load;
    }
    1.0 + (load - 1.0) / of.relative_weight(member)
}
