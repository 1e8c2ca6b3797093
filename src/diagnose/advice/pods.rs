//! What the Pods themselves tell: they ended, end, or have only just begun.

use std::time::Duration;

use jiff::Timestamp;

use crate::report::facts::{ContainerFacts, PodFacts, Termination};

use super::situation::Situation;
use super::words::{count, list};
use super::{Advice, Code};

/// For how long the end of a container explains failures.
const LATELY: Duration = Duration::from_secs(300);

/// For how long a new Pod may be the reason.
const JUST_NOW: Duration = Duration::from_secs(30);

/// For how long a new version counts as new.
const NEW: Duration = Duration::from_secs(3600);

/// Their state, if it explains failures whatever they look like.
pub(super) fn state(it: &Situation<'_>) -> Option<Advice> {
    ended(it).or_else(|| leaving(it)).or_else(|| starting(it))
}

/// One of the failing Pods' containers ended of late, or cannot be started.
pub(super) fn ended(it: &Situation<'_>) -> Option<Advice> {
    let pods = it.failing();
    let containers = pods.iter().flat_map(|pod| {
        pod.containers
            .iter()
            .map(move |container| (*pod, container))
    });
    let mut last: Option<(&PodFacts, &ContainerFacts, &Termination)> = None;
    let mut stuck = None;
    for (pod, container) in containers {
        match (&container.ended, &container.waiting) {
            (Some(ended), waiting)
                if (waiting.is_some() || lately(ended.at, it, LATELY))
                    && last.is_none_or(|(_, _, other)| other.at < ended.at) =>
            {
                last = Some((pod, container, ended));
            }
            (None, Some(waiting)) if waiting != "ContainerCreating" => {
                stuck = Some((pod, container, waiting));
            }
            _ => {}
        }
    }
    if let Some((pod, container, ended)) = last {
        return Some(termination(it, pod, container, ended));
    }
    stuck.map(|(pod, container, waiting)| {
        let (name, pod) = (it.name(&container.name), it.name(&pod.name));
        let sentence = format!(
            "Container {name} of Pod {pod} cannot be started: {waiting}. See why with kubectl describe \
             pod{} {pod}.",
            it.in_namespace()
        );
        Advice::of(Code::CannotStart, sentence)
    })
}

fn termination(
    it: &Situation<'_>,
    pod: &PodFacts,
    container: &ContainerFacts,
    ended: &Termination,
) -> Advice {
    let (name, pod) = (it.name(&container.name), it.name(&pod.name));
    let at = ended
        .at
        .map(|at| format!(" at {}", it.time(at)))
        .unwrap_or_default();
    let restarts = count(container.restarts, "restart");
    if ended.reason == "OOMKilled" {
        let limit = container.memory.as_deref();
        let limit = limit.map_or("its limit".to_owned(), |it| format!("its limit of {it}"));
        let sentence = format!(
            "Container {name} of Pod {pod} was OOMKilled{at} ({restarts}): it took more memory than \
             {limit}. Raise resources.limits.memory, or find out what grows in it."
        );
        return Advice::of(Code::OutOfMemory, sentence);
    }
    let waiting = container.waiting.as_deref();
    let waiting = waiting.map(|it| format!(", now {it}")).unwrap_or_default();
    let code = ended.exit_code;
    let next = match code {
        // 128 and SIGKILL: not by its own will.
        137 => format!(
            "Something killed it, often a failing liveness probe: kubectl describe pod{} {pod}.",
            it.in_namespace()
        ),
        _ => format!(
            "See why with kubectl logs{} {pod} -c {name} --previous.",
            it.in_namespace()
        ),
    };
    let sentence = format!(
        "Container {name} of Pod {pod} ended with exit code {code} ({}){at} ({restarts}{waiting}). {next}",
        it.name(&ended.reason)
    );
    Advice::of(Code::ContainerEnded, sentence)
}

