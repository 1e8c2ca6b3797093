//! What is left to a request that every endpoint in use has failed.
//!
//! An ejection ends by the clock, and its reason often before: where pods restart one after the other, the
//! first is long back when the last goes, and all requests meet the last. So an ejected endpoint is
//! connected to, whenever its ejection ends, by nobody's request; and the request goes there if that
//! succeeds in time, since the alternative is an error. One that an endpoint broke off, or
//! answered with an error, goes to that endpoint once more before, if it has attempts for both: it may
//! have been an accident, and the ejected one was ejected for more than one.

use std::net::SocketAddr;
use std::time::Instant;

use rand::RngExt;
use rand::rngs::SmallRng;

use super::super::ejection::State;
use super::super::readmission::{Readmission, Trial};
use super::set::{Member, Members};
use super::{Wish, is_closed};

/// How far it is with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LastResort {
    /// There are endpoints in use that it has not tried.
    NotNeeded,
    /// They are tried again first.
    Prepared,
    /// An ejected one is the better choice.
    Needed,
}

impl LastResort {
    pub(super) fn of(members: &Members, wish: &Wish<'_>) -> Self {
        let in_use = || members.iter().filter(|member| is_closed(member));
        if wish.tried.is_empty() || in_use().any(|member| is_fresh(member, wish)) {
            return Self::NotNeeded;
        }
        let unreachable = |address| wish.unreachable.contains(address);
        let again = wish.last || wish.tried.len() > in_use().count();
        if again || wish.tried.last().is_some_and(unreachable) {
            Self::Needed
        } else {
            Self::Prepared
        }
    }

    /// An ejected one to be connected to before its time: not always the same, since that may be down.
    pub(super) fn connect(self, members: &Members, rng: &mut SmallRng) -> Option<Readmission> {
        if self == Self::NotNeeded || members.is_empty() {
            return None;
        }
        let first = rng.random_range(0..members.len());
        let mut turn = members.iter().cycle().skip(first).take(members.len());
        turn.find_map(|member| Readmission::begin_early(&member.endpoint))
    }

    /// One that is half-open and has no request.
    pub(super) fn trial<'m>(
        self,
        members: &'m Members,
        wish: &Wish<'_>,
        now: Instant,
    ) -> Option<(&'m Member, Trial)> {
        let mut candidates = members.iter().filter(|member| self.may_be(member, wish));
        candidates.find_map(|member| {
            // It comes here only if it may be sent again, and has nowhere else to go.
            let trial = Trial::begin(&member.endpoint, true, now)?;
            Some((member, trial))
        })
    }

    /// Whether the request may go to this one beside others: it is half-open, and so takes connections.
    pub(super) fn may_be(self, member: &Member, wish: &Wish<'_>) -> bool {
        let half_open = || member.endpoint.standing().state().is_trying();
        self == Self::Needed && is_fresh(member, wish) && half_open()
    }
}

/// Whether waiting may help a request that has tried these: one that is ejected is being connected to,
/// and none that it could have is there yet.
pub(in crate::upstream) fn is_under_way(members: &Members, tried: &[SocketAddr]) -> bool {
    let others = members.iter().map(|member| &member.endpoint);
    let others = others.filter(|endpoint| !tried.contains(&endpoint.address()));
    let mut connecting = false;
    for endpoint in others {
        match endpoint.standing().state() {
            State::Closed { .. } | State::Trying { .. } => return false,
            State::Connecting { .. } => connecting = true,
            State::Open { .. } => {}
        }
    }
    connecting
}

fn is_fresh(member: &Member, wish: &Wish<'_>) -> bool {
    !wish.tried.contains(&member.endpoint.address())
}

#[cfg(test)]
mod tests;
