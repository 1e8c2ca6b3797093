//! What is said of each object, and for how long: the memory of whoever leads.
//!
//! Each second it looks at what all replicas reported. An object whose state or cause changed is told
//! anew, all of it in one, as its pace allows; while a state lasts, the words of a policy are refreshed
//! now and then, and those of an Ingress not at all. Words about trouble wait a moment for the facts
//! that explain it. What stands on the objects already is where a new leader begins.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::failure::{Cause, Trouble};
use crate::report::facts::{Facts, Problem};
use crate::report::policy::{PolicyReport, PolicyTarget};
use crate::report::{Kind, ObjectRef, Overload};
use crate::routing::snapshot::ServicePort;

use super::hysteresis::{Pace, Permit};
use super::merge::{Merged, Routes, Scope, Sum, ingress};
use part::{Part, Seen};

pub use part::{Said, UpstreamVerdict, Verdict};

mod part;
pub mod seed;

/// After which words about a state that lasts are put anew.
const REFRESH: u64 = 5 * 60;

/// How long words wait for facts, and for a request that shows what they are about.
const PATIENCE: u64 = 3;

/// What there is to look at.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// Now.
    pub now: u64,
    /// What all replicas saw.
    pub seen: &'a Merged<'a>,
    /// What is served.
    pub routes: &'a Routes<'a>,
    /// What became of each policy.
    pub policies: &'a [PolicyReport],
    /// The upstreams that turn requests away.
    pub overloads: &'a [Overload],
    /// What is known of Services, by namespace and name.
    pub facts: &'a HashMap<(String, String), Facts>,
}

/// What is to be said of all objects.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judgement {
    /// Of Ingresses: those with trouble, and those that had some lately.
    pub ingresses: BTreeMap<ObjectRef, Said>,
    /// Of policies, as a whole.
    pub policies: BTreeMap<ObjectRef, Said>,
    /// Of policies, at one target.
    pub targets: BTreeMap<(ObjectRef, PolicyTarget), Said>,
}

/// What whoever leads has found out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judged {
    /// What is to be said.
    pub said: Judgement,
    /// The replicas that do not serve the generation of a policy yet, by policy.
    pub pending: BTreeMap<ObjectRef, Vec<String>>,
}

/// Decides what is said.
#[derive(Debug)]
pub struct Judge {
    objects: BTreeMap<ObjectRef, Object>,
    seeds: seed::Seeds,
    said: Judgement,
    /// The Services of which nothing is known yet that is needed.
    wanted: Vec<(String, String)>,
}

/// What is said of one object, the whole first.
#[derive(Debug, Default)]
struct Object {
    pace: Pace,
    parts: BTreeMap<Option<PolicyTarget>, Part>,
    refreshed: u64,
    alternates: bool,
    /// Since when its words wait.
    waiting: Option<u64>,
}

impl Judge {
    /// One that begins with what stands on the objects.
    pub fn new(seeds: seed::Seeds) -> Self {
        Self {
            objects: BTreeMap::new(),
            seeds,
            said: Judgement::default(),
            wanted: Vec::new(),
        }
    }

    /// Looks again; whether there is something else to say than before.
    pub fn look(&mut self, scene: &Scene<'_>) -> bool {
        self.wanted.clear();
        let mut objects = std::mem::take(&mut self.objects);
        let mut kept = BTreeMap::new();
        for (object, targets) in self.subjects(scene, &objects) {
            let mut state = objects.remove(&object).unwrap_or_default();
            self.look_at(scene, (&object, &targets), &mut state);
            if object.kind == Kind::GatewayPolicy || !state.is_over(scene.now) {
                kept.insert(object, state);
            }
        }
        self.objects = kept;
        let said = self.collect();
        let changed = said != self.said;
        self.said = said;
        changed
    }

    /// What is to be said.
    pub fn said(&self) -> &Judgement {
        &self.said
    }

    /// The Services that ought to be looked up, namespace and name.
    pub fn wanted(&self) -> &[(String, String)] {
        &self.wanted
    }

    /// What has to be looked at, each with the targets that it has besides itself.
    fn subjects(
        &self,
        scene: &Scene<'_>,
        known: &BTreeMap<ObjectRef, Object>,
    ) -> BTreeMap<ObjectRef, Vec<PolicyTarget>> {
        let mut subjects: BTreeMap<ObjectRef, Vec<PolicyTarget>> = BTreeMap::new();
        for policy in scene.policies {
            let targets = policy.targets.iter().filter(|it| it.rejection.is_none());
            let targets: Vec<_> = targets.map(|it| it.target.clone()).collect();
            if !targets.is_empty() {
                subjects.insert(policy.object.clone(), targets);
            }
        }
        let known = known.keys().chain(self.seeds.objects());
        let known = known.filter(|it| it.kind == Kind::Ingress).cloned();
        for object in known.chain(scene.seen.failing().map(ingress)) {
            subjects.entry(object).or_default();
        }
        subjects
    }

