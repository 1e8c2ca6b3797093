//! What lives longer than a snapshot: upstreams and endpoints by identity.
//!
//! [`Registry::attach`] runs in the control plane for each new snapshot. It hands out the live
//! upstream of each of the snapshot's, with the endpoint objects that were there before, so that
//! connections, averages and requests in flight carry over. What no snapshot names any more is
//! retired: requests in flight finish on it, idle connections close.
//!
//! The endpoints of an upstream are replaced in place, not with the route that names it: a request
//! that began long ago and now needs another endpoint must find those of today, since the ones it
//! knew when it began may all be gone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use rand::RngExt;

use crate::dns::Resolver;
use crate::report::traffic::OverloadReport;
use crate::routing::policy::AddressRules;
use crate::routing::snapshot::{
    EndpointGroup, EndpointSource, EndpointSpec, EndpointState, Snapshot, Upstream as Spec,
    UpstreamId,
};
use crate::telemetry::metrics::{BreakerLimit, Metrics};

use super::balance::pin::EndpointPin;
use super::balance::set::{EndpointSet, Member};
use super::balance::turns::Turns;
use super::breaker::Load;
use super::budget::Budget;
use super::endpoint::{Endpoint, Origin};
use super::latency::Latency;
use super::live::{Endpoints, Shared, Upstream};
use super::probe::Queue;
use super::random::with_rng;
use super::tls::ClientConfigs;
use super::turned_away::TurnedAway;
use probing::Probers;
use verdicts::Verdicts;

mod health;
mod named;
mod probing;
mod states;
mod verdicts;
pub mod views;

/// What all upstreams share.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The number of workers: each has pools of its own.
    pub workers: usize,
    /// Which addresses may be connected to.
    pub address_rules: AddressRules,
    /// Where what happens to endpoints is counted.
    pub metrics: Arc<Metrics>,
}

/// The live upstreams.
#[derive(Debug)]
pub struct Registry {
    settings: Settings,
    epoch: Instant,
    state: Mutex<State>,
    /// The places of probes.
    probes: Queue,
    /// What probes found and requests do not know yet.
    verdicts: Verdicts,
}

#[derive(Debug, Default)]
struct State {
    upstreams: BTreeMap<UpstreamId, (Spec, Arc<Upstream>)>,
    groups: BTreeMap<EndpointGroup, Group>,
    resolver: Option<Arc<Resolver>>,
    tls: ClientConfigs,
    /// What routes mean that lead nowhere, as upstreams are called.
    nowhere: BTreeSet<String>,
}

/// What upstreams share that differ in their policy alone.
#[derive(Debug)]
struct Group {
    shared: Arc<Shared>,
    endpoints: HashMap<SocketAddr, Arc<Endpoint>>,
    probers: Probers,
    /// Those of the newest snapshot.
    upstreams: Vec<UpstreamId>,
}

/// The live upstreams of one snapshot.
pub type Attached = BTreeMap<UpstreamId, Arc<Upstream>>;

impl Registry {
    /// An empty registry.
    pub fn new(settings: Settings) -> Arc<Self> {
        let registry = Arc::new(Self {
            settings,
            epoch: Instant::now(),
            state: Mutex::default(),
            probes: Queue::new(),
            verdicts: Verdicts::default(),
        });
        let looked_at = Arc::downgrade(&registry);
        registry.settings.metrics.read_states(move || {
            let registry = looked_at.upgrade();
            registry
                .map(|it| it.states(Instant::now()))
                .unwrap_or_default()
        });
        registry
    }

    /// Which addresses may be connected to.
    pub fn address_rules(&self) -> &AddressRules {
        &self.settings.address_rules
    }

    /// The live upstreams of a snapshot. Must run inside a tokio runtime, which resolves names.
    pub fn attach(self: &Arc<Self>, snapshot: &Snapshot) -> Attached {
        let mut state = self.lock();
        let mut upstreams = BTreeMap::new();
        for (id, spec) in &snapshot.upstreams {
            let live = match state.upstreams.remove(id) {
                Some((before, live)) if before == *spec => live,
                Some((_, before)) => self.update(&mut state, spec, before),
                None => {
                    let shared = self.shared(&mut state, id);
                    self.build(&mut state, id, spec, shared)
                }
            };
            upstreams.insert(id.clone(), (spec.clone(), live));
        }
        let attached = upstreams
            .iter()
            .map(|(id, (_, live))| (id.clone(), Arc::clone(live)))
            .collect();
        state.upstreams = upstreams;
        state.nowhere = health::nowhere(snapshot);
        retire_unnamed(&mut state);
        attached
    }

