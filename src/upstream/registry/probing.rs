//! Probes as a part of the registry: whose endpoints are probed, and what follows from a verdict.
//!
//! To requests, an endpoint that is down is as one that is gone: it is not in the set that they
//! choose from, its idle connections close, and when it comes back it begins slowly, with nothing
//! known of it. Requests on their way to it finish.
//!
//! Upstreams that share endpoints and ask the same of them ask once, and a verdict is that of all of them.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::routing::policy::upstream::{HealthCheck, UpstreamPolicy};
use crate::routing::snapshot::{EndpointSource, Upstream as Spec, UpstreamId};
use crate::upstream::live::{Endpoints, Shared, Upstream};
use crate::upstream::probe::{Plan, Prober, Question};

use super::verdicts::{self, Changed};
use super::{Registry, State};

/// The probers of the upstreams that share endpoints, by what is asked.
#[derive(Debug, Default)]
pub(super) struct Probers(pub(super) BTreeMap<HealthCheck, Asking>);

/// A prober, and who wants to know.
#[derive(Debug)]
pub(super) struct Asking {
    prober: Prober,
    /// The endpoints of each upstream; those that share endpoints differ in their policy alone.
    of: BTreeMap<Arc<UpstreamPolicy>, Box<[SocketAddr]>>,
    /// Whether some may be probed that none of them has.
    outdated: bool,
}

impl Probers {
    /// Whether an endpoint is down, as the probes of this upstream say.
    pub(super) fn is_down(&self, id: &UpstreamId, address: SocketAddr) -> bool {
        let down = || self.of(id)?.prober.is_down(address);
        down().unwrap_or(false)
    }

    /// The endpoints of this upstream that are down.
    pub(super) fn down(&self, id: &UpstreamId) -> Vec<SocketAddr> {
        let Some(asking) = self.of(id) else {
            return Vec::new();
        };
        let own = asking.of.get(&id.policy).into_iter().flatten().copied();
        own.filter(|it| asking.prober.is_down(*it) == Some(true))
            .collect()
    }

    /// Ends the probes of all but these upstreams.
    pub(super) fn retain(&mut self, upstreams: &[&(Spec, Arc<Upstream>)]) {
        if self.0.is_empty() {
            return;
        }
        let policies = upstreams.iter().map(|(_, live)| &live.id.policy);
        let policies: BTreeSet<_> = policies.collect();
        self.0.retain(|_, asking| {
            let before = asking.of.len();
            asking.of.retain(|policy, _| policies.contains(policy));
            asking.outdated |= asking.of.len() < before;
            asking.bring_up_to_date();
            !asking.of.is_empty()
        });
    }

    fn of(&self, id: &UpstreamId) -> Option<&Asking> {
        self.0.get(id.policy.health_check.as_ref()?)
    }

    /// What other probes say of an endpoint: rather those that ask the same, at other times.
    fn known_down(&self, check: &HealthCheck, address: SocketAddr) -> bool {
        let verdict = |(other, asking): (&HealthCheck, &Asking)| {
            let down = asking.prober.is_down(address)?;
            Some((other.probe != check.probe, down))
        };
        let verdicts = self.0.iter().filter_map(verdict);
        verdicts.min().is_some_and(|(_, down)| down)
    }
}

impl Asking {
    fn new(plan: Plan) -> Self {
        Self {
            prober: Prober::new(plan),
            of: BTreeMap::new(),
            outdated: false,
        }
    }

    /// Probes what an upstream has from now on. What it had before may be another one's too.
    fn take(
        &mut self,
        policy: &Arc<UpstreamPolicy>,
        addresses: Box<[SocketAddr]>,
        known_down: impl Fn(SocketAddr) -> bool,
    ) -> HashSet<SocketAddr> {
        self.prober.also(&addresses, known_down);
        let of_them = addresses.iter().copied();
        let down = of_them.filter(|it| self.prober.is_down(*it).unwrap_or(false));
        let down = down.collect();
        let before = self.of.get(policy);
        if before != Some(&addresses) {
            self.outdated |= before.is_some();
            self.of.insert(Arc::clone(policy), addresses);
        }
        down
    }

    /// Ends the probes of what none of its upstreams has.
    fn bring_up_to_date(&mut self) {
        if std::mem::take(&mut self.outdated) {
            let all: HashSet<_> = self.of.values().flatten().copied().collect();
            self.prober.retain(&all);
        }
    }
}

impl State {
    /// Ends the probes of an upstream; it may begin anew.
    pub(super) fn stop_probing(&mut self, id: &UpstreamId) {
        let group = self.groups.get_mut(&id.group());
        let probers = group.map(|group| &mut group.probers.0);
        if let (Some(probers), Some(check)) = (probers, &id.policy.health_check)
            && let Some(asking) = probers.get_mut(check)
        {
            asking.of.remove(&id.policy);
            if asking.of.is_empty() {
                probers.remove(check);
            } else {
                asking.outdated = true;
            }
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
        let mut asking = probers.0.remove(check).unwrap_or_else(|| {
            let (registry, verdict) = (Arc::downgrade(self), (id.group(), check.clone()));
            let rules = self.settings.address_rules.clone();
            Asking::new(Plan {
                service: id.service.clone(),
                question: Question::new(check.clone(), rules, shared.tls.as_ref()),
                queue: self.probes.part(),
                metrics: Arc::clone(&shared.metrics),
                changed: Box::new(move || verdicts::changed(&registry, &verdict)),
            })
        });
        let addresses = addresses.into_iter().collect();
        let known = |address| probers.known_down(check, address);
        let down = asking.take(&id.policy, addresses, known);
        probers.0.insert(check.clone(), asking);
        down
    }

    /// Gives requests the endpoints that are not down now, as the probes of these upstreams say.
    pub(super) fn publish_again(self: &Arc<Self>, (group, check): &Changed) {
        let mut state = self.lock();
        let asking = state.groups.get(group);
        let Some(asking) = asking.and_then(|group| group.probers.0.get(check)) else {
            return;
        };
        asking.prober.take_over();
        for (policy, addresses) in asking.of.clone() {
            let service = group.service.clone();
            let Some((spec, live)) = state
                .upstreams
                .get(&UpstreamId { service, policy })
                .cloned()
            else {
                continue;
            };
            match (&spec.endpoints, &live.endpoints) {
                (EndpointSource::Name { .. }, Endpoints::Named(named)) => {
                    let _ = self.now_resolved(&mut state, named, &addresses);
                }
                _ => drop(self.update(&mut state, &spec, live)),
            }
        }
        state.retire_unnamed(group);
    }
}
