//! How long the endpoints of an upstream take to answer now, and took before requests failed.
//!
//! What is usual has to be known from before the trouble, of which nobody knew that it would come. So the
//! last minutes of every upstream are kept in slices of a few seconds, and when its requests begin to fail
//! the median of them is put aside until it is over. A median, because an overload builds up before the
//! first request fails of it, and one slow second must not pass for what is usual. What was seen while
//! requests failed is never taken for usual.
//!
//! It is read from two counters of each upstream, once a second.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::report::traffic::{Answers, LatencyReport, MINUTE};

/// The seconds of a slice.
const SLICE: u64 = 5;

/// For how many seconds slices are kept.
const KEPT: u64 = 10 * 60;

/// From fewer answers nothing is called usual.
const ENOUGH: u64 = 20;

/// As many answers, the last ones, tell how it is now; fewer where there were no more in a minute.
const LAST: u64 = 10;

/// All upstreams.
#[derive(Debug, Default)]
pub struct AnswerTimes {
    upstreams: BTreeMap<Arc<str>, Times>,
}

/// One upstream.
#[derive(Debug, Default)]
struct Times {
    last: Answers,
    /// Those in which there were answers, oldest first.
    slices: VecDeque<Slice>,
    failing: bool,
    /// Before the trouble, in microseconds; where it is not known again yet, before the last one.
    usual: Option<u64>,
}

/// The answers of a few seconds.
#[derive(Clone, Copy, Debug)]
struct Slice {
    /// The second of its begin.
    begin: u64,
    answers: Answers,
}

impl AnswerTimes {
    /// Takes the counters as they are now; upstreams that are not among them are forgotten.
    pub fn count(&mut self, now: u64, readings: impl IntoIterator<Item = (Arc<str>, Answers)>) {
        let mut before = std::mem::take(&mut self.upstreams);
        for (upstream, reading) in readings {
            let mut times = before.remove(&upstream).unwrap_or_default();
            times.count(now, reading);
            self.upstreams.insert(upstream, times);
        }
    }

    /// What is known of those of which requests fail now.
    pub fn compare(&mut self, now: u64, failing: &BTreeSet<&str>) -> Vec<LatencyReport> {
        let upstreams = self.upstreams.iter_mut();
        let reports = upstreams.filter_map(|(upstream, times)| {
            times.fails(failing.contains(&**upstream));
            times.report(now, upstream)
        });
        reports.collect()
    }
}

impl Times {
    fn count(&mut self, now: u64, reading: Answers) {
        // One that went and came back begins anew.
        if reading.count < self.last.count || reading.micros < self.last.micros {
            self.last = Answers::default();
        }
        let more = Answers {
            count: reading.count - self.last.count,
            micros: reading.micros - self.last.micros,
        };
        self.last = reading;
        let begin = now - now % SLICE;
        match self.slices.back_mut() {
            _ if more.count == 0 => {}
            Some(slice) if slice.begin == begin => {
                slice.answers.count += more.count;
                slice.answers.micros += more.micros;
            }
            _ => self.slices.push_back(Slice {
                begin,
                answers: more,
            }),
        }
        let over = |slice: &Slice| slice.begin + KEPT <= now;
        while self.slices.front().is_some_and(over) {
            self.slices.pop_front();
        }
    }

    fn fails(&mut self, failing: bool) {
        match (self.failing, failing) {
            (false, true) => self.usual = self.median().or(self.usual),
            (true, false) => self.slices.clear(),
            (false, false) | (true, true) => {}
        }
        self.failing = failing;
    }

    /// Of the slices that are over: what fails now may be slow already.
    fn median(&self) -> Option<u64> {
        let over = self.slices.len().saturating_sub(1);
        let over = || self.slices.iter().take(over);
        let answers: u64 = over().map(|it| it.answers.count).sum();
        let mut means: Vec<u64> = over().filter_map(|it| it.answers.mean()).collect();
        means.sort_unstable();
        let median = means.get(means.len().saturating_sub(1) / 2)?;
        (answers >= ENOUGH).then_some(*median)
    }

    fn report(&self, now: u64, upstream: &str) -> Option<LatencyReport> {
        let usual = self.usual.filter(|_| self.failing)?;
        let mut last = Answers::default();
        for Slice { begin, answers } in self.slices.iter().rev() {
            if last.count >= LAST || begin + MINUTE <= now {
                break;
            }
            last.count += answers.count;
            last.micros += answers.micros;
        }
        Some(LatencyReport {
            upstream: upstream.to_owned(),
            usual,
            now: last.mean()?,
            answers: last.count,
        })
    }
}

#[cfg(test)]
mod tests;
