//! What is said of one object, or of one target of a policy.

use std::collections::BTreeSet;

use crate::diagnose::hysteresis::{Matter, State};
use crate::diagnose::merge::{Scope, Sum};
use crate::diagnose::wording;
use crate::failure::{Cause, Trouble};
use crate::report::traffic::UpstreamReport;

use super::breaker::{Breaker, TurningAway};
use super::seed::Seed;
use super::{Manner, Scene};

/// What is said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    /// The conditions that depend on traffic.
    pub verdicts: Vec<Verdict>,
    /// The upstreams of the target, those that are not well first.
    pub upstreams: Vec<UpstreamVerdict>,
    /// That trouble is over, and how long it lasted.
    pub recovered: Option<String>,
}

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Its type.
    pub condition: &'static str,
    /// Its status; absent where nobody knows.
    pub status: Option<bool>,
    /// Its reason.
    pub reason: &'static str,
    /// Its message.
    pub message: String,
}

/// The endpoints of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamVerdict {
    /// How many there are, and how many not.
    pub endpoints: UpstreamReport,
    /// The last failure of the last minute: its cause, and when.
    pub last_failure: Option<(Cause, u64)>,
}

/// What is so at one moment.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) sum: Sum,
    upstreams: Vec<UpstreamVerdict>,
    /// Whether what is absent may be well and have requests all the same.
    partial: bool,
}

/// The memory of what is said.
#[derive(Debug)]
pub(super) struct Part {
    born: u64,
    /// Nothing is said yet.
    new: bool,
    standings: Vec<Standing>,
    /// What was said of upstreams.
    told: UpstreamWord,
    breaker: Breaker,
    seen: Seen,
    said: Said,
}

/// One trouble.
#[derive(Debug)]
struct Standing {
    trouble: Trouble,
    state: State,
    cause: Option<Cause>,
    /// When the trouble began, while it is there.
    since: u64,
    last_request: u64,
    told: (State, Option<Cause>),
    /// The last trouble that was told: its cause, when it began, and when it was told to be over.
    ended: Option<(Cause, u64, u64)>,
}

/// What is said of the upstreams as a whole; `None`: that there are none.
type UpstreamWord = Option<bool>;

impl Verdict {
    /// Whether something is wrong.
    pub fn is_trouble(&self) -> bool {
        self.status == Some(self.condition != wording::UPSTREAMS_HEALTHY)
    }

    /// Whether it is known why, and not only that it is so.
    pub fn is_explained(&self) -> bool {
        self.reason != wording::NOT_KNOWN && self.condition != wording::UPSTREAMS_HEALTHY
    }
}

impl Seen {
    /// Of requests alone: Ingresses say nothing of upstreams.
    pub(super) fn of_requests(scene: &Scene<'_>, scopes: &[Scope<'_>]) -> Self {
        Self {
            sum: scene.seen.sum(scopes),
            upstreams: Vec::new(),
            partial: scene.seen.is_partial(),
        }
    }

    /// Of requests and upstreams.
    pub(super) fn of(scene: &Scene<'_>, scopes: &[Scope<'_>]) -> Self {
        let names = scopes.iter().flat_map(|it| scene.routes.upstreams(it));
        let names: BTreeSet<&str> = names.collect();
        let mut upstreams: Vec<UpstreamVerdict> = names
            .into_iter()
            .filter_map(|name| {
                Some(UpstreamVerdict {
                    endpoints: scene.seen.upstream(name)?.clone(),
                    last_failure: scene.seen.last_failure(name),
                })
            })
            .collect();
        upstreams.sort_by_key(|it| {
            let endpoints = &it.endpoints;
            let well = endpoints.ejected == 0 && endpoints.probed_down == 0;
            (!endpoints.is_unusable(), it.last_failure.is_none(), well)
        });
        Self {
            upstreams,
            ..Self::of_requests(scene, scopes)
        }
    }

    fn word(&self) -> UpstreamWord {
        let unusable = |it: &UpstreamVerdict| it.endpoints.is_unusable();
        (!self.upstreams.is_empty()).then(|| !self.upstreams.iter().any(unusable))
    }
}

