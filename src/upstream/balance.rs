//! The choice of an endpoint.
//!
//! Most requests meet endpoints that all work: one or two are drawn by the upstream's algorithm, without
//! a look at the others (`at_once`; only hashing compares all). Whatever is out of the ordinary (one
//! that was drawn is ejected, the request has failed elsewhere, the endpoint of its key has enough to
//! do) leads to a second look at all of them (`with_care`).
//!
//! A request that all endpoints in use have failed may go to one that is ejected (`last_resort`).
//!
//! The endpoint that a client is pinned to goes before every algorithm, and one that is tried after
//! its ejection before all others.

mod draw;
pub mod hash;
pub(super) mod last_resort;
pub mod pin;
mod rendezvous;
pub mod set;
pub mod turns;
mod two;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use rand::rngs::SmallRng;

use crate::routing::policy::upstream::{Algorithm, UpstreamPolicy};

use super::endpoint::Endpoint;
use super::readmission::{Readmission, Trial, take_back_untried};
use draw::Order;
use last_resort::LastResort;
use pin::EndpointPin;
use set::{Candidates, Member, Members};
use turns::Turns;
use two::Measure;

/// What a request wants of its next endpoint.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish<'a> {
    /// Endpoints that it has tried: others are preferred.
    pub tried: &'a [SocketAddr],
    /// Those of them that could not be connected to: others in another zone are preferred.
    pub unreachable: &'a [SocketAddr],
    /// Whether it may be what a half-open endpoint is tried with.
    pub may_try: bool,
    /// Whether something could follow, should that fail.
    pub repeatable: bool,
    /// Whether this is its last attempt.
    pub last: bool,
    /// The hash of what it carries to be assigned by, where it carries that.
    pub key: Option<u64>,
    /// The endpoints that its client is pinned to, here or elsewhere.
    pub pins: &'a [EndpointPin],
}

/// An endpoint, and what is to be done about the others.
#[derive(Debug)]
pub struct Choice {
    /// Where the request goes.
    pub endpoint: Arc<Endpoint>,
    /// By what a client comes back to it.
    pub pin: EndpointPin,
    /// The Pod behind it, where known.
    pub pod: Option<Arc<str>>,
    /// It is half-open, and tried with this request.
    pub trial: Option<Trial>,
    /// Another one's ejection is over.
    pub due: Option<Readmission>,
    /// All are ejected, and another upstream stands in: the request does not go here.
    pub stands_back: bool,
}

/// Chooses endpoints of one upstream at one moment.
#[derive(Debug)]
pub struct Balancer<'a> {
    /// How the upstream is treated.
    pub policy: &'a UpstreamPolicy,
    /// Whose turn it is.
    pub turns: &'a Turns,
    /// The time to a response head over the whole upstream, in microseconds.
    pub typical: f32,
    /// The moment.
    pub now: Instant,
}

/// How the algorithm of an upstream goes about one request.
#[derive(Clone, Copy, Debug)]
enum Method<'a> {
    /// Draws two and takes the better one.
    Better(Measure),
    /// Draws one.
    Drawn(Order<'a>),
    /// Takes the first in the order of a key.
    Owner(u64),
}