    fn look_at(
        &mut self,
        scene: &Scene<'_>,
        (object, targets): (&ObjectRef, &[PolicyTarget]),
        state: &mut Object,
    ) {
        let whole = match object.kind {
            Kind::Ingress => vec![Scope::Ingress(&object.namespace, &object.name)],
            _ => targets.iter().map(Scope::of).collect(),
        };
        let targets = targets.iter();
        let scopes = targets.map(|it| (Some(it.clone()), vec![Scope::of(it)]));
        let mut before = std::mem::take(&mut state.parts);
        for (target, scopes) in std::iter::once((None, whole)).chain(scopes) {
            let mut part = before.remove(&target).unwrap_or_else(|| {
                let seeds = self.seeds.take(object, target.as_ref());
                Part::new(scene.now, seeds)
            });
            part.judge(scene.now, Seen::of(scene, &scopes));
            state.parts.insert(target, part);
        }
        if !state.is_due(scene.now, object.kind == Kind::GatewayPolicy) {
            state.waiting = None;
        } else if self.is_explained(scene, state) {
            state.tell(scene);
        }
    }

    /// Whether all is known that words need, or has been waited for long enough.
    fn is_explained(&mut self, scene: &Scene<'_>, state: &mut Object) -> bool {
        let needed = state.parts.values().flat_map(Part::services);
        let missing = needed.filter(|it| !scene.facts.contains_key(it));
        let before = self.wanted.len();
        self.wanted.extend(missing);
        let illustrated = state.parts.values().all(Part::is_illustrated);
        if illustrated && self.wanted.len() == before {
            state.waiting = None;
            return true;
        }
        let since = *state.waiting.get_or_insert(scene.now);
        scene.now >= since + PATIENCE
    }

    fn collect(&self) -> Judgement {
        let mut said = Judgement::default();
        for (object, state) in &self.objects {
            for (target, part) in &state.parts {
                let words = part.said().clone();
                match (object.kind, target) {
                    (Kind::Ingress, _) => said.ingresses.insert(object.clone(), words),
                    (_, None) => said.policies.insert(object.clone(), words),
                    (_, Some(target)) => {
                        let key = (object.clone(), target.clone());
                        said.targets.insert(key, words)
                    }
                };
            }
        }
        said
    }
}

impl Object {
    /// Whether nothing is left to be said of an Ingress.
    fn is_over(&self, now: u64) -> bool {
        self.pace.is_calm(now) && self.parts.values().all(Part::is_well)
    }

    /// Whether there is something new to say, and it may be said.
    fn is_due(&mut self, now: u64, refreshes: bool) -> bool {
        let news = self.parts.values().any(Part::has_news);
        if !news {
            let lasts = self.parts.values().any(Part::is_troubled);
            self.alternates &= lasts;
            return refreshes && lasts && now >= self.refreshed + REFRESH;
        }
        if self.parts.values().all(Part::is_new) {
            return true;
        }
        let begins = self.parts.values().any(Part::begins);
        match self.pace.ask(now, begins) {
            Permit::Granted => true,
            Permit::Soon => false,
            // Said once; what is said stays.
            Permit::Alternates => !self.alternates,
        }
    }

    /// Puts into words what is so now.
    fn tell(&mut self, scene: &Scene<'_>) {
        let now = scene.now;
        let first = self.parts.values().all(Part::is_new);
        let news = self.parts.values().any(Part::has_news);
        let begins = self.parts.values().any(Part::begins);
        let may = first || self.pace.ask(now, begins) == Permit::Granted;
        if news {
            self.alternates = !may;
            if may && !first {
                self.pace.changed(now);
            }
        }
        let manner = Manner {
            holds: news && !may,
            alternates: self.alternates,
        };
        for part in self.parts.values_mut() {
            part.tell(scene, manner);
        }
        self.refreshed = now;
        self.waiting = None;
    }
}

/// How words are put.
#[derive(Clone, Copy, Debug)]
struct Manner {
    /// What is said stays, though something else is so by now.
    holds: bool,
    /// It has changed too often.
    alternates: bool,
}

/// What is to be explained.
pub(super) fn problem(cause: Cause, sum: &Sum, overloads: &[Overload]) -> Problem {
    let mut problem = Problem::of(cause);
    let requests = sum.requests;
    let Some(sum) = sum.cause(cause) else {
        return problem;
    };
    problem.upstream = ServicePort::parse(&sum.upstream);
    problem.samples.clone_from(&sum.samples);
    (problem.failed, problem.requests) = (sum.count, requests);
    // Upstreams of one Service are not told apart here.
    let its = |it: &&Overload| Some(&it.upstream.service) == problem.upstream.as_ref();
    let limits = overloads.iter().filter(its).flat_map(|it| &it.limits);
    let limits: BTreeSet<&str> = limits.copied().collect();
    problem.limits = limits.into_iter().collect();
    problem
}

/// The worst trouble of those that are said.
pub fn worst(said: &Said) -> Option<Trouble> {
    Trouble::ALL.into_iter().find(|trouble| {
        let mut verdicts = said.verdicts.iter();
        verdicts.any(|it| it.condition == trouble.condition() && it.is_trouble())
    })
}

#[cfg(test)]
mod tests;
