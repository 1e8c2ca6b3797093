//! The state of an endpoint ([`State`]) in one atomic word, shared by all workers.
//!
//! Each change is one compare-and-swap, so that of several workers that see the same thing exactly
//! one makes the change and tells of it. A success on an endpoint that works is one load.

use std::time::Instant;

use crate::routing::policy::upstream::{Ejection, OutlierDetection};

use super::ejection::{Fault, State};
use super::sync::{AtomicU64, Ordering::Relaxed};

/// The words whose two highest bits are zero are closed.
const NOT_CLOSED: u64 = 0b11 << 62;

/// In a closed word: the failures in a row.
const FAILURES: u64 = 0xffff;

/// What is known of an endpoint's health.
#[derive(Debug)]
pub struct Standing {
    word: AtomicU64,
    epoch: Instant,
}

impl Standing {
    /// Closed.
    pub fn new(epoch: Instant) -> Self {
        Self {
            word: AtomicU64::new(State::NEW.pack()),
            epoch,
        }
    }

    /// At this moment.
    pub fn state(&self) -> State {
        State::unpack(self.word.load(Relaxed))
    }

    /// Whether it takes requests.
    pub fn is_closed(&self) -> bool {
        self.word.load(Relaxed) & NOT_CLOSED == 0
    }

    /// Takes a request that ended as it should.
    pub fn succeeded(&self) {
        let word = self.word.load(Relaxed);
        if word & NOT_CLOSED == 0 && word & FAILURES != 0 {
            self.change(|state| Some(state.succeeded()));
        }
    }

    /// Takes a failure; whether it was one too many in a row.
    pub fn failed(&self, fault: Fault, rules: &OutlierDetection) -> bool {
        let after = self.change(|state| state.is_closed().then(|| state.failed(fault)));
        after.is_some_and(|state| state.is_due(rules))
    }

    /// Leaves it out; whether this call did it.
    pub fn eject(&self, rules: &Ejection, now: Instant, random: f64) -> bool {
        let now = self.millis(now);
        self.change(|state| state.eject(rules, now, random))
            .is_some()
    }

    /// Whether it is to be tried now, and by this caller, who has to open a connection.
    pub fn connect(&self, now: Instant) -> bool {
        let now = self.millis(now);
        self.change(|state| state.connect(now)).is_some()
    }

    /// The same, whether or not its time has come.
    pub fn connect_early(&self) -> bool {
        self.change(State::connect_early).is_some()
    }

    /// It is tried then at the latest.
    pub fn hasten(&self, latest: Instant) {
        let latest = self.millis(latest);
        self.change(|state| state.hasten(latest));
    }

    /// The connection stands.
    pub fn connected(&self, now: Instant) {
        let now = self.millis(now);
        self.change(|state| state.connected(now));
    }

    /// There is no connection to be had.
    pub fn not_connected(&self, rules: &Ejection, now: Instant, random: f64) {
        let now = self.millis(now);
        self.change(|state| state.not_connected(rules, now, random));
    }

    /// Whether the caller may try it with a request; one that can be repeated may sooner.
    pub fn start_trial(&self, repeatable: bool, now: Instant) -> bool {
        let now = self.millis(now);
        self.change(|state| state.start_trial(repeatable, now))
            .is_some()
    }

    /// Takes it back without a trial; whether this call did it.
    pub fn untried(&self, now: Instant) -> bool {
        let now = self.millis(now);
        self.change(|state| state.untried(now)).is_some()
    }

    /// The request says nothing of the endpoint.
    pub fn trial_abandoned(&self, now: Instant) {
        let now = self.millis(now);
        self.change(|state| state.trial_abandoned(now));
    }

    /// The request got its answer; whether the endpoint is back with it.
    pub fn trial_succeeded(&self, now: Instant) -> bool {
        let now = self.millis(now);
        let after = self.change(|state| state.trial_succeeded(now));
        after.is_some_and(State::is_closed)
    }

    /// The request failed.
    pub fn trial_failed(&self, rules: &Ejection, now: Instant, random: f64) {
        let now = self.millis(now);
        self.change(|state| state.trial_failed(rules, now, random));
    }

    /// Makes a change, unless there is none to make; the state after it.
    fn change(&self, next: impl Fn(State) -> Option<State>) -> Option<State> {
        let mut word = self.word.load(Relaxed);
        loop {
            let after = next(State::unpack(word))?;
            let swapped = self
                .word
                .compare_exchange_weak(word, after.pack(), Relaxed, Relaxed);
            match swapped {
                Ok(_) => return Some(after),
                Err(changed) => word = changed,
            }
        }
    }

    fn millis(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.epoch);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}
