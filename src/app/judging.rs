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
use crate::diagnose::generations::{self, Generations};
use crate::diagnose::judge::seed::Seeds;
use crate::diagnose::judge::{Judge, Judged, Scene};
use crate::diagnose::merge::{Merged, Routes};
use crate::diagnose::replica::{Gist, STALE, Teller, fit};
use crate::diagnose::window::{Reading, Windows};
use crate::report::facts::Facts;
use crate::report::traffic::{ReplicaReport, RouteKey, UpstreamReport};
use crate::report::{Kind, ObjectRef, Overload};
use crate::status::Observed;
use crate::stores::Source;
use crate::stores::facts::FactReader;
use crate::stores::reports::Others;
use crate::telemetry::metrics::Metrics;
use crate::upstream::registry::Registry;

use super::observing::Listener;

/// How often is looked.
const LOOK: Duration = Duration::from_secs(1);

/// Facts are as good as new for so long.
const FRESH: Duration = Duration::from_secs(60);

/// Services that are looked up at once.
const LOOKUPS: usize = 4;

/// Services that wait to be looked up.
const WAITING: usize = 64;

/// What this process sees of itself.
pub(super) struct Sight {
    pub(super) metrics: Arc<Metrics>,
    pub(super) registry: Arc<Registry>,
    pub(super) failures: Listener,
    pub(super) processed: watch::Receiver<Processed>,
    pub(super) observed: watch::Receiver<Option<Arc<Observed>>>,
    pub(super) overloads: watch::Receiver<Vec<Overload>>,
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
    teller: Teller,
    generations: Generations,
    judge: Option<Judge>,
    facts: HashMap<(String, String), Facts>,
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
                memory.facts.insert(service, found);
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
            teller: Teller::default(),
            generations: Generations::default(),
            judge: None,
            facts: HashMap::new(),
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
        let own = self.report(now, (place, &upstreams), &versions);
        self.tell(now, &own, audience);
        if !*place.leading.borrow() {
            self.judge = None;
            audience.judged.send_if_modified(|it| it.take().is_some());
            return;
        }
        self.asked.retain(|_, at| at.elapsed() < FRESH);
        let asked = &self.asked;
        self.facts.retain(|service, _| asked.contains_key(service));
        let overloads = sight.overloads.borrow().clone();
        let judged = self.judge(now, (&own, &upstreams), (place, &observed, &overloads));
        audience.hears(judged);
        let wanted = self.judge.iter().flat_map(Judge::wanted);
        for service in wanted {
            if !self.asked.contains_key(service) && ask.try_send(service.clone()).is_ok() {
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
            left_out: 0,
        }
    }

    fn tell(&mut self, now: u64, own: &ReplicaReport, audience: &Audience) {
        let gist = Gist::of(&own.routes, &own.upstreams, self.generations.newest());
        if audience.reports.receiver_count() > 0 && self.teller.is_due(now, &gist) {
            let report = Arc::new(fit(own.clone()));
            audience.reports.send_replace(Some(report));
            self.teller.told(now, gist);
        }
    }

    fn judge(
        &mut self,
        now: u64,
        (own, upstreams): (&ReplicaReport, &[UpstreamReport]),
        (place, observed, overloads): (&Place, &Observed, &[Overload]),
    ) -> Judged {
        let others = place.others.borrow().clone();
        let stale = Duration::from_secs(STALE);
        let others = others.values().filter(|it| it.at.elapsed() < stale);
        let others: Vec<&ReplicaReport> = others.map(|it| &*it.report).collect();
        let pending = self.generations.pending(others.iter().copied());
        let all = others.into_iter().chain([own]);
        let seen = Merged::of(all, upstreams);
        let routes = Routes::of(self.windows.routes());
        let scene = Scene {
            now,
            seen: &seen,
            routes: &routes,
            policies: &observed.policies,
            overloads,
            facts: &self.facts,
        };
        let judge = self.judge.get_or_insert_with(|| Judge::new(seeds(place)));
        judge.look(&scene);
        Judged {
            said: judge.said().clone(),
            pending,
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
        };
        (key, reading)
    })
}

/// What stands on the objects now.
fn seeds(place: &Place) -> Seeds {
    let mut seeds = Seeds::default();
    let object = |kind, metadata: &kube::api::ObjectMeta| ObjectRef {
        kind,
        namespace: metadata.namespace.as_deref().unwrap_or_default().into(),
        name: metadata.name.as_deref().unwrap_or_default().into(),
    };
    for policy in place.source.policies() {
        if let Some(status) = &policy.status {
            let object = object(Kind::GatewayPolicy, &policy.metadata);
            seeds.policy(&object, status, &place.installation);
        }
    }
    for ingress in place.source.ingresses() {
        let balancer = ingress
            .status
            .as_ref()
            .and_then(|it| it.load_balancer.as_ref());
        let points = balancer.iter().flat_map(|it| it.ingress.iter().flatten());
        let mut ports = points.flat_map(|it| it.ports.iter().flatten());
        if let Some(error) = ports.find_map(|it| it.error.as_ref()) {
            seeds.ingress(&object(Kind::Ingress, &ingress.metadata), error);
        }
    }
    seeds
}
