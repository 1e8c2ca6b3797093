//! Consistent hashing with bounded loads.
//!
//! Rendezvous: the endpoint goes first for which the hash of key and endpoint is the highest, weights
//! counted in (`-weight / ln(hash)`). It needs no table, an endpoint that joins or leaves moves
//! only its own keys, and replicas that know the same endpoints agree. Refused: a ring, which is even
//! only with hundreds of points for each endpoint, and Maglev's table, which moves keys of others.
//!
//! A popular key must not take its endpoint down: one that has more than a quarter above its part of
//! the requests in flight is passed over for the next in the order of the hash (Mirrokni, Thorup and
//! Zadimoghaddam, *Consistent Hashing with Bounded Loads*). Each replica bounds what it sends itself.

use super::hash::mix;
use super::set::{Candidates, Member};

/// How much more than its part of the requests in flight an endpoint may have.
const BOUND: f64 = 1.25;

/// The first in the order of the hash.
pub(super) fn first<'m>(
    of: &Candidates<'m>,
    key: u64,
    wanted: impl Fn(&Member) -> bool,
) -> Option<&'m Member> {
    let wanted = of.members.iter().filter(|member| wanted(member));
    if of.are_even() {
        return wanted.max_by_key(|member| mix(key ^ member.pin.number()));
    }
    let score = |member: &Member| {
        let fraction = fraction(mix(key ^ member.pin.number()));
        -f64::from(of.weight(member)) / fraction.ln()
    };
    wanted.max_by(|a, b| score(a).total_cmp(&score(b)))
}

/// The first in the order of the hash that is not loaded beyond its bound.
pub(super) fn first_within_bounds<'m>(
    of: &Candidates<'m>,
    key: u64,
    wanted: impl Fn(&Member) -> bool,
) -> Option<&'m Member> {
    let bounds = Bounds::of(of, &wanted);
    let within = first(of, key, |member| wanted(member) && bounds.admit(of, member));
    // Requests of other workers may have begun since the bounds were taken.
    within.or_else(|| first(of, key, wanted))
}

/// Whether one is not loaded beyond its bound.
pub(super) fn is_within_bounds(
    of: &Candidates<'_>,
    member: &Member,
    wanted: impl Fn(&Member) -> bool,
) -> bool {
    // Each may have one request, whatever the others have.
    member.endpoint.in_flight() == 0 || Bounds::of(of, wanted).admit(of, member)
}

/// What bounds the load of each.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// That of a unit of weight.
    by_weight: f64,
}

impl Bounds {
    fn of(of: &Candidates<'_>, wanted: impl Fn(&Member) -> bool) -> Self {
        let wanted = of.members.iter().filter(|member| wanted(member));
        let (in_flight, weight) = wanted.fold((1.0, 0.0), |(in_flight, weight), member| {
            let its_own = f64::from(member.endpoint.in_flight());
            (in_flight + its_own, weight + f64::from(of.weight(member)))
        });
        Self {
            by_weight: BOUND * in_flight / weight,
        }
    }

    /// Whether one may have a further request. At least one of them may: the bounds add up to more
    /// than all the requests.
    fn admit(self, of: &Candidates<'_>, member: &Member) -> bool {
        let bound = (self.by_weight * f64::from(of.weight(member))).ceil();
        f64::from(member.endpoint.in_flight()) < bound
    }
}

/// The number as a part of all numbers, between 0 and 1 and neither of them.
#[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
fn fraction(number: u64) -> f64 {
    ((number >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
}

#[cfg(test)]
mod tests;
