//! Telling how requests fare: counting once a second, telling other replicas, and, while leading, deciding
//! what is said of each object.
//!
//! Everything here is read from counters or heard from a queue that may drop; nothing that serves waits for
//! it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use crate::admin::processed::Processed;
use crate::diagnose::answer_times::AnswerTimes;
use crate::diagnose::generations::{self, Generations, Silent};
use crate::diagnose::judge::{Judge, Judged, Known, RECENT, Scene};
use crate::diagnose::merge::{Merged, Routes};
use crate::diagnose::replica::{Gist, STALE, Teller, fit};
use crate::diagnose::window::{Reading, Windows};
use crate::report::facts::Facts;
use crate::report::traffic::{ReplicaReport, RouteKey, UpstreamReport};
use crate::report::{Kind, ObjectRef};
use crate::status::Observed;
use crate::stores::Source;
use crate::stores::facts::FactReader;
use crate::stores::reports::Others;
use crate::telemetry::metrics::Metrics;
use crate::upstream::registry::Registry;

use super::observing::Listener;

mod siblings;
mod standing;

/// How often is looked.
const LOOK: Duration = Duration::from_secs(1);

/// Facts are kept for so long.
const KEPT: Duration = Duration::from_secs(60);

/// A Service is looked up again after this, where there is news of it.
const AGAIN: Duration = Duration::from_secs(RECENT);

/// Services that are looked up at once.
const LOOKUPS: usize = 4;

/// Services that wait to be looked up.
const WAITING: usize = 256;

/// What this process sees of itself.
pub(super) struct Sight {
    pub(super) metrics: Arc<Metrics>,
    pub(super) registry: Arc<Registry>,
    pub(super) failures: Listener,
    pub(super) processed: watch::Receiver<Processed>,
    pub(super) observed: watch::Receiver<Option<Arc<Observed>>>,
}

/// Who it is, among whom.
pub(super) struct Place {
    /// Its name.
    pub(super) replica: String,
    /// As what policies are spoken of.
    pub(super) installation: String,
    pub(super) source: Source,
    pub(super) facts: FactReader,
    pub(super) leading: watch::Receiver<bool>,
    pub(super) others: watch::Receiver<Others>,
    /// The Service before the replicas, namespace and name, where it is known.
    pub(super) service: Option<(String, String)>,
}

impl Place {
    /// Without a cluster: it leads, and there is no other.
    pub(super) fn alone(source: Source, installation: String) -> Self {
        Self {
            replica: "standalone".to_owned(),
            installation,
            facts: FactReader::of_directory(source.clone()),
            source,
            leading: watch::channel(true).1,
            others: watch::channel(Others::new()).1,
            service: None,
        }
    }
}

/// Whom it tells.
pub(super) struct Audience {
    /// The other replicas.
    pub(super) reports: watch::Sender<Option<Arc<ReplicaReport>>>,
    /// Whoever writes statuses.
    pub(super) judged: watch::Sender<Option<Arc<Judged>>>,
}

/// What is remembered from one second to the next.
struct Memory {
    started: (Instant, Duration),
    windows: Windows,
    answer_times: AnswerTimes,
    teller: Teller,
    generations: Generations,
    silent: Silent,
    judge: Option<Judge>,
    facts: Known,
    asked: HashMap<(String, String), Instant>,
}

/// Looks once a second, until nothing is served any more.
pub(super) async fn run(mut sight: Sight, place: Place, audience: Audience) {
    let mut memory = Memory::new();
    let (ask, asked) = mpsc::channel(WAITING);
    let (found, mut facts) = mpsc::channel(WAITING);
    let reader = place.facts.clone();
    let lookups = look_up(reader, asked, found);
    let mut lookups = std::pin::pin!(lookups);
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = &mut lookups => return,
            failure = sight.failures.next() => match failure {
                Some(failure) => memory.windows.illustrate(memory.now(), &failure),
                None => return,
            },
            Some((service, found)) = facts.recv() => {
                memory.facts.insert(service, (memory.now(), found));
            }
            _ = ticks.tick() => memory.look(&sight, &place, (&audience, &ask)),
        }
    }
}

/// Looks Services up as they are asked for, a few at once.
async fn look_up(
    reader: FactReader,
    asked: mpsc::Receiver<(String, String)>,
    found: mpsc::Sender<((String, String), Facts)>,
) {
    use futures::StreamExt as _;
    let services =
        futures::stream::unfold(asked, async |mut asked| Some((asked.recv().await?, asked)));
    let look_up = async |(namespace, name): (String, String)| {
        let facts = reader.read(&namespace, &name).await;
        let _nobody_waits = found.send(((namespace, name), facts)).await;
    };
    services.for_each_concurrent(LOOKUPS, look_up).await;
}

