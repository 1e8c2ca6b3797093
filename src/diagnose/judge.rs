//! What is said of each object, and for how long: the memory of whoever leads.
//!
//! Each second it looks at what all replicas reported. An object whose state or cause changed is told
//! anew, all of it in one, as its pace allows; while a state lasts, the words of a policy are refreshed
//! now and then, and those of an Ingress not at all. Words about trouble wait a moment for the facts
//! that explain it. What stands on the objects already is where a new leader begins.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use crate::failure::{Cause, Trouble};
use crate::report::facts::{Facts, Problem};
use crate::report::policy::{PolicyReport, PolicyTarget};
use crate::report::{Kind, ObjectRef};
use crate::routing::snapshot::{ServicePort, UpstreamId};

use super::generations::Reach;
use super::hysteresis::{Matter, Pace, Permit};
use super::merge::{Merged, Routes, Scope, Sum, ingress};
use part::{Part, Seen};

pub use part::{Said, UpstreamVerdict, Verdict};

mod breaker;
mod part;
pub mod seed;

/// After which words about a state that lasts are put anew.
const REFRESH: u64 = 5 * 60;

/// After which counts of endpoints that changed are put anew, beside what is said in words: often enough for
/// whoever looks, and bounded where endpoints come and go.
const RECOUNT: u64 = 2 * 60;

/// How long words wait for facts, and for a request that shows what they are about.
const PATIENCE: u64 = 3;

/// For how long facts are good enough for news: what is new may be so because something changed since.
pub const RECENT: u64 = 5;

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
    /// For how long connections to upstreams may idle.
    pub idle_timeouts: &'a BTreeMap<String, Duration>,
    /// What is known of Services.
    pub facts: &'a Known,
}

/// What was found out of Services, by namespace and name, and when: by the clock of [`Scene::now`], since
/// that of the machine may be set.
pub type Known = HashMap<(String, String), (u64, Facts)>;

impl Scene<'_> {
    /// Whether recent facts are known of a Service.
    fn knows(&self, service: &(String, String)) -> bool {
        let found = self.facts.get(service);
        found.is_some_and(|(at, _)| self.now <= at + RECENT)
    }
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
    /// How far the present generation of each policy has come.
    pub reach: BTreeMap<ObjectRef, Reach>,
}

impl Judged {
    /// Whether it is known who serves this generation.
    pub fn has_looked_at(&self, policy: &PolicyReport) -> bool {
        let reach = self.reach.get(&policy.object);
        reach.is_some_and(|it| it.generation == policy.generation)
    }
}

/// Decides what is said.
#[derive(Debug)]
pub struct Judge {
    objects: BTreeMap<ObjectRef, Object>,
    seeds: seed::Seeds,
    said: Judgement,
    /// The Services of which nothing recent is known that is needed.
    wanted: Vec<(String, String)>,
}

/// What an object is judged by.
#[derive(Debug, Default)]
struct Subject<'a> {
    /// The targets that it has besides itself.
    targets: Vec<PolicyTarget>,
    /// The upstreams that it limits.
    limited: &'a [UpstreamId],
}

