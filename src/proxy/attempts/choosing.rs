//! Where the next attempt goes, and after what wait.

use std::net::SocketAddr;
use std::sync::Arc;

use rand::RngExt;

use crate::failure::{Blame, Cause};
use crate::upstream::balance::pin::EndpointPin;
use crate::upstream::balance::{Choice, Wish};
use crate::upstream::endpoint::Endpoint;
use crate::upstream::random::with_rng;
use crate::upstream::readmission::{Opening, Trial};

use super::super::affinity::Affinity;
use super::super::retry::{Failed, backoff};
use super::Attempts;

/// Where an attempt goes.
pub(super) struct Chosen {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) pin: EndpointPin,
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
    /// The next endpoint, once it may be tried.
    pub(super) async fn next(&self, tried: &Tried) -> Result<Chosen, Cause> {
        let chosen = self.choose(tried)?;
        if self.wait_before(&chosen.endpoint, tried).await? {
            // Endpoints came and went meanwhile.
            return self.choose(tried);
        }
        Ok(chosen)
    }

    /// Chooses an endpoint. A request may be what a half-open endpoint is tried with; one whose
    /// ejection is over is connected to on the side.
    fn choose(&self, tried: &Tried) -> Result<Chosen, Cause> {
        let affinity = self.affinity.as_deref();
        let Choice {
            endpoint,
            pin,
            trial,
            due,
            stands_back,
        } = self.upstream.choose(&Wish {
            tried: &tried.endpoints,
            unreachable: &tried.unreachable,
            may_try: tried.endpoints.is_empty(),
            repeatable: self.is_repeatable(),
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

    /// Another endpoint is tried at once, the same one only after a wait, if that leaves time for it;
    /// whether there was one.
    async fn wait_before(&self, endpoint: &Endpoint, tried: &Tried) -> Result<bool, Cause> {
        let repeats = tried
            .endpoints
            .iter()
            .filter(|address| **address == endpoint.address())
            .count();
        let Ok(repeats @ 1..) = u32::try_from(repeats) else {
            return Ok(false);
        };
        let random = with_rng(|rng| rng.random());
        let pause = backoff(&self.policy.retry, repeats, random);
        let outlasts = self.clock.left().is_some_and(|left| pause >= left)
            || self.clock.elapsed() + pause >= self.policy.retry.within;
        if outlasts {
            let failed = self.made.last().and_then(|attempt| attempt.cause);
            return Err(failed.unwrap_or(Cause::DeadlineExceeded));
        }
        tokio::time::sleep(pause).await;
        Ok(true)
    }
}
