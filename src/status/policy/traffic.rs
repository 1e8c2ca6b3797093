//! What of a status depends on requests, and on the other replicas.

use k8s_openapi::jiff::Timestamp;

use super::{Speaker, Verdict, bad};
use crate::api::status::{Ancestor, Condition, LastFailure, UpstreamStatus};
use crate::diagnose::judge::{self, Said, UpstreamVerdict};
use crate::failure::Trouble;
use crate::report::ObjectRef;

/// As many upstreams as are told of a target.
const MOST_UPSTREAMS: usize = 8;

/// Replicas that are named.
const NAMED: usize = 3;

/// A generation that not every replica serves yet.
pub(super) const PENDING: &str = "Pending";

impl Speaker<'_> {
    /// The conditions that depend on requests.
    pub(super) fn observed(
        self,
        said: Option<&Said>,
        generation: i64,
        known: &[Condition],
    ) -> Vec<Condition> {
        let verdicts = said.iter().flat_map(|it| &it.verdicts);
        verdicts
            .map(|verdict| self.of_traffic(verdict, generation, known))
            .collect()
    }

    fn of_traffic(
        self,
        verdict: &judge::Verdict,
        generation: i64,
        known: &[Condition],
    ) -> Condition {
        let status = match verdict.status {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        };
        let before = known.iter().find(|it| it.type_ == verdict.condition);
        let since = before.filter(|it| it.status == status);
        Condition {
            type_: verdict.condition.to_owned(),
            status: status.to_owned(),
            reason: verdict.reason.to_owned(),
            message: verdict.message.clone(),
            last_transition_time: since
                .map_or_else(|| self.now.to_owned(), |it| it.last_transition_time.clone()),
            observed_generation: Some(generation),
        }
    }

    /// That some replicas do not serve this generation yet; what was said to be served everywhere is.
    pub(super) fn pending(
        self,
        policy: &ObjectRef,
        generation: i64,
        known: &[Condition],
    ) -> Option<Verdict> {
        let behind = &self.judged.reach.get(policy)?.behind;
        if behind.is_empty() {
            return None;
        }
        let was = |it: &Condition| {
            it.type_ == "Programmed"
                && it.status == "True"
                && it.observed_generation == Some(generation)
        };
        if known.iter().any(was) {
            return None;
        }
        let mut names = behind.iter().take(NAMED).cloned().collect::<Vec<_>>();
        if behind.len() > NAMED {
            names.push(format!("{} more", behind.len() - NAMED));
        }
        let message = format!("not served yet by every replica: {}", names.join(", "));
        Some(bad(PENDING, message))
    }
}

/// Whether all is as it should be at a target.
pub(super) fn is_good(ancestor: &Ancestor) -> bool {
    let tells_of_trouble = |it: &Condition| {
        let mut troubles = Trouble::ALL.iter();
        troubles.any(|trouble| trouble.condition() == it.type_)
    };
    let mut conditions = ancestor.conditions.iter().flatten();
    conditions.all(|it| match tells_of_trouble(it) {
        true => it.status != "True",
        false => it.status == "True",
    })
}

/// The upstreams of a target, those that are not well first.
pub(super) fn upstreams(said: Option<&Said>) -> Option<Vec<UpstreamStatus>> {
    let upstreams = said.iter().flat_map(|it| &it.upstreams);
    let upstreams: Vec<_> = upstreams.take(MOST_UPSTREAMS).map(upstream).collect();
    (!upstreams.is_empty()).then_some(upstreams)
}

fn upstream(verdict: &UpstreamVerdict) -> UpstreamStatus {
    let endpoints = &verdict.endpoints;
    UpstreamStatus {
        name: endpoints.upstream.clone(),
        ready: endpoints.ready.into(),
        ejected: endpoints.ejected.into(),
        probed_down: endpoints.probed_down.into(),
        last_failure: verdict.last_failure.map(|(cause, at)| LastFailure {
            reason: cause.reason().to_owned(),
            time: time(at),
        }),
    }
}

fn time(second: u64) -> String {
    let second = i64::try_from(second).unwrap_or(0);
    let time = Timestamp::from_second(second).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
