//! After the last attempt: the upstream that stands in.
//!
//! It is asked with attempts of its own, under its own policy, for whatever may be sent again: its
//! answer is the answer, whatever it says. Where it has none, the client gets what it would have got
//! without it, the last answer of the upstream itself (of one too long to be kept, its status) or the cause of its last failure, since that is
//! what has to be repaired (or the client's own fault, if that came to light meanwhile).
//!
//! A request seldom comes so far, so that what is kept meanwhile stands on the heap and not in every
//! connection.

use std::time::Instant;

use crate::failure::{Blame, Cause, ClientFault};
use crate::report::outcome::{Attempt, Followed, Stop};

use super::super::affinity::Affinity;
use super::super::retry::{Failed, LEAST_TIME, may_fall_back};
use super::super::serving::LiveFallback;
use super::connecting::unsent;
use super::{Answer, Attempts, Miss, said};

impl<'a> Attempts<'a> {
    /// Tries until there is an answer.
    ///
    /// # Errors
    /// With the cause of the last failure of the upstream itself.
    pub(in crate::proxy) async fn run(&mut self) -> Result<Box<Answer>, Cause> {
        let miss = match self.ask().await {
            Ok(answer) => return Ok(answer),
            Err(miss) => miss,
        };
        self.fall_back(miss).await
    }

    /// The same for a target that leads nowhere, for this reason.
    ///
    /// # Errors
    /// With that reason.
    pub(in crate::proxy) async fn run_without(
        &mut self,
        cause: Cause,
    ) -> Result<Box<Answer>, Cause> {
        let miss = self.end(None, (cause, Stop::Cause));
        self.fall_back(miss).await
    }

    /// When no further attempt can begin: what counts is how the last one failed, if there was one.
    pub(super) fn end(&mut self, last: Option<Failed>, (cause, stop): (Cause, Stop)) -> Box<Miss> {
        self.look_at_request();
        let mut miss = unsent(cause);
        if let Some(last) = last {
            miss.failed = last;
        }
        miss.falls_back = self.falls_back(&miss);
        let next = if miss.falls_back {
            Followed::Fallback
        } else {
            Followed::Nothing(stop)
        };
        match self.made.last_mut() {
            Some(made) if last.is_some() => {
                made.next = next;
                if miss.falls_back {
                    self.upstream.metrics().retry(self.worker);
                }
            }
            _ if miss.falls_back => self.made.push(Attempt {
                cause: Some(cause),
                next,
                ..Attempt::default()
            }),
            _ => {}
        }
        miss
    }

    /// Whether the upstream that stands in is asked after this.
    pub(super) fn falls_back(&self, miss: &Miss) -> bool {
        let in_time = self.clock.left().is_none_or(|left| left >= LEAST_TIME);
        let uploads = |answer: &Answer| answer.lease.is_uploading();
        self.fallback.is_some()
            && in_time
            && !miss.answer.as_deref().is_some_and(uploads)
            && may_fall_back(&self.policy.retry, miss.failed, self.progress)
    }

    /// What follows the last attempt.
    async fn fall_back(&mut self, own: Box<Miss>) -> Result<Box<Answer>, Cause> {
        match self.fallback.take_if(|_| own.falls_back) {
            Some(fallback) => Box::pin(self.stand_in(fallback, own)).await,
            None => self.given(*own),
        }
    }

    async fn stand_in(
        &mut self,
        fallback: &'a LiveFallback,
        own: Box<Miss>,
    ) -> Result<Box<Answer>, Cause> {
        let said = own.answer.and_then(|it| said::read(it, self.memory));
        let said = said.or(self.said.take());
        let upstream = std::mem::replace(&mut self.upstream, &fallback.upstream);
        self.policy = &fallback.policy;
        let balancing = &self.upstream.policy().load_balancing;
        self.affinity = Affinity::of(balancing, &self.head.headers, self.sender);
        self.clock.go_on_under(self.policy);
        self.progress = self.progress.elsewhere();
        self.instead = Some(own.failed.cause);
        let asked = match self.ask().await {
            Ok(answer) => Ok(answer),
            Err(miss) => self.given(*miss),
        };
        let Err(cause) = asked else { return asked };
        upstream.hasten(Instant::now());
        // Only what was wrong with the client's own message, not what it asked of the fallback in vain.
        let in_vain = matches!(
            cause,
            Cause::CallerDeadline | Cause::BadRequest(ClientFault::Upgrade)
        );
        let clients = cause.blame() == Blame::Client && !in_vain;
        // What the fallback said before it failed is still its answer.
        if clients || self.said.is_none() {
            self.instead = None;
            self.said = said.filter(|_| !clients);
        }
        Err(if clients { cause } else { own.failed.cause })
    }

    /// The answer that came with the last attempt, if one did.
    fn given(&mut self, miss: Miss) -> Result<Box<Answer>, Cause> {
        let mut answer = miss.answer.ok_or(miss.failed.cause)?;
        self.give(&mut answer);
        Ok(answer)
    }
}