    /// The upstreams that turned requests away of late, sorted.
    pub fn overloads(&self, now: Instant) -> Vec<OverloadReport> {
        let state = self.lock();
        let overloads = state.upstreams.iter().filter_map(|(id, (_, upstream))| {
            let limits = id.policy.circuit_breaker.as_ref()?;
            let reached = upstream.turned_away.of_late(now);
            let reached = reached.map(BreakerLimit::as_str);
            let overload = OverloadReport::of(id, limits, reached);
            (!overload.reached.is_empty()).then_some(overload)
        });
        overloads.collect()
    }

    /// The same live upstream with other endpoints, or, where these come from elsewhere now, another.
    fn update(
        self: &Arc<Self>,
        state: &mut State,
        spec: &Spec,
        live: Arc<Upstream>,
    ) -> Arc<Upstream> {
        match (&spec.endpoints, &live.endpoints) {
            (EndpointSource::Known(specs), Endpoints::Known(set)) => {
                let next = self.set(state, (&live.id, &live.shared), specs);
                set.store(Arc::new(next));
                live
            }
            (source, _) => {
                // Another name is another host: nothing of the one before serves or is probed, and
                // requests wait until it is resolved.
                if let EndpointSource::Name { .. } = source {
                    state.stop_probing(&live.id);
                }
                self.build(state, &live.id, spec, Arc::clone(&live.shared))
            }
        }
    }

    fn build(
        self: &Arc<Self>,
        state: &mut State,
        id: &UpstreamId,
        spec: &Spec,
        shared: Arc<Shared>,
    ) -> Arc<Upstream> {
        let endpoints = match &spec.endpoints {
            EndpointSource::Known(specs) => {
                let set = self.set(state, (id, &shared), specs);
                Endpoints::Known(ArcSwap::from_pointee(set))
            }
            EndpointSource::Name { name, port } => {
                let target = (Arc::clone(name), *port);
                Endpoints::Named(self.named(state, (id, &shared), target))
            }
        };
        Arc::new(Upstream {
            id: id.clone(),
            shared,
            endpoints,
            turns: Turns::starting_at(with_rng(|rng| rng.random())),
            turned_away: TurnedAway::new(self.epoch),
        })
    }

    fn shared(&self, state: &mut State, id: &UpstreamId) -> Arc<Shared> {
        let State { groups, tls, .. } = state;
        let new = || {
            let metrics = self.settings.metrics.upstream(&id.to_string());
            let load = Load::new(self.settings.workers);
            Group {
                shared: Arc::new(Shared {
                    typical: Latency::new(self.epoch),
                    budget: Budget::new(self.epoch),
                    load,
                    tls: id.policy.tls.as_ref().map(|it| Arc::new(tls.client(it))),
                    metrics,
                    ejecting: Mutex::default(),
                }),
                endpoints: HashMap::new(),
                probers: Probers::default(),
                upstreams: Vec::new(),
            }
        };
        let group = groups.entry(id.group()).or_insert_with(new);
        Arc::clone(&group.shared)
    }

    fn set(
        self: &Arc<Self>,
        state: &mut State,
        upstream: (&UpstreamId, &Shared),
        specs: &[EndpointSpec],
    ) -> EndpointSet {
        let joined = state.has_endpoints(upstream.0).then(Instant::now);
        let down = self.probe(state, upstream, specs.iter().map(|spec| spec.address));
        let (mut ready, mut draining) = (Vec::new(), Vec::new());
        for spec in specs.iter().filter(|spec| !down.contains(&spec.address)) {
            let member = Member {
                endpoint: self.endpoint(state, upstream, (spec.address, joined)),
                weight: spec.weight,
                zone: spec.zone.clone(),
                pin: EndpointPin::new(&upstream.0.service, spec.address, spec.pod.as_ref()),
                pod: spec.pod.as_ref().map(|pod| Arc::clone(&pod.name)),
            };
            match spec.state {
                EndpointState::Ready => ready.push(member),
                EndpointState::Draining => draining.push(member),
            }
        }
        let set = EndpointSet::new(ready, draining, upstream.0.policy.slow_start.window);
        let usable = set.usable().iter();
        usable.for_each(|member| member.endpoint.resume());
        set
    }

