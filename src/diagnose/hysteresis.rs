//! Whether there is trouble, with inertia.
//!
//! A condition that follows every request would be written without end and be of no use to anybody
//! who reads it a minute later. It therefore takes more to begin than to go on, some quiet to end, and
//! says nothing new while nothing is asked. [`Pace`] bounds what is left: how often one object may
//! change at all.

use std::collections::VecDeque;

use crate::report::traffic::QUIET;

/// Without requests for so long nobody can say any more.
pub const FORGOTTEN: u64 = 15 * 60;

/// Below so many requests in a minute any failure is trouble.
const FEW: u64 = 20;

/// The least seconds between two changes of one object.
const APART: u64 = 5;

/// The most changes of one matter of an object in the time of [`LONG`].
const MOST: usize = 6;

/// See [`MOST`].
const LONG: u64 = 10 * 60;

/// What is known of one trouble of one target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Nobody has asked for long.
    #[default]
    Unknown,
    /// All is well.
    No,
    /// It is there.
    Yes,
}

/// The requests of a target, over all replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// In the last minute.
    pub requests: u64,
    /// Of those, the ones that failed in the way in question.
    pub failures: u64,
    /// Requests in the time of [`QUIET`].
    pub recent: u64,
    /// Of those, the ones that failed so.
    pub recent_failures: u64,
    /// Of those, the ones that did not fail at all.
    pub successes: u64,
}

impl Counts {
    /// Enough failures for trouble to begin: two that are one percent, or any among few requests.
    fn are_bad(&self) -> bool {
        match self.failures {
            0 => false,
            _ if self.requests < FEW => true,
            1 => false,
            failures => failures * 100 >= self.requests,
        }
    }

    /// Lately something succeeded, and less than half a percent failed.
    fn are_good(&self) -> bool {
        self.successes > 0 && self.recent_failures * 200 < self.recent
    }
}

impl State {
    /// What follows, `idle` seconds after the last request and `watched` seconds after anybody began
    /// to look.
    pub fn next(self, counts: &Counts, idle: u64, watched: u64) -> Self {
        if counts.requests == 0 && counts.failures == 0 {
            return match self {
                _ if idle >= FORGOTTEN => Self::Unknown,
                kept => kept,
            };
        }
        let good = counts.are_good();
        match self {
            Self::Yes if good && watched >= QUIET => Self::No,
            Self::Yes => Self::Yes,
            _ if counts.are_bad() && !good => Self::Yes,
            _ => Self::No,
        }
    }
}

/// What of an object changes for reasons of its own: what comes and goes in one of them keeps nothing of
/// the others from being told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Matter {
    /// Requests that fail, and upstreams without endpoints.
    Failures,
    /// Limits that turn requests away.
    Limits,
}

impl Matter {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Failures, Self::Limits];
}

/// How often one object has changed of late.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    changes: VecDeque<(u64, Matter)>,
}

/// Whether an object may change now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// It may.
    Granted,
    /// In a few seconds.
    Soon,
    /// It has changed too often: what it says stays for now.
    Alternates,
}

impl Pace {
    /// Whether there may be a change now. The last one of those allowed is kept for trouble that
    /// begins, so that what stays said while it alternates is never that all is well.
    pub fn ask(&mut self, now: u64, (matter, begins): (Matter, bool)) -> Permit {
        while self.changes.front().is_some_and(|(at, _)| at + LONG <= now) {
            self.changes.pop_front();
        }
        let most = if begins { MOST } else { MOST - 1 };
        let of_it = self.changes.iter().filter(|(_, of)| *of == matter);
        if of_it.count() >= most {
            return Permit::Alternates;
        }
        match self.changes.back() {
            Some((last, _)) if last + APART > now => Permit::Soon,
            _ => Permit::Granted,
        }
    }

    /// It has changed.
    pub fn changed(&mut self, now: u64, matter: Matter) {
        self.changes.push_back((now, matter));
    }

    /// Whether it changed at all of late.
    pub fn is_calm(&self, now: u64) -> bool {
        self.changes.back().is_none_or(|(at, _)| at + LONG <= now)
    }
}

#[cfg(test)]
mod tests;
