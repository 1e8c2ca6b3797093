//! Where the next attempt goes, and after what wait.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use tokio::time::{Instant, timeout_at};

use crate::failure::{Blame, Cause};
use crate::report::outcome::Stop;
use crate::upstream::balance::pin::EndpointPin;
use crate::upstream::balance::{Choice, Wish};
use crate::upstream::endpoint::Endpoint;
use crate::upstream::random::with_rng;
use crate::upstream::readmission::{Opening, Trial};

use super::super::affinity::Affinity;
use super::super::retry::{Failed, backoff, can_wait, too_late};
use super::Attempts;

/// Where an attempt goes.
pub(super) struct Chosen {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) pin: EndpointPin,
    pub(super) pod: Option<Arc<str>>,
    pub(super) trial: Option<Trial>,
}

/// What has been tried.
#[derive(Default)]
pub(super) struct Tried {
    pub(super) endpoints: Vec<SocketAddr>,
    /// Those of them that could not be connected to.
    unreachable: Vec<SocketAddr>,
}

impl Tried {
    /// Takes the failure of an attempt.
    pub(super) fn failed(&mut self, endpoint: SocketAddr, failed: Failed) {
        if failed.unsent && failed.cause.blame() == Blame::Connectivity {
            self.unreachable.push(endpoint);
        }
    }
}

impl Attempts<'_> {
    /// The next endpoint, once it may be tried; or why there is none. Another one is tried at once, one
    /// that was tried before only after a wait; neither if what is left would not do for it.
    pub(super) async fn next(&self, tried: &Tried) -> Result<Chosen, (Cause, Stop)> {
        let choose = || {
            self.choose(tried)
                .map_err(|cause| (cause, Stop::NoEndpoint))
        };
        let chosen = choose()?;
        if tried.endpoints.is_empty() {
            return Ok(chosen);
        }
        let pause = self.pause_before(&chosen.endpoint, tried);
        self.in_time(&chosen.endpoint, pause.unwrap_or_default())?;
        let Some(pause) = pause else {
            return Ok(chosen);
        };
        tokio::time::sleep(pause).await;
        self.wait_for_another(&chosen.endpoint, tried).await;
        // Endpoints came and went meanwhile.
        let chosen = choose()?;
        self.in_time(&chosen.endpoint, Duration::ZERO)?;
        Ok(chosen)
    }

    /// Chooses an endpoint. A request may be what a half-open endpoint is tried with; one whose
    /// ejection is over is connected to on the side.
    fn choose(&self, tried: &Tried) -> Result<Chosen, Cause> {
        let affinity = self.affinity.as_deref();
        let Choice {
            endpoint,
            pin,
            pod,
            trial,
            due,
            stands_back,
        } = self.upstream.choose(&Wish {
            tried: &tried.endpoints,
            unreachable: &tried.unreachable,
            may_try: tried.endpoints.is_empty(),
            repeatable: self.is_repeatable(),
            last: self.progress.attempts + 1 >= self.policy.retry.attempts,
            key: affinity.and_then(Affinity::key),
            pins: affinity.map(Affinity::pins).unwrap_or_default(),
        })?;
        if let Some(due) = due {
            let how = Opening {
                worker: self.worker,
                within: self.policy.timeouts.connect,
                addresses: self.registry.address_rules().clone(),
                permit: self.upstream.background_permit(),
                pool: self.upstream.policy().connection_pool,
                tls: self.upstream.tls().cloned(),
            };
            let rules = self.upstream.policy().outlier_detection.clone();
            tokio::spawn(due.open(rules, how, Arc::clone(self.upstream.metrics())));
        }
        // Nothing else is asked where there is no help, or it was asked already.
        if stands_back && self.fallback.is_some() {
            return Err(Cause::NoEndpoints);
        }
        Ok(Chosen {
            endpoint,
            pin,
            pod,
            trial,
        })
    }

    /// Whether something could follow its first attempt, should that be one that fails.
    fn is_repeatable(&self) -> bool {
        let retry = &self.policy.retry;
        let kept = |length| length <= retry.buffer_bytes as u64;
        let upload = self.upload.as_ref();
        self.progress.idempotent
            && upload.is_none_or(|upload| upload.length().is_some_and(kept))
            && (retry.attempts > 1 || self.fallback.is_some())
    }

    /// The wait before an endpoint that was tried before.
    fn pause_before(&self, endpoint: &Endpoint, tried: &Tried) -> Option<Duration> {
        let repeats = tried
            .endpoints
            .iter()
            .filter(|address| **address == endpoint.address())
            .count();
        let repeats = u32::try_from(repeats).ok().filter(|repeats| *repeats > 0)?;
        let random = with_rng(|rng| rng.random());
        Some(backoff(&self.policy.retry, repeats, random))
    }

    /// Whether an attempt on this endpoint is worth its beginning after a wait.
    fn in_time(&self, endpoint: &Endpoint, pause: Duration) -> Result<(), (Cause, Stop)> {
        let after = pause.saturating_add(self.connecting_takes(endpoint));
        let Some(stop) = too_late(&self.policy.retry, self.time(), after) else {
            return Ok(());
        };
        let failed = self.made.last().and_then(|attempt| attempt.cause);
        Err((failed.unwrap_or_else(|| self.clock.over()), stop))
    }

    fn connecting_takes(&self, endpoint: &Endpoint) -> Duration {
        match endpoint.has_idle(self.worker) {
            true => Duration::ZERO,
            false => endpoint.usual_connect(),
        }
    }

    /// An ejected endpoint that is being connected to is worth a wait: the one that failed is down. But
    /// that one is tried again in time, if it stays the only one.
    async fn wait_for_another(&self, again: &Endpoint, tried: &Tried) {
        let retry = &self.policy.retry;
        let spare = can_wait(retry, self.time(), self.connecting_takes(again));
        let longest = retry.backoff_max.min(self.connect_time()).min(spare);
        let deadline = Instant::now() + longest;
        loop {
            let mut ended = pin!(self.upstream.background());
            // From here on it hears of everything, so that it looks first and waits then.
            ended.as_mut().enable();
            let under_way = self.upstream.is_connecting(&tried.endpoints);
            if !under_way || timeout_at(deadline, ended).await.is_err() {
                return;
            }
        }
    }
}