    fn endpoint(
        &self,
        state: &mut State,
        (id, shared): (&UpstreamId, &Shared),
        (address, joined): (SocketAddr, Option<Instant>),
    ) -> Arc<Endpoint> {
        let new = || {
            let origin = Origin {
                workers: self.settings.workers,
                epoch: self.epoch,
                joined,
                load: Arc::clone(&shared.load),
                metrics: Arc::clone(&shared.metrics),
            };
            Arc::new(Endpoint::new(address, origin))
        };
        match state.groups.get_mut(&id.group()) {
            Some(group) => Arc::clone(group.endpoints.entry(address).or_insert_with(new)),
            None => new(),
        }
    }

    /// The maps are consistent between statements, so that a poisoned lock can be used.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether an upstream, or one that shares its endpoints, has any yet.
    fn has_endpoints(&self, id: &UpstreamId) -> bool {
        let group = self.groups.get(&id.group());
        group.is_some_and(|group| !group.endpoints.is_empty())
    }

    /// Forgets the endpoints of these upstreams that none of them has.
    fn retire_unnamed(&mut self, group: &EndpointGroup) {
        let Self {
            upstreams, groups, ..
        } = self;
        if let Some(group) = groups.get_mut(group) {
            let all = group.upstreams.iter().filter_map(|id| upstreams.get(id));
            let all: Vec<_> = all.collect();
            group.retire_unnamed(&all);
        }
    }
}

/// Forgets the endpoints that no live upstream names, and what nothing shares any more.
fn retire_unnamed(state: &mut State) {
    let State {
        upstreams,
        groups,
        tls,
        ..
    } = state;
    let mut by_group: BTreeMap<EndpointGroup, Vec<&(Spec, Arc<Upstream>)>> = BTreeMap::new();
    for (id, upstream) in &*upstreams {
        by_group.entry(id.group()).or_default().push(upstream);
    }
    groups.retain(|id, group| {
        let upstreams = by_group.get(id).map(Vec::as_slice).unwrap_or_default();
        let ids = upstreams.iter().map(|(_, live)| live.id.clone());
        group.upstreams = ids.collect();
        group.retire_unnamed(upstreams);
        !upstreams.is_empty()
    });
    tls.retire_unused();
}

impl Group {
    /// Forgets the endpoints that none of its upstreams has.
    fn retire_unnamed(&mut self, upstreams: &[&(Spec, Arc<Upstream>)]) {
        let Self {
            endpoints, probers, ..
        } = self;
        probers.retain(upstreams);
        endpoints.retain(|address, endpoint| {
            let mut upstreams = upstreams.iter();
            let keep = upstreams.any(|upstream| names(upstream, probers, *address));
            if !keep {
                endpoint.retire();
            }
            keep
        });
        retire_unused(upstreams);
    }
}

/// Endpoints that one upstream leaves aside keep no connections, unless another uses them.
fn retire_unused(upstreams: &[&(Spec, Arc<Upstream>)]) {
    let is_used = |endpoint: &Endpoint| upstreams.iter().any(|(_, live)| live.uses(endpoint));
    let retire = |set: &EndpointSet| {
        let unused = set.unused().iter().map(|member| &member.endpoint);
        let unused = unused.filter(|endpoint| !endpoint.is_retired() && !is_used(endpoint));
        unused.for_each(|endpoint| endpoint.retire());
    };
    for (_, live) in upstreams {
        let _none = live.with_set(retire);
    }
}

/// Whether an upstream has an endpoint at this address that may take requests.
fn names((spec, live): &(Spec, Arc<Upstream>), probers: &Probers, address: SocketAddr) -> bool {
    match (&spec.endpoints, &live.endpoints) {
        (EndpointSource::Known(specs), _) => {
            let found = specs.binary_search_by(|spec| spec.address.cmp(&address));
            found.is_ok() && !probers.is_down(&live.id, address)
        }
        (_, Endpoints::Named(named)) => match &**named.resolved.load() {
            Ok(set) => set.all().any(|it| it.endpoint.address() == address),
            Err(_) => false,
        },
        (EndpointSource::Name { .. }, Endpoints::Known(_)) => false,
    }
}

#[cfg(test)]
mod tests;
