//! What the attempts of all workers say of an endpoint, and what follows for it.
//!
//! Only what this process observed itself counts: a stranger must not be able to have healthy
//! endpoints left out by asking for what the application answers with an error. An ejection is
//! decided under a lock of all upstreams that share the endpoint, so that two workers cannot leave out
//! the last two at once; it is taken only when an endpoint has failed too often. Counted are the
//! endpoints of the upstream itself: another one's probes may find fewer of them up.

use std::time::{Duration, Instant};

use crate::failure::{Blame, Cause};
use crate::routing::policy::upstream::OutlierDetection;

use super::balance::set::{EndpointSet, Member, Members};
use super::ejection::Fault;
use super::endpoint::Endpoint;
use super::live::Upstream;
use super::random::random;
use super::readmission::Trial;

/// When the last endpoint fails, or what stands in, the others are tried again this soon.
const IMPATIENT: Duration = Duration::from_secs(1);

impl Upstream {
    /// Whether an answer with this status counts as a failure of its endpoint.
    pub fn counts_against(&self, status: u16) -> bool {
        self.policy().outlier_detection.statuses.contains(&status)
    }

    /// Takes a failed attempt, or a response that broke off.
    pub fn attempt_failed(
        &self,
        endpoint: &Endpoint,
        (cause, trial): (Cause, Option<Trial>),
        now: Instant,
    ) {
        let rules = &self.policy().outlier_detection;
        let Some(fault) = fault(cause, rules) else {
            // An answer is what a trial is for.
            if let (Cause::RetriedStatus(_), Some(trial)) = (cause, trial) {
                trial.succeeded(now);
            }
            return;
        };
        endpoint.remember_failure(cause, now);
        if let Some(trial) = trial {
            return trial.failed(rules, now);
        }
        let percent = &rules.failure_percent;
        endpoint.window().failed(now);
        let in_a_row = endpoint.standing().failed(fault, rules);
        let totals = endpoint.window().totals(now, percent.window);
        if in_a_row || totals.reaches(percent.threshold, percent.min_requests) {
            self.eject(endpoint, cause, rules, now);
        }
    }

    /// Nothing else helped either: those that are left out are tried again soon.
    pub fn hasten(&self, now: Instant) {
        let _none = self.with_set(|set| hasten(set.usable().iter(), now));
    }

    /// Whether one of these may be left out; where it is the last, the others are tried again soon.
    fn may_eject(
        &self,
        endpoint: &Endpoint,
        members: &Members,
        rules: &OutlierDetection,
        now: Instant,
    ) -> bool {
        let others = members.iter();
        let others = others.filter(|it| it.endpoint.address() != endpoint.address());
        let closed = |it: &&Member| it.endpoint.standing().is_closed();
        let usable = others.clone().filter(closed).count();
        if usable == 0 && !self.policy().has_fallback {
            hasten(others, now);
            return false;
        }
        let ejected = others.count() - usable + 1;
        ejected * 100 <= members.len().max(1) * usize::from(rules.ejection.max_percent)
    }

    fn eject(&self, endpoint: &Endpoint, cause: Cause, rules: &OutlierDetection, now: Instant) {
        let _alone = self.shared.lock();
        let may = |set: &EndpointSet| self.may_eject(endpoint, set.usable(), rules, now);
        if !endpoint.standing().is_closed() || !self.with_set(may).unwrap_or(false) {
            return;
        }
        if endpoint.standing().eject(&rules.ejection, now, random()) {
            endpoint.ejected();
            tracing::warn!(
                upstream = %self.id(),
                endpoint = %endpoint.address(),
                cause = cause.label(),
                "endpoint ejected"
            );
        }
    }
}

fn hasten<'m>(members: impl Iterator<Item = &'m Member>, now: Instant) {
    members.for_each(|it| it.endpoint.standing().hasten(now + IMPATIENT));
}

/// Whether a failure is the endpoint's, and of which kind.
fn fault(cause: Cause, rules: &OutlierDetection) -> Option<Fault> {
    match cause {
        Cause::RetriedStatus(status) => rules.statuses.contains(&status).then_some(Fault::Answer),
        // It answered, and what the client asked for decides whether that is an upgrade.
        Cause::UpgradeFailed => None,
        _ => match cause.blame() {
            Blame::Endpoint => Some(Fault::Answer),
            Blame::Connectivity => Some(Fault::Connectivity),
            Blame::Configuration | Blame::Client | Blame::Gateway => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_the_application_counts_only_where_the_policy_lists_its_status() {
        let mut rules = OutlierDetection::default();
        assert_eq!(fault(Cause::RetriedStatus(502), &rules), None);
        rules.statuses = vec![502];
        assert_eq!(
            fault(Cause::RetriedStatus(502), &rules),
            Some(Fault::Answer)
        );
        assert_eq!(fault(Cause::RetriedStatus(503), &rules), None);
    }

    #[test]
    fn what_the_client_the_configuration_or_this_process_did_does_not_count() {
        let rules = OutlierDetection::default();
        let innocent = Cause::all().into_iter().filter(|cause| {
            matches!(
                cause.blame(),
                Blame::Client | Blame::Configuration | Blame::Gateway
            )
        });
        for cause in innocent.chain([Cause::UpgradeFailed]) {
            assert_eq!(fault(cause, &rules), None, "{}", cause.label());
        }
        for (cause, kind) in [
            (Cause::ConnectionRefused, Fault::Connectivity),
            (Cause::ConnectTimeout, Fault::Connectivity),
            (Cause::ConnectionReset, Fault::Answer),
            (Cause::ResponseTimeout, Fault::Answer),
            (Cause::BodyIncomplete, Fault::Answer),
        ] {
            assert_eq!(fault(cause, &rules), Some(kind), "{}", cause.label());
        }
    }
}