impl Part {
    pub(super) fn new(now: u64, seeds: Vec<Seed>) -> Self {
        let standings = Trouble::ALL.map(|trouble| Standing::new(trouble, now));
        let mut part = Self {
            born: now,
            new: seeds.is_empty(),
            standings: standings.into(),
            told: None,
            breaker: Breaker::default(),
            seen: Seen::default(),
            said: Said::default(),
        };
        for Seed { verdict, since } in seeds {
            if verdict.condition == wording::UPSTREAMS_HEALTHY {
                part.told = verdict.status;
            }
            if verdict.condition == wording::CIRCUIT_BREAKER_OPEN {
                part.breaker.begin_with(&verdict);
            }
            let standings = part.standings.iter_mut();
            for standing in standings.filter(|it| it.trouble.condition() == verdict.condition) {
                standing.begin_with(&verdict, since);
            }
            part.said.verdicts.push(verdict);
        }
        part
    }

    /// Takes what is so now; `turning_away` is absent where nothing is limited.
    pub(super) fn judge(&mut self, now: u64, seen: Seen, turning_away: Option<TurningAway>) {
        let watched = now.saturating_sub(self.born);
        self.breaker.judge(watched, turning_away);
        for standing in &mut self.standings {
            standing.judge((self.born, now), &seen);
        }
        self.seen = seen;
    }

    pub(super) fn said(&self) -> &Said {
        &self.said
    }

    pub(super) fn is_new(&self) -> bool {
        self.new
    }

    /// Whether what is so differs from what is said.
    pub(super) fn has_news(&self, of: Matter) -> bool {
        match of {
            Matter::Limits => self.breaker.has_news(),
            Matter::Failures => {
                self.new
                    || self.seen.word() != self.told
                    || self.standings.iter().any(Standing::has_news)
            }
        }
    }

    /// Whether there are other endpoints than was said.
    pub(super) fn counts_otherwise(&self) -> bool {
        counts(&self.seen.upstreams) != counts(&self.said.upstreams)
    }

    /// Says what endpoints there are, and no more.
    pub(super) fn recount(&mut self) {
        self.said.upstreams.clone_from(&self.seen.upstreams);
    }

    /// Whether something gets worse by what is new.
    pub(super) fn begins(&self, of: Matter) -> bool {
        let worse = |it: &Standing| it.state == State::Yes && it.told.0 != State::Yes;
        match of {
            Matter::Limits => self.breaker.begins(),
            Matter::Failures => {
                self.standings.iter().any(worse)
                    || (self.seen.word() == Some(false) && self.told != Some(false))
            }
        }
    }

    /// Whether there is trouble, told or not.
    pub(super) fn is_troubled(&self, of: Matter) -> bool {
        let troubled = |it: &Standing| it.state == State::Yes || it.told.0 == State::Yes;
        match of {
            Matter::Limits => self.breaker.is_open(),
            Matter::Failures => self.standings.iter().any(troubled) || self.told == Some(false),
        }
    }

    pub(super) fn is_well(&self) -> bool {
        let well = |of| !self.is_troubled(of) && !self.has_news(of);
        Matter::ALL.into_iter().all(well)
    }

    /// The Services that words about the trouble of now are about.
    pub(super) fn services(&self) -> impl Iterator<Item = (String, String)> {
        let troubled = self.standings.iter().filter(|it| it.state == State::Yes);
        troubled.filter_map(|standing| {
            let sum = self.seen.sum.cause(standing.cause?)?;
            let upstream = crate::routing::snapshot::ServicePort::parse(&sum.upstream)?;
            Some((upstream.namespace.to_string(), upstream.name.to_string()))
        })
    }

