//! Whether the limits of a policy turn requests away.
//!
//! Each replica says so for half a minute after it did, which is inertia enough to begin with. It ends when
//! no replica says so; whoever has only begun to look has not heard all of them yet.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnose::wording;
use crate::report::traffic::QUIET;

use super::Manner;
use super::part::Verdict;

/// As many upstreams as are named.
const NAMED: usize = 20;

/// The upstreams that turned requests away, with the limits that were reached.
pub(super) type TurningAway = BTreeMap<String, BTreeSet<&'static str>>;

/// The memory of what is said of it; of a policy without limits nothing is.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    open: Option<bool>,
    told: Option<bool>,
    /// What was said when it was open last.
    words: String,
    turning_away: TurningAway,
}

impl Breaker {
    /// What stands on the policy already.
    pub(super) fn begin_with(&mut self, verdict: &Verdict) {
        (self.open, self.told) = (verdict.status, verdict.status);
        wording::settled(&verdict.message).clone_into(&mut self.words);
    }

    /// Takes what is so now, `watched` seconds after anybody began to look.
    pub(super) fn judge(&mut self, watched: u64, turning_away: Option<TurningAway>) {
        let open = turning_away.as_ref().map(|it| !it.is_empty());
        let unheard = open == Some(false) && watched < QUIET;
        if !(unheard && self.open == Some(true)) {
            self.open = open;
        }
        self.turning_away = turning_away.unwrap_or_default();
    }

    pub(super) fn has_news(&self) -> bool {
        self.open != self.told
    }

    pub(super) fn begins(&self) -> bool {
        self.open == Some(true) && self.has_news()
    }

    /// Whether it is open, told or not.
    pub(super) fn is_open(&self) -> bool {
        self.open == Some(true) || self.told == Some(true)
    }

    /// Puts it into words.
    pub(super) fn tell(&mut self, manner: Manner) -> Option<Verdict> {
        if !manner.holds {
            self.told = self.open;
        }
        if !self.turning_away.is_empty() {
            self.words = wording::turning_away(&self.turning_away, NAMED);
        }
        let open = self.told?;
        let message = match open {
            true => wording::alternating(self.words.clone(), manner.alternates),
            false => wording::NOT_TURNING_AWAY.to_owned(),
        };
        Some(Verdict {
            condition: wording::CIRCUIT_BREAKER_OPEN,
            status: Some(open),
            reason: match open {
                true => wording::LIMIT_REACHED,
                false => wording::CLOSED,
            },
            message,
        })
    }
}