impl Balancer<'_> {
    /// Chooses one of these; `None` only where there is none.
    pub fn choose(&self, members: &Members, wish: &Wish<'_>, rng: &mut SmallRng) -> Option<Choice> {
        let of = Candidates::new(members, self.now);
        let method = self.method(wish.key);
        let own = members.pinned(wish.pins);
        let met = match own {
            Some(own) => Some((own, is_closed(own))),
            None if wish.tried.is_empty() => Some(at_once(&of, method, rng)?),
            None => None,
        };
        match met {
            Some((member, true)) if wish.tried.is_empty() => {
                // Where every client has its own endpoint, nobody else looks at the others.
                let due = own.and_then(|_| self.comes_back(members));
                Some(Choice {
                    due,
                    ..Choice::of(member)
                })
            }
            met => self.with_care(&of, method, wish, (own, met.map(|(member, _)| member)), rng),
        }
    }

    /// A request without a key goes where the default algorithm sends it.
    fn method(&self, key: Option<u64>) -> Method<'_> {
        let typical = self.typical;
        match (&self.policy.load_balancing.algorithm, key) {
            (Algorithm::ConsistentHash(_), Some(key)) => Method::Owner(key),
            (Algorithm::PeakEwma | Algorithm::ConsistentHash(_), _) => {
                Method::Better(Measure::Wait { typical })
            }
            (Algorithm::LeastRequest, _) => Method::Better(Measure::Requests { typical }),
            (Algorithm::RoundRobin, _) => Method::Drawn(Order::InTurn(self.turns)),
            (Algorithm::Random, _) => Method::Drawn(Order::Random),
        }
    }

    /// The choice with a look at all endpoints: the request's own, if it has one, and what was met
    /// without that look.
    fn with_care<'m>(
        &self,
        of: &Candidates<'m>,
        method: Method<'_>,
        wish: &Wish<'_>,
        (own, met): (Option<&'m Member>, Option<&'m Member>),
        rng: &mut SmallRng,
    ) -> Option<Choice> {
        let left = LastResort::of(of.members, wish);
        let due = self.due(of.members, left, rng);
        let trial = if wish.may_try {
            self.trial(of, method, (own, wish.repeatable))
        } else {
            left.trial(of.members, wish, self.now)
        };
        if let Some((member, trial)) = trial {
            return Some(Choice {
                trial: Some(trial),
                due,
                ..Choice::of(member)
            });
        }
        let owned = matches!(method, Method::Owner(_));
        let panics = self.panics(of.members);
        let stands_back = self.policy.has_fallback && !panics && !of.members.iter().any(is_closed);
        let usable = |member: &Member| panics || is_closed(member);
        let fresh = |member: &Member| !wish.tried.contains(&member.endpoint.address());
        // For a key it matters more where it goes when its endpoint stays away.
        let unreachable = if owned { &[] } else { wish.unreachable };
        let lost = lost_zones(of.members, unreachable);
        let elsewhere = |member: &Member| {
            let zone = member.zone.as_deref();
            zone.is_none_or(|zone| !lost.contains(&zone))
        };
        // Drawn anew, those in use would have more than their part.
        let met = met.filter(|_| panics && !owned);
        let mut pick = |wanted: &dyn Fn(&Member) -> bool| pick(of, method, wanted, rng);
        let member = own
            .or(met)
            .filter(|member| usable(member) && fresh(member))
            .or_else(|| pick(&|member| usable(member) && fresh(member) && elsewhere(member)))
            .or_else(|| pick(&|member| usable(member) && fresh(member)))
            .or_else(|| pick(&|member| left.may_be(member, wish)))
            .or_else(|| pick(&usable))
            .or_else(|| pick(&fresh))
            .or_else(|| pick(&|_| true))?;
        Some(Choice {
            due,
            stands_back,
            ..Choice::of(member)
        })
    }

    /// One that is to be connected to: its ejection is over, or the request has no other left.
    fn due(&self, members: &Members, left: LastResort, rng: &mut SmallRng) -> Option<Readmission> {
        let mut all = members.iter();
        let due = all.find_map(|it| Readmission::begin(&it.endpoint, self.now));
        due.or_else(|| left.connect(members, rng))
    }

    /// One that is to be connected to, as clients see it that belong elsewhere: they try none, so that one
    /// that nobody tries is taken back on their way.
    fn comes_back(&self, members: &Members) -> Option<Readmission> {
        let mut away = members.iter().filter(|member| !is_closed(member));
        away.find_map(|member| {
            take_back_untried(&member.endpoint, self.now);
            Readmission::begin(&member.endpoint, self.now)
        })
    }

    /// A half-open endpoint that a request is to try: its own, if it has one, else any.
    fn trial<'m>(
        &self,
        of: &Candidates<'m>,
        method: Method<'_>,
        (own, repeatable): (Option<&'m Member>, bool),
    ) -> Option<(&'m Member, Trial)> {
        let begin = |member: &'m Member| {
            let trial = Trial::begin(&member.endpoint, repeatable, self.now)?;
            Some((member, trial))
        };
        match (own, method) {
            (Some(own), _) => begin(own),
            (None, Method::Owner(key)) => begin(rendezvous::first(of, key, |_| true)?),
            (None, _) => of.members.iter().find_map(begin),
        }
    }

    /// Whether so many are ejected that the ejections are to be ignored: more likely than that most
    /// endpoints are broken is that something else is, and those that are left would break too.
    fn panics(&self, members: &Members) -> bool {
        self.policy.panic_threshold.is_some_and(|percent| {
            let closed = members.iter().filter(|it| is_closed(it)).count();
            closed * 100 < members.len() * usize::from(percent)
        })
    }
}

impl Choice {
    fn of(member: &Member) -> Self {
        Self {
            endpoint: Arc::clone(&member.endpoint),
            pin: member.pin,
            pod: member.pod.clone(),
            trial: None,
            due: None,
            stands_back: false,
        }
    }
}

/// What is chosen without a look at all endpoints, and whether it will do.
fn at_once<'m>(
    of: &Candidates<'m>,
    method: Method<'_>,
    rng: &mut SmallRng,
) -> Option<(&'m Member, bool)> {
    Some(match method {
        Method::Better(measure) => {
            let (a, b) = draw::two_of_all(of, rng)?;
            let both = is_closed(a) && is_closed(b);
            (two::better(of, (a, b), measure), both)
        }
        Method::Drawn(order) => {
            let member = draw::one(of, order, |_| true, rng)?;
            (member, is_closed(member))
        }
        Method::Owner(key) => {
            let first = rendezvous::first(of, key, |_| true)?;
            let fits = is_closed(first) && rendezvous::is_within_bounds(of, first, is_closed);
            (first, fits)
        }
    })
}

/// One of those that are wanted.
fn pick<'m>(
    of: &Candidates<'m>,
    method: Method<'_>,
    wanted: &dyn Fn(&Member) -> bool,
    rng: &mut SmallRng,
) -> Option<&'m Member> {
    match method {
        Method::Better(measure) => {
            let pair = draw::two(of, wanted, rng)?;
            Some(two::better(of, pair, measure))
        }
        Method::Drawn(order) => draw::one(of, order, wanted, rng),
        Method::Owner(key) => rendezvous::first_within_bounds(of, key, wanted),
    }
}

fn is_closed(member: &Member) -> bool {
    member.endpoint.standing().is_closed()
}

/// The zones of the endpoints that could not be connected to.
fn lost_zones<'m>(members: &'m Members, unreachable: &[SocketAddr]) -> Vec<&'m str> {
    if unreachable.is_empty() {
        return Vec::new();
    }
    let lost = members.iter();
    let lost = lost.filter(|member| unreachable.contains(&member.endpoint.address()));
    lost.filter_map(|member| member.zone.as_deref()).collect()
}

#[cfg(test)]
mod bench;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