    /// Whether a request is known of each trouble of which anything is.
    pub(super) fn is_illustrated(&self) -> bool {
        let troubled = self.standings.iter().filter(|it| it.state == State::Yes);
        let mut sums = troubled.filter_map(|it| self.seen.sum.cause(it.cause?));
        sums.all(|it| it.request_id.is_some())
    }

    /// Puts it into words.
    pub(super) fn tell(&mut self, scene: &Scene<'_>, manner: Manner, limits: Manner) {
        self.new = false;
        let before = std::mem::take(&mut self.said.verdicts);
        for standing in &mut self.standings {
            let known = before
                .iter()
                .find(|it| it.condition == standing.trouble.condition());
            let verdict = standing.tell(scene, &self.seen, (manner, known));
            self.said.verdicts.push(verdict);
        }
        if !manner.holds {
            self.told = self.seen.word();
        }
        if let Some(healthy) = self.told {
            let verdict = wording::upstreams(healthy, &self.seen.upstreams, &self.seen.sum);
            self.said.verdicts.push(verdict);
        }
        self.said.verdicts.extend(self.breaker.tell(limits));
        self.recount();
        let troubled = self.standings.iter().any(|it| it.told.0 == State::Yes);
        let ended = self.standings.iter().filter_map(|it| {
            let (cause, began, at) = it.ended?;
            Some((at, wording::recovered(it.trouble, cause, (began, at))))
        });
        let last = ended.max_by_key(|(at, _)| *at);
        self.said.recovered = last.filter(|_| !troubled).map(|(_, message)| message);
    }
}

fn counts(upstreams: &[UpstreamVerdict]) -> BTreeSet<&UpstreamReport> {
    upstreams.iter().map(|it| &it.endpoints).collect()
}

impl Standing {
    fn new(trouble: Trouble, now: u64) -> Self {
        Self {
            trouble,
            state: State::Unknown,
            cause: None,
            since: now,
            last_request: now,
            told: (State::Unknown, None),
            ended: None,
        }
    }

    fn begin_with(&mut self, verdict: &Verdict, since: u64) {
        self.state = match verdict.status {
            None => State::Unknown,
            Some(false) => State::No,
            Some(true) => State::Yes,
        };
        let troubled = self.state == State::Yes;
        self.cause = troubled.then(|| Cause::reasoned(verdict.reason)).flatten();
        self.since = since;
        self.told = (self.state, self.cause);
    }

    fn judge(&mut self, (born, now): (u64, u64), seen: &Seen) {
        self.last_request = self.last_request.max(seen.sum.last_request);
        let counts = seen.sum.counts(self.trouble);
        let idle = match seen.partial {
            true => 0,
            false => now.saturating_sub(self.last_request),
        };
        let next = self.state.next(&counts, idle, now.saturating_sub(born));
        let leading = seen.sum.leading(self.trouble, self.cause);
        if next == State::Yes {
            if self.state != State::Yes {
                let first = seen.sum.causes(self.trouble).map(|(_, it)| it.since).min();
                self.since = first.unwrap_or(now);
                self.cause = None;
            }
            self.cause = leading.or(self.cause);
        }
        self.state = next;
    }

    fn has_news(&self) -> bool {
        self.told.0 != self.state || (self.state == State::Yes && self.told.1 != self.cause)
    }

    fn tell(
        &mut self,
        scene: &Scene<'_>,
        seen: &Seen,
        (manner, known): (Manner, Option<&Verdict>),
    ) -> Verdict {
        if !manner.holds {
            if self.told.0 == State::Yes && self.state != State::Yes {
                let cause = self.told.1;
                self.ended = cause.map(|cause| (cause, self.since, scene.now));
            }
            self.told = (self.state, self.cause);
        }
        let words = wording::Trouble {
            trouble: self.trouble,
            cause: self.told.1,
            since: self.since,
            last_request: self.last_request,
            ended: self.ended,
            alternates: manner.alternates,
        };
        match self.told.0 {
            State::Yes => words.there(scene, &seen.sum, known),
            State::No => words.gone(),
            State::Unknown => words.unknown(),
        }
    }
}
