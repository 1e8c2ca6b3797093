//! Drawing endpoints in proportion to what they weigh.
//!
//! Slots are drawn, which takes the same time however many endpoints there are, and a slot of one that
//! is not wanted, or that has not grown into its weight, is drawn anew: what remains is in proportion.
//! When that fails too often, the wanted ones are looked at one by one.

use rand::RngExt;
use rand::rngs::SmallRng;

use super::set::{Candidates, Member, Members, golden};
use super::turns::Turns;

/// So many slots are drawn before all endpoints are looked at. Where all have just joined, one draw of
/// ten meets its mark.
const DRAWS: usize = 32;

/// In which order slots are drawn.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order<'a> {
    Random,
    InTurn(&'a Turns),
}

impl Order<'_> {
    fn slot<'m>(self, members: &'m Members, rng: &mut SmallRng) -> Option<&'m Member> {
        match self {
            Self::InTurn(turns) => members.in_turn(turns.next()),
            Self::Random => match members.slots() {
                0 => None,
                slots => members.at(rng.random_range(0..slots)),
            },
        }
    }

    /// From 0 to 1, as evenly as the order is.
    #[expect(clippy::cast_precision_loss, reason = "24 bits are exact")]
    fn fraction(self, rng: &mut SmallRng) -> f32 {
        match self {
            Self::Random => rng.random(),
            Self::InTurn(turns) => (golden(turns.next()) >> 40) as f32 / (1_u32 << 24) as f32,
        }
    }
}

/// One of those that are wanted.
pub(super) fn one<'m>(
    of: &Candidates<'m>,
    order: Order<'_>,
    wanted: impl Fn(&Member) -> bool,
    rng: &mut SmallRng,
) -> Option<&'m Member> {
    for _ in 0..DRAWS {
        let member = order.slot(of.members, rng)?;
        let share = of.share(member);
        if wanted(member) && (share >= 1.0 || rng.random::<f32>() < share) {
            return Some(member);
        }
    }
    let all = || of.members.iter().filter(|member| wanted(member));
    let total: f32 = all().map(|member| of.weight(member)).sum();
    let mut left = order.fraction(rng) * total;
    let met = all().find(|member| {
        left -= of.weight(member);
        left < 0.0
    });
    // What rounding leaves over is the last one's.
    met.or_else(|| all().last())
}

/// Two of those that are wanted. Where all weigh the same they differ, if there are two. Else they
/// are drawn independently, since only then the better of them is each one in proportion to its
/// weight where none is better.
pub(super) fn two<'m>(
    of: &Candidates<'m>,
    wanted: impl Fn(&Member) -> bool,
    rng: &mut SmallRng,
) -> Option<(&'m Member, &'m Member)> {
    let first = one(of, Order::Random, &wanted, rng)?;
    if !of.are_even() {
        return Some((first, one(of, Order::Random, wanted, rng)?));
    }
    let other = |member: &Member| wanted(member) && !std::ptr::eq(member, first);
    let second = one(of, Order::Random, other, rng);
    Some((first, second.unwrap_or(first)))
}

/// Two of all, in the same way: what most requests need.
pub(super) fn two_of_all<'m>(
    of: &Candidates<'m>,
    rng: &mut SmallRng,
) -> Option<(&'m Member, &'m Member)> {
    if !of.are_even() {
        return two(of, |_| true, rng);
    }
    let count = of.members.len();
    let (a, b) = if count < 2 {
        (0, 0)
    } else {
        let first = rng.random_range(0..count);
        (first, (first + rng.random_range(1..count)) % count)
    };
    Some((of.members.get(a)?, of.members.get(b)?))
}