impl Memory {
    fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            started: (Instant::now(), since.unwrap_or_default()),
            windows: Windows::default(),
            answer_times: AnswerTimes::default(),
            teller: Teller::default(),
            generations: Generations::default(),
            silent: Silent::default(),
            judge: None,
            facts: Known::new(),
            asked: HashMap::new(),
        }
    }

    /// In seconds since 1970; never goes back, whatever is done to the clock.
    fn now(&self) -> u64 {
        let (started, since) = self.started;
        (since + started.elapsed()).as_secs()
    }

    fn look(
        &mut self,
        sight: &Sight,
        place: &Place,
        (audience, ask): (&Audience, &mpsc::Sender<(String, String)>),
    ) {
        let now = self.now();
        let Some(observed) = sight.observed.borrow().clone() else {
            return;
        };
        self.windows.count(now, readings(&sight.metrics));
        let upstreams = sight.registry.health();
        let versions = Arc::clone(&sight.processed.borrow().versions);
        self.generations.see(&observed.policies, &versions);
        let mut own = self.report(now, (place, &upstreams), &versions);
        own.overloads = sight.registry.overloads(Instant::now());
        self.answer_times.count(now, sight.metrics.answers());
        own.latencies = self.answer_times.compare(now, &own.failing_upstreams());
        self.tell(now, &own, audience);
        if !*place.leading.borrow() {
            self.judge = None;
            self.silent = Silent::default();
            audience.judged.send_if_modified(|it| it.take().is_some());
            return;
        }
        self.asked.retain(|_, at| at.elapsed() < KEPT);
        let asked = &self.asked;
        self.facts.retain(|service, _| asked.contains_key(service));
        let judged = self.judge(now, (&own, &upstreams), (sight, place, &observed));
        audience.hears(judged);
        let wanted = self.judge.iter().flat_map(Judge::wanted);
        for service in wanted {
            let asked = self.asked.get(service);
            let due = asked.is_none_or(|at| at.elapsed() >= AGAIN);
            if due && ask.try_send(service.clone()).is_ok() {
                self.asked.insert(service.clone(), Instant::now());
            }
        }
    }

    fn report(
        &self,
        now: u64,
        (place, upstreams): (&Place, &[UpstreamReport]),
        versions: &HashMap<ObjectRef, String>,
    ) -> ReplicaReport {
        let policies = versions.iter();
        let policies = policies.filter(|(object, _)| object.kind == Kind::GatewayPolicy);
        let newest = generations::newest(policies.map(|(_, version)| version.as_str()));
        let unwell = |it: &&UpstreamReport| it.is_unusable() || it.ejected + it.probed_down > 0;
        let mut upstreams: Vec<_> = upstreams.iter().filter(unwell).cloned().collect();
        upstreams.sort_by_key(|it| !it.is_unusable());
        ReplicaReport {
            replica: place.replica.clone(),
            time: now,
            policies: newest.to_owned(),
            routes: self.windows.report(now),
            upstreams,
            ..ReplicaReport::default()
        }
    }

    fn tell(&mut self, now: u64, own: &ReplicaReport, audience: &Audience) {
        let gist = Gist::of(own, self.generations.newest());
        if audience.reports.receiver_count() > 0 && self.teller.is_due(now, &gist) {
            let report = Arc::new(fit(own.clone()));
            audience.reports.send_replace(Some(report));
            self.teller.told(now, gist);
        }
    }

    /// It leads from now on.
    fn begin(&mut self, place: &Place) {
        for (policy, generation) in standing::programmed(place) {
            self.generations.reached(&policy, generation);
        }
    }

    fn judge(
        &mut self,
        now: u64,
        (own, upstreams): (&ReplicaReport, &[UpstreamReport]),
        (sight, place, observed): (&Sight, &Place, &Observed),
    ) -> Judged {
        if self.judge.is_none() {
            self.begin(place);
        }
        let others = place.others.borrow().clone();
        let unheard = siblings::ready(place).into_iter();
        let unheard = unheard.filter(|it| !others.contains_key(it));
        let silent = self.silent.awaited(now, unheard);
        let stale = Duration::from_secs(STALE);
        let others = others.values().filter(|it| it.at.elapsed() < stale);
        let others: Vec<&ReplicaReport> = others.map(|it| &*it.report).collect();
        let reach = self.generations.reach(others.iter().copied(), &silent);
        let all = others.into_iter().chain([own]);
        let seen = Merged::of(all, upstreams);
        let routes = Routes::of(self.windows.routes());
        let troubled = seen.failing().next().is_some();
        let idle_timeouts = troubled.then(|| sight.registry.idle_timeouts());
        let scene = Scene {
            idle_timeouts: &idle_timeouts.unwrap_or_default(),
            now,
            seen: &seen,
            routes: &routes,
            policies: &observed.policies,
            facts: &self.facts,
        };
        let judge = self
            .judge
            .get_or_insert_with(|| Judge::new(standing::seeds(place)));
        judge.look(&scene);
        Judged {
            said: judge.said().clone(),
            reach,
        }
    }
}

impl Audience {
    /// What was found out, where it differs from before.
    fn hears(&self, judged: Judged) {
        self.judged.send_if_modified(|it| {
            let changed = it.as_deref() != Some(&judged);
            if changed {
                *it = Some(Arc::new(judged));
            }
            changed
        });
    }
}

fn readings(metrics: &Metrics) -> impl Iterator<Item = (RouteKey, Reading)> {
    metrics.traffic().into_iter().map(|(labels, traffic)| {
        let key = RouteKey {
            namespace: labels.ingress_namespace,
            ingress: labels.ingress,
            upstream: labels.upstream,
            host: labels.host,
        };
        let reading = Reading {
            requests: traffic.requests,
            failures: traffic.failures,
            fallbacks: traffic.fallbacks,
            unasked: traffic.unasked,
        };
        (key, reading)
    })
}
