//! How many retries an upstream may cost, over all workers.
//!
//! When every endpoint fails, retries multiply the load on what is already down. So each retry of a
//! request that may have been processed takes a token; requests bring in a part of one each, and a
//! few come with time, so that a quiet upstream can be retried too. What is not used is forgotten
//! over a window of ten seconds: the bucket settles at what ten seconds bring in.
//!
//! Not a share of the requests in flight, as other proxies have it: with few in flight, one bad
//! endpoint of three would by itself exhaust it.

use std::time::Instant;

use crate::routing::policy::RetryBudget;

use super::sync::{AtomicU64, Ordering::Relaxed};

/// The window in which an unused token is forgotten (to 1/e), in milliseconds.
const WINDOW_MS: f64 = 10_000.0;

/// A deposit brings the bucket up to date only after this time.
const STALE_MS: u32 = 1_000;

/// Tokens are kept in thousandths.
const TOKEN: u32 = 1_000;

/// The token bucket of one upstream, in one atomic word.
#[derive(Debug)]
pub struct Budget {
    /// Thousandths of tokens, then the time of the last change in milliseconds since `epoch`,
    /// wrapping after 49 days; 0 while unused, which is full.
    word: AtomicU64,
    epoch: Instant,
}

/// A token that was set aside for a retry; dropping it gives it back unless it is spent.
#[derive(Debug)]
#[must_use]
pub struct Token<'a> {
    budget: &'a Budget,
    spent: bool,
}

impl Token<'_> {
    /// The retry begins, whatever becomes of it.
    pub fn spend(&mut self) {
        self.spent = true;
    }

    /// It did not begin after all.
    pub fn keep(&mut self) {
        self.spent = false;
    }
}

impl Drop for Token<'_> {
    fn drop(&mut self) {
        if !self.spent {
            self.budget.give_back();
        }
    }
}

impl Budget {
    /// A full one.
    pub fn new(epoch: Instant) -> Self {
        Self {
            word: AtomicU64::new(0),
            epoch,
        }
    }

    /// Brings in the part of a request.
    pub fn deposit(&self, rules: &RetryBudget, now: Instant) {
        let now = self.millis(now);
        let part = u64::from(rules.percent) * 10;
        let mut word = self.word.load(Relaxed);
        loop {
            if word != 0 && age(word, now) < STALE_MS {
                self.word.fetch_add(part << 32, Relaxed);
                return;
            }
            #[expect(clippy::cast_precision_loss, reason = "a percentage")]
            let after = pack(current(word, rules, now) + part as f64, now);
            match self
                .word
                .compare_exchange_weak(word, after, Relaxed, Relaxed)
            {
                Ok(_) => return,
                Err(changed) => word = changed,
            }
        }
    }

    /// Sets the token of a retry aside, if there is one.
    pub fn token(&self, rules: &RetryBudget, now: Instant) -> Option<Token<'_>> {
        self.withdraw(rules, now).then(|| Token {
            budget: self,
            spent: false,
        })
    }

    /// Takes the token of a retry, if there is one.
    #[must_use]
    pub fn withdraw(&self, rules: &RetryBudget, now: Instant) -> bool {
        let now = self.millis(now);
        let mut word = self.word.load(Relaxed);
        loop {
            let left = current(word, rules, now) - f64::from(TOKEN);
            if left < 0.0 {
                return false;
            }
            // Time does not go back, or what it brought would be brought again.
            let stamp = if word != 0 && age(word, now) == 0 {
                stamp(word)
            } else {
                now
            };
            let after = pack(left, stamp);
            match self
                .word
                .compare_exchange_weak(word, after, Relaxed, Relaxed)
            {
                Ok(_) => return true,
                Err(changed) => word = changed,
            }
        }
    }

    /// Brings in a token that was taken.
    fn give_back(&self) {
        self.word.fetch_add(u64::from(TOKEN) << 32, Relaxed);
    }

    /// From 1, so that no word in use is 0.
    #[expect(clippy::cast_possible_truncation, reason = "the stamp wraps")]
    fn millis(&self, now: Instant) -> u32 {
        (now.saturating_duration_since(self.epoch).as_millis() as u32).max(1)
    }
}

/// The thousandths at this moment: they approach what time alone brings in.
#[expect(clippy::cast_precision_loss, reason = "32 bits fit")]
fn current(word: u64, rules: &RetryBudget, now: u32) -> f64 {
    let settled = f64::from(rules.min_per_second) * WINDOW_MS;
    if word == 0 {
        return settled;
    }
    let held = (word >> 32) as f64;
    let kept = (-f64::from(age(word, now)) / WINDOW_MS).exp();
    settled + (held - settled) * kept
}

/// Since the last change; a stamp from the future is another worker's, who was faster.
fn age(word: u64, now: u32) -> u32 {
    let age = now.wrapping_sub(stamp(word));
    if age > u32::MAX / 2 { 0 } else { age }
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half")]
fn stamp(word: u64) -> u32 {
    word as u32
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "within 0 and half of 32 bits"
)]
fn pack(thousandths: f64, stamp: u32) -> u64 {
    let thousandths = thousandths.round().clamp(0.0, f64::from(u32::MAX / 2)) as u64;
    thousandths << 32 | u64::from(stamp)
}