/// What is said of one object, the whole first.
#[derive(Debug, Default)]
struct Object {
    pace: Pace,
    parts: BTreeMap<Option<PolicyTarget>, Part>,
    refreshed: u64,
    /// When counts were put last.
    counted: u64,
    /// What of it has changed too often, and stays as it is said.
    alternates: BTreeSet<Matter>,
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
        for (object, subject) in self.subjects(scene, &objects) {
            let mut state = objects.remove(&object).unwrap_or_default();
            self.look_at(scene, (&object, &subject), &mut state);
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

    /// What has to be looked at.
    fn subjects<'a>(
        &self,
        scene: &Scene<'a>,
        known: &BTreeMap<ObjectRef, Object>,
    ) -> BTreeMap<ObjectRef, Subject<'a>> {
        let mut subjects: BTreeMap<ObjectRef, Subject<'a>> = BTreeMap::new();
        for policy in scene.policies {
            let targets = policy.targets.iter().filter(|it| it.rejection.is_none());
            let targets: Vec<_> = targets.map(|it| it.target.clone()).collect();
            if !targets.is_empty() {
                let subject = Subject {
                    targets,
                    limited: &policy.limited,
                };
                subjects.insert(policy.object.clone(), subject);
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
        (object, subject): (&ObjectRef, &Subject<'_>),
        state: &mut Object,
    ) {
        let Subject { targets, limited } = subject;
        let breaks = (!limited.is_empty()).then(|| scene.seen.turning_away(limited));
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
            let seen = match object.kind {
                Kind::Ingress => Seen::of_requests(scene, &scopes),
                _ => Seen::of(scene, &scopes),
            };
            let turning_away = breaks.clone().filter(|_| target.is_none());
            part.judge(scene.now, seen, turning_away);
            state.parts.insert(target, part);
        }
        let policy = object.kind == Kind::GatewayPolicy;
        if !state.is_due(scene.now, policy) {
            state.waiting = None;
            if policy {
                state.recount(scene.now);
            }
        } else if self.is_explained(scene, state) {
            state.tell(scene);
        }
    }

    /// Whether all is known that words need, or has been waited for long enough.
    fn is_explained(&mut self, scene: &Scene<'_>, state: &mut Object) -> bool {
        let needed = state.parts.values().flat_map(Part::services);
        let missing = needed.filter(|it| !scene.knows(it));
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

    fn any(&self, matter: Matter, what: impl Fn(&Part, Matter) -> bool) -> bool {
        self.parts.values().any(|part| what(part, matter))
    }

    /// Whether there is something new to say, and it may be said.
    fn is_due(&mut self, now: u64, refreshes: bool) -> bool {
        if self.parts.values().all(Part::is_new) {
            return true;
        }
        let (mut due, mut news, mut lasts) = (false, false, false);
        for matter in Matter::ALL {
            if self.any(matter, Part::has_news) {
                news = true;
                due |= match self.permit(now, matter) {
                    Permit::Granted => true,
                    Permit::Soon => false,
                    // Said once; what is said stays.
                    Permit::Alternates => !self.alternates.contains(&matter),
                };
            } else if self.any(matter, Part::is_troubled) {
                lasts = true;
            } else {
                self.alternates.remove(&matter);
            }
        }
        due || (!news && refreshes && lasts && now >= self.refreshed + REFRESH)
    }

    /// Whether what is new of this may be said.
    fn permit(&mut self, now: u64, matter: Matter) -> Permit {
        let begins = self.any(matter, Part::begins);
        self.pace.ask(now, (matter, begins))
    }

    /// Puts counts anew that changed, without a word.
    fn recount(&mut self, now: u64) {
        let changed = self.parts.values().any(Part::counts_otherwise);
        if changed && now >= self.counted + RECOUNT {
            self.parts.values_mut().for_each(Part::recount);
            self.counted = now;
        }
    }

    /// How words about it are put, where there is news that may be said or not.
    fn manner(&mut self, matter: Matter, news: Option<Permit>) -> Manner {
        match news {
            Some(Permit::Granted) => self.alternates.remove(&matter),
            Some(Permit::Alternates) => self.alternates.insert(matter),
            Some(Permit::Soon) | None => false,
        };
        Manner {
            holds: news.is_some_and(|permit| permit != Permit::Granted),
            alternates: self.alternates.contains(&matter),
        }
    }

    /// Puts into words what is so now.
    fn tell(&mut self, scene: &Scene<'_>) {
        let now = scene.now;
        let first = self.parts.values().all(Part::is_new);
        let of = Matter::ALL.map(|matter| {
            let news = self.any(matter, Part::has_news);
            let permit = match first {
                true => Permit::Granted,
                false => self.permit(now, matter),
            };
            (matter, news.then_some(permit))
        });
        let [failures, limits] = of.map(|(matter, news)| self.manner(matter, news));
        let told = of.iter().filter(|(_, news)| *news == Some(Permit::Granted));
        for (matter, _) in told.filter(|_| !first) {
            self.pace.changed(now, *matter);
        }
        for part in self.parts.values_mut() {
            part.tell(scene, failures, limits);
        }
        self.refreshed = now;
        self.counted = now;
        self.waiting = None;
    }
}

/// How words about one matter are put.
#[derive(Clone, Copy, Debug)]
struct Manner {
    /// What is said stays, though something else is so by now.
    holds: bool,
    /// It has changed too often.
    alternates: bool,
}

/// What is to be explained.
pub(super) fn problem(cause: Cause, sum: &Sum, scene: &Scene<'_>) -> Problem {
    let mut problem = Problem::of(cause);
    let requests = sum.requests;
    let Some(sum) = sum.cause(cause) else {
        return problem;
    };
    problem.upstream = ServicePort::parse(&sum.upstream);
    problem.samples.clone_from(&sum.samples);
    (problem.failed, problem.requests) = (sum.count, requests);
    // Upstreams of one Service are not told apart here.
    problem.limits = scene.seen.limits(&sum.upstream).into_iter().collect();
    problem.latency = scene.seen.latency(&sum.upstream);
    problem.idle_timeout = scene.idle_timeouts.get(&sum.upstream).copied();
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
