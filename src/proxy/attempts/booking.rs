//! What is booked of an attempt: for its endpoint, its upstream, the account and the metrics.
//!
//! Kept apart from how attempts are made, because it must never wait: each attempt is booked at once,
//! exactly once, whatever becomes of the request.

use std::time::{Duration, Instant};

use crate::failure::{Blame, Cause, ClientFault};
use crate::report::outcome::{Attempt, Followed, Stop};
use crate::upstream::budget::Token;
use crate::upstream::counting::Moved;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::readmission::Trial;

use super::super::retry::{Failed, Next, Time, costs, decide, is_over};
use super::choosing::Chosen;
use super::{Answer, Attempts, Miss, turn};

impl<'a> Attempts<'a> {
    /// Opens the record of an attempt, which has its end when that has.
    pub(super) fn begin(&mut self, chosen: &Chosen, started: Instant) {
        let endpoint = Some(chosen.endpoint.address());
        if let Some(made) = self.made.last_mut()
            && made.next == Followed::Reconnect
            && made.endpoint != endpoint
        {
            // It left meanwhile.
            made.next = Followed::Retry;
        }
        self.made.push(Attempt {
            endpoint,
            pod: chosen.pod.clone(),
            started: started.saturating_duration_since(self.begun),
            next: Followed::Unfinished,
            fallback: self.instead.is_some(),
            ..Attempt::default()
        });
    }

    /// A connection was opened for the attempt.
    pub(super) fn connected(&mut self, took: Duration) {
        if let Some(made) = self.made.last_mut() {
            made.connected = Some(took);
        }
    }

    /// The attempt has a head, or failed: what moved until then.
    pub(super) fn moved(&mut self, moved: Moved) {
        if let Some(made) = self.made.last_mut() {
            made.sent = moved.written;
            made.received = moved.read;
        }
    }

    pub(super) fn succeeded(
        &mut self,
        (endpoint, trial): (&Endpoint, Option<Trial>),
        started: Instant,
        answer: &mut Answer,
    ) {
        let now = Instant::now();
        let took = now.saturating_duration_since(started);
        let waited = self.waited(started, now);
        let status = answer.response.status();
        let metrics = self.upstream.metrics();
        if status.is_server_error() {
            endpoint.answered_error(waited, self.upstream.typical(now), now);
            metrics.attempt(self.worker, None);
        } else {
            endpoint.succeeded(waited, now);
            self.upstream.succeeded(waited, now);
            metrics.answered(self.worker, waited);
        }
        if answer.lease.faulty {
            let failure = (Cause::RetriedStatus(status.as_u16()), trial);
            self.upstream.attempt_failed(endpoint, failure, now);
        } else {
            answer.lease.trial = trial;
        }
        if answer.switched {
            answer.lease.succeeded(now);
        }
        if let Some(made) = self.made.last_mut() {
            made.status = Some(status.as_u16());
            made.duration = took;
            made.next = Followed::Answered;
        }
    }

    /// How long an attempt waited for the endpoint: the time that the client took for its body is
    /// none of the endpoint's.
    pub(super) fn waited(&self, started: Instant, now: Instant) -> Duration {
        let since = turn(self.upload.as_deref()).map_or(started, |turn| turn.since().max(started));
        now.saturating_duration_since(since)
    }

    /// What there was of time, and what is left.
    pub(super) fn time(&self) -> Time {
        Time {
            elapsed: self.clock.elapsed(),
            left: self.clock.left(),
        }
    }

    /// Brings up to date what is known of the request.
    pub(super) fn look_at_request(&mut self) {
        self.progress.time = self.time();
        let upload = self.upload.as_ref();
        self.progress.replayable = upload.is_none_or(|upload| upload.is_replayable());
    }

    /// Counts a failed attempt towards the endpoint's ejection, if it is the endpoint's failure.
    pub(super) fn hold_against(&self, endpoint: &Endpoint, trial: Option<Trial>, failed: Failed) {
        // The connection was no longer fresh, or the endpoint did not have the time that it is allowed.
        if !failed.stale && !Self::is_cut(failed) {
            let failure = (failed.cause, trial);
            self.upstream
                .attempt_failed(endpoint, failure, Instant::now());
        }
    }

    /// Whether the request's time was over before the endpoint had its own: before it was even
    /// connected to, or because the caller allows so little.
    fn is_cut(failed: Failed) -> bool {
        is_over(failed.cause) && (failed.unsent || failed.cause == Cause::CallerDeadline)
    }

    /// Takes a failure into account in how fast its endpoint seems.
    fn weigh(&self, endpoint: &Endpoint, waited: Duration, miss: &Miss) {
        let now = Instant::now();
        let typical = self.upstream.typical(now);
        match miss.failed.cause.blame() {
            _ if Self::is_cut(miss.failed) => {
                // It was not even connected to, or who knows how long it would have taken.
                if !miss.failed.unsent {
                    endpoint.answered_error(waited, typical, now);
                }
            }
            Blame::Endpoint | Blame::Connectivity => endpoint.failed(waited, typical, now),
            // Nobody's failure must not make an endpoint look fast either.
            Blame::Configuration => endpoint.answered_error(waited, typical, now),
            _ if miss.status.is_some() => endpoint.answered_error(waited, typical, now),
            Blame::Client | Blame::Gateway => {}
        }
    }

    /// Books a failed attempt and decides what follows, and sets aside what that takes from the budget.
    pub(super) fn judge_miss(
        &mut self,
        (endpoint, trial): (&Endpoint, bool),
        started: Instant,
        miss: &mut Miss,
        paid: &mut Option<Token<'a>>,
    ) -> Next {
        // What happened decides what follows; whose fault it was is what is booked.
        let failed = miss.failed;
        if miss.tired {
            miss.failed.cause = Cause::BadRequest(ClientFault::BodyTimeout);
        }
        let now = Instant::now();
        let took = now.saturating_duration_since(started);
        if !miss.failed.stale {
            self.weigh(endpoint, self.waited(started, now), miss);
        }
        let further = self.policy.retry.attempts > 1;
        let on = (endpoint.address(), trial && further);
        self.progress.book(failed, on);
        self.look_at_request();
        self.progress.connect = endpoint.usual_connect();
        let mut next = decide(&self.policy.retry, failed, self.progress);
        *paid = None;
        if next == Next::Another && costs(failed) {
            let budget = &self.policy.retry.budget;
            *paid = self.upstream.budget().token(budget, now);
            if paid.is_none() {
                self.upstream.metrics().retry_over_budget();
                next = Next::Stop(Stop::Budget);
            }
        }
        let stops = matches!(next, Next::Stop(_));
        let booked = std::mem::replace(&mut miss.failed, failed);
        miss.falls_back = stops && self.falls_back(miss);
        miss.failed = booked;
        let followed = !stops || miss.falls_back;
        // The answer that a client gets in the end was not a failed attempt.
        let given = !followed && miss.answer.is_some();
        let cause = (!given).then_some(miss.failed.cause);
        self.upstream.metrics().attempt(self.worker, cause);
        if miss.falls_back {
            self.upstream.metrics().retry(self.worker);
        }
        if let Some(made) = self.made.last_mut() {
            made.cause = cause;
            made.status = miss.status;
            made.duration = took;
            made.detail = miss.detail.take();
            made.hint = miss.hint.take();
            made.next = match next {
                Next::Reconnect => Followed::Reconnect,
                Next::Another => Followed::Retry,
                Next::Stop(_) if miss.falls_back => Followed::Fallback,
                Next::Stop(stop) => Followed::Nothing(stop),
            };
        }
        next
    }
}