/// One of the failing Pods is being deleted, or is gone already.
pub(super) fn leaving(it: &Situation<'_>) -> Option<Advice> {
    const NEXT: &str = "Have the app finish what is in flight after SIGTERM and go on accepting for a \
                        few seconds, for instance with a preStop sleep of 5 s.";
    let pods = it.failing();
    if let Some(pod) = pods.iter().find(|pod| pod.deleted.is_some()) {
        let since = pod.deleted.map(|at| it.time(at)).unwrap_or_default();
        let pod = it.name(&pod.name);
        let sentence = format!(
            "Pod {pod} is being deleted (since {since}) and stopped serving before it had left the \
             endpoints. {NEXT}"
        );
        return Some(Advice::of(Code::PodTerminating, sentence));
    }
    if it.facts.pods.is_none() || it.facts.more_pods {
        return None;
    }
    let exists = |name: &str| it.pods().iter().any(|pod| pod.name == name);
    let named = it
        .problem
        .samples
        .iter()
        .filter_map(|sample| sample.pod.as_deref());
    let gone: Vec<String> = named
        .filter(|name| !exists(name))
        .map(|name| it.name(name))
        .collect();
    let all = !gone.is_empty() && gone.len() == it.problem.samples.len();
    all.then(|| {
        let mut gone = gone;
        gone.sort();
        gone.dedup();
        let pods = list(&gone).unwrap_or_default();
        let (plural, is) = if gone.len() == 1 { ("", "is") } else { ("s", "are") };
        let sentence = format!(
            "Pod{plural} {pods} {is} gone by now, and stopped serving before having left the endpoints. \
             {NEXT}"
        );
        Advice::of(Code::PodTerminating, sentence)
    })
}

/// One of the failing Pods does not serve yet.
pub(super) fn starting(it: &Situation<'_>) -> Option<Advice> {
    let pods = it.failing();
    if let Some(pod) = pods.iter().find(|pod| !pod.ready && pod.phase != "Unknown") {
        let port = it.endpoint_port();
        let port = port
            .map(|port| format!(" on port {port}"))
            .unwrap_or_default();
        let since = pod.ready_since.or(pod.created);
        let since = since
            .map(|at| format!(" (since {})", it.time(at)))
            .unwrap_or_default();
        let pod = it.name(&pod.name);
        let sentence = format!(
            "Pod {pod} is not Ready{since} and does not serve{port}. Wait until it does, or see what \
             its readiness probe says: kubectl describe pod{} {pod}.",
            it.in_namespace()
        );
        return Some(Advice::of(Code::StillStarting, sentence));
    }
    let unprobed = |pod: &&&PodFacts| {
        lately(pod.ready_since, it, JUST_NOW) && !pod.containers.iter().any(|it| it.probed)
    };
    let pod = pods.iter().find(unprobed)?;
    let at = pod.ready_since.map(|at| it.time(at)).unwrap_or_default();
    let sentence = format!(
        "Pod {} counts as Ready since {at} though it has no readiness probe, and likely did not listen \
         yet. Add a readinessProbe, so that requests reach it only when it serves.",
        it.name(&pod.name)
    );
    Some(Advice::likely(Code::StillStarting, sentence))
}

/// Only Pods of the newest version fail, and there are others.
pub(super) fn new_version(it: &Situation<'_>) -> Option<Advice> {
    let failing = it.failing();
    let newest = failing.first()?.revision.as_deref()?;
    let of = |pod: &&PodFacts| pod.revision.as_deref() == Some(newest);
    if !failing.iter().all(of) {
        return None;
    }
    let others = || it.pods().iter().filter(|pod| !of(pod));
    let first = it
        .pods()
        .iter()
        .filter(of)
        .filter_map(|pod| pod.created)
        .min()?;
    let older = others().filter_map(|pod| pod.created).min()?;
    if older >= first || !lately(Some(first), it, NEW) {
        return None;
    }
    let undo = match failing.iter().find_map(|pod| pod.owner.as_deref()) {
        Some(owner) if owner.starts_with("deployment/") => format!(
            "kubectl rollout undo{} {}",
            it.in_namespace(),
            it.name(owner)
        ),
        _ => "go back to the version before".to_owned(),
    };
    let sentence = format!(
        "Only Pods of the newest version ({}, since {}) fail, those of the version before do not: \
         likely the new version is the reason. See {}, or {undo}.",
        it.name(newest),
        it.time(first),
        it.log()
    );
    Some(Advice::likely(Code::NewVersionFails, sentence))
}

fn lately(at: Option<Timestamp>, it: &Situation<'_>, within: Duration) -> bool {
    let age = at.map(|at| it.facts.at.duration_since(at));
    age.is_some_and(|age| age.unsigned_abs() <= within)
}
