//! Probes as a part of the registry: whose endpoints are probed, and what follows from a verdict.
//!
//! To requests, an endpoint that is down is as one that is gone: it is not in the set that they
//! choose from, its idle connections close, and when it comes back it begins slowly, with nothing
//! known of it. Requests on their way to it finish.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use crate::routing::policy::upstream::{HealthCheck, UpstreamPolicy};
use crate::routing::snapshot::{EndpointSource, Upstream as Spec, UpstreamId};
use crate::upstream::live::{Endpoints, Shared, Upstream};
use crate::upstream::probe::{Plan, Prober, Question};

use super::{Registry, State};

/// The probers of the upstreams that share endpoints.
#[derive(Debug, Default)]
pub(super) struct Probers(BTreeMap<Arc<UpstreamPolicy>, Prober>);

impl Probers {
    /// Whether an endpoint is down, as the probes of this upstream say.
    pub(super) fn is_down(&self, id: &UpstreamId, address: SocketAddr) -> bool {
        let prober = self.0.get(&id.policy);
        prober.and_then(|it| it.is_down(address)).unwrap_or(false)
    }

    /// The endpoints of this upstream that are down.
    pub(super) fn down(&self, id: &UpstreamId) -> HashSet<SocketAddr> {
        let prober = self.0.get(&id.policy);
        prober.map(Prober::down).unwrap_or_default()
    }

    /// Ends the probes of all but these upstreams.
    pub(super) fn retain(&mut self, upstreams: &[&(Spec, Arc<Upstream>)]) {
        self.0
            .retain(|policy, _| upstreams.iter().any(|(_, live)| live.id.policy == *policy));
    }

    /// What the probes of another upstream say of an endpoint: rather those that ask the same.
    fn known_down(&self, check: &HealthCheck, address: SocketAddr) -> bool {
        let verdict = |prober: &Prober| {
            let down = prober.is_down(address)?;
            Some((prober.check() != check, down))
        };
        let verdicts = self.0.values().filter_map(verdict);
        verdicts.min().is_some_and(|(_, down)| down)
    }
}

impl State {
    /// Ends the probes of an upstream; it may begin anew.
    pub(super) fn stop_probing(&mut self, id: &UpstreamId) {
        if let Some(group) = self.groups.get_mut(&id.group()) {
            group.probers.0.remove(&id.policy);
        }
    }
}

impl Registry {
    /// Sees to it that these endpoints of an upstream are probed, and no others, if its policy says
    /// so. Those that are down are returned.
    pub(super) fn probe(
        self: &Arc<Self>,
        state: &mut State,
        (id, shared): (&UpstreamId, &Shared),
        addresses: impl IntoIterator<Item = SocketAddr>,
    ) -> HashSet<SocketAddr> {
        let Some(check) = &id.policy.health_check else {
            return HashSet::new();
        };
        let Some(group) = state.groups.get_mut(&id.group()) else {
            return HashSet::new();
        };
        let probers = &mut group.probers;
        let mut prober = probers.0.remove(&id.policy).unwrap_or_else(|| {
            let (registry, upstream) = (Arc::downgrade(self), id.clone());
            let rules = self.settings.address_rules.clone();
            Prober::new(Plan {
                upstream: id.clone(),
                question: Question::new(check.clone(), rules, shared.tls.as_ref()),
                metrics: Arc::clone(&shared.metrics),
                changed: Box::new(move || verdict_changed(&registry, &upstream)),
            })
        });
        prober.now_has(addresses, |address| probers.known_down(check, address));
        let down = prober.down();
        probers.0.insert(Arc::clone(&id.policy), prober);
        down
    }

    /// Gives requests the endpoints of an upstream that are not down now.
    fn publish_again(self: &Arc<Self>, id: &UpstreamId) {
        let mut state = self.lock();
        let Some((spec, live)) = state.upstreams.get(id).cloned() else {
            return;
        };
        match (&spec.endpoints, &live.endpoints) {
            (EndpointSource::Name { .. }, Endpoints::Named(named)) => {
                let group = state.groups.get(&id.group());
                let prober = group.and_then(|group| group.probers.0.get(&id.policy));
                let addresses: Vec<_> = prober.iter().flat_map(|it| it.addresses()).collect();
                let _ = self.now_resolved(&mut state, named, &addresses);
            }
            _ => drop(self.update(&mut state, &spec, live)),
        }
        let State {
            upstreams, groups, ..
        } = &mut *state;
        if let Some(group) = groups.get_mut(&id.group()) {
            let shares = |other: &&(Spec, Arc<Upstream>)| {
                let other = &other.1.id;
                other.service == id.service && other.policy.tls == id.policy.tls
            };
            group.retire_unnamed(&upstreams.values().filter(shares).collect::<Vec<_>>());
        }
    }
}

fn verdict_changed(registry: &Weak<Registry>, id: &UpstreamId) {
    if let Some(registry) = registry.upgrade() {
        registry.publish_again(id);
    }
}
