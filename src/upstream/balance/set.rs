//! The endpoints of an upstream, and what each weighs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::endpoint::Endpoint;
use super::pin::EndpointPin;

/// One endpoint of an upstream.
#[derive(Clone, Debug)]
pub struct Member {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// Its part of the requests, beside the others' weights; at least 1.
    pub weight: u16,
    /// Its topology zone, where known.
    pub zone: Option<Arc<str>>,
    /// By what a client comes back to it.
    pub pin: EndpointPin,
    /// The Pod behind it, where known.
    pub pod: Option<Arc<str>>,
}

/// Endpoints of an upstream. What each weighs is laid out as slots, one for each unit of weight; where
/// all weigh the same, one for each endpoint.
#[derive(Debug, Default)]
pub struct Members {
    list: Box<[Member]>,
    /// For each the end of its slots; empty where all weigh the same.
    ends: Box<[u32]>,
    /// The average weight.
    mean: f32,
    /// Over which time one that joined gets its share.
    slow_start: Duration,
    /// When the last of them has it; absent where all had it from the beginning.
    settled: Option<Instant>,
}

/// The endpoints of an upstream at one moment.
#[derive(Debug, Default)]
pub struct EndpointSet {
    /// Those that take new requests.
    ready: Members,
    /// Those that terminate but still serve: used when nothing is ready.
    draining: Members,
}

/// Those that a request may use, at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidates<'m> {
    pub(super) members: &'m Members,
    pub(super) now: Instant,
    /// Whether all have their full share.
    settled: bool,
}

impl EndpointSet {
    /// Of those that take new requests and those that terminate but still serve. `slow_start`: over
    /// which time one that joined gets its share.
    pub fn new(ready: Vec<Member>, draining: Vec<Member>, slow_start: Duration) -> Self {
        Self {
            ready: Members::new(ready, slow_start),
            draining: Members::new(draining, slow_start),
        }
    }

    /// Those that a request may use now.
    pub fn usable(&self) -> &Members {
        if self.ready.list.is_empty() {
            &self.draining
        } else {
            &self.ready
        }
    }

    /// Those that no request uses while others are ready.
    pub fn unused(&self) -> &[Member] {
        if self.ready.list.is_empty() {
            &[]
        } else {
            &self.draining.list
        }
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Member> {
        self.ready.list.iter().chain(&self.draining.list)
    }
}

impl Members {
    /// Lays out their slots.
    pub fn new(list: Vec<Member>, slow_start: Duration) -> Self {
        let first = list.first().map(|member| member.weight);
        let even = list.iter().all(|member| Some(member.weight) == first);
        let mut end = 0;
        let ends = list.iter().map(|member| {
            end += u32::from(member.weight.max(1));
            end
        });
        let ends: Box<[u32]> = if even { Box::default() } else { ends.collect() };
        let joined = list.iter().map(|it| it.endpoint.settles(slow_start));
        Self {
            mean: ends.last().map_or(1.0, |sum| ratio(*sum, list.len())),
            slow_start,
            settled: joined.flatten().max(),
            ends,
            list: list.into(),
        }
    }

    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Member> {
        self.list.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// One by its position.
    pub(super) fn get(&self, position: usize) -> Option<&Member> {
        self.list.get(position)
    }

    /// That of the first of these pins that is one's.
    pub(super) fn pinned(&self, pins: &[EndpointPin]) -> Option<&Member> {
        pins.iter()
            .find_map(|pin| self.list.iter().find(|member| member.pin == *pin))
    }

    /// The number of slots.
    pub(super) fn slots(&self) -> usize {
        self.ends
            .last()
            .map_or(self.list.len(), |end| *end as usize)
    }

    /// Whose slot this is.
    pub(super) fn at(&self, slot: usize) -> Option<&Member> {
        if self.ends.is_empty() {
            return self.list.get(slot);
        }
        self.list
            .get(self.ends.partition_point(|end| *end as usize <= slot))
    }

    /// Whose turn it is: one after the other where all weigh the same. Else turns are spread as evenly
    /// as multiples of the golden ratio are, so that one that weighs much has not its turns in a row.
    pub(super) fn in_turn(&self, turn: u64) -> Option<&Member> {
        let slots = self.slots() as u64;
        let slot = match self.ends.is_empty() {
            true => turn.checked_rem(slots)?,
            false => scaled(golden(turn), slots),
        };
        self.at(usize::try_from(slot).ok()?)
    }
}

impl<'m> Candidates<'m> {
    pub(super) fn new(members: &'m Members, now: Instant) -> Self {
        Self {
            members,
            now,
            settled: members.settled.is_none_or(|settled| settled <= now),
        }
    }

    /// Whether all weigh the same now.
    pub(super) fn are_even(&self) -> bool {
        self.settled && self.members.ends.is_empty()
    }

    /// The part of its weight that one has by now, from 0 to 1.
    pub(super) fn share(&self, member: &Member) -> f32 {
        if self.settled {
            return 1.0;
        }
        member.endpoint.share(self.members.slow_start, self.now)
    }

    /// What one weighs now.
    pub(super) fn weight(&self, member: &Member) -> f32 {
        f32::from(member.weight.max(1)) * self.share(member)
    }

    /// The same, measured in average weights.
    pub(super) fn relative_weight(&self, member: &Member) -> f32 {
        match self.members.ends.is_empty() {
            true => self.share(member),
            false => self.weight(member) / self.members.mean,
        }
    }
}

/// The fractional part of a multiple of the golden ratio, in parts of 2^64.
pub(super) fn golden(multiple: u64) -> u64 {
    multiple.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// So much of a whole, given in parts of 2^64.
fn scaled(parts: u64, whole: u64) -> u64 {
    let product = u128::from(parts) * u128::from(whole);
    u64::try_from(product >> 64).unwrap_or(0)
}

#[expect(clippy::cast_precision_loss, reason = "an average need not be exact")]
fn ratio(sum: u32, count: usize) -> f32 {
    sum as f32 / count.max(1) as f32
}
