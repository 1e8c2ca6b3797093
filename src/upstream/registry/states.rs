//! What the upstreams are like at the moment, for the metrics.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::SocketAddr;
use std::time::Instant;

use crate::routing::snapshot::{EndpointSource, EndpointState, Upstream as Spec};
use crate::telemetry::metrics::{EndpointCounts, UpstreamState};
use crate::upstream::live::{Endpoints, Upstream};

use super::{Group, Registry, State};

/// In which state an endpoint is; the worse ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Draining,
    Ready,
    Ejected,
    Down,
}

impl Registry {
    /// All upstreams, sorted; those that differ in their policy alone are one.
    pub(super) fn states(&self, now: Instant) -> Vec<UpstreamState> {
        let state = self.lock();
        let mut endpoints: BTreeMap<(String, SocketAddr), Standing> = BTreeMap::new();
        let mut states: BTreeMap<String, UpstreamState> = BTreeMap::new();
        for (id, (spec, live)) in &state.upstreams {
            let Some(group) = state.groups.get(&id.group()) else {
                continue;
            };
            let label = id.to_string();
            for (address, standing) in group.standings(spec, live) {
                let known = endpoints
                    .entry((label.clone(), address))
                    .or_insert(standing);
                *known = standing.max(*known);
            }
            let usable = live.usable_now();
            let told = match states.entry(label) {
                Entry::Vacant(place) => {
                    let label = place.key().clone();
                    place.insert(UpstreamState {
                        label,
                        usable,
                        ..UpstreamState::default()
                    })
                }
                Entry::Occupied(place) => place.into_mut(),
            };
            told.usable = told.usable.min(usable);
            if live.policy().circuit_breaker.is_some() {
                let open = told.breaker.get_or_insert_default();
                for limit in live.turned_away.of_late(now) {
                    if !open.contains(&limit) {
                        open.push(limit);
                    }
                }
            }
        }
        state.add_idle(&mut states);
        for ((label, _), standing) in endpoints {
            if let Some(told) = states.get_mut(&label) {
                add(&mut told.endpoints, standing);
            }
        }
        states.into_values().collect()
    }
}

impl State {
    fn add_idle(&self, states: &mut BTreeMap<String, UpstreamState>) {
        for (id, group) in &self.groups {
            if let Some(told) = states.get_mut(&id.service.to_string()) {
                let idle = group.endpoints.values().map(|it| it.idle() as u64);
                told.idle_connections += idle.sum::<u64>();
            }
        }
    }
}

impl Group {
    /// In which state each endpoint of an upstream is.
    fn standings(&self, spec: &Spec, live: &Upstream) -> Vec<(SocketAddr, Standing)> {
        let standing = |address: SocketAddr, state: EndpointState| {
            let endpoint = self.endpoints.get(&address);
            let closed = endpoint.is_none_or(|it| it.standing().is_closed());
            match state {
                _ if self.probers.is_down(live.id(), address) => Standing::Down,
                EndpointState::Draining => Standing::Draining,
                EndpointState::Ready if closed => Standing::Ready,
                EndpointState::Ready => Standing::Ejected,
            }
        };
        match (&spec.endpoints, &live.endpoints) {
            (EndpointSource::Known(specs), _) => specs
                .iter()
                .map(|spec| (spec.address, standing(spec.address, spec.state)))
                .collect(),
            (EndpointSource::Name { .. }, Endpoints::Named(named)) => {
                let resolved = named.resolved.load();
                let known = resolved.iter().flat_map(|set| set.all());
                let known = known.map(|member| member.endpoint.address());
                let down = self.probers.down(live.id());
                known
                    .chain(down)
                    .map(|address| (address, standing(address, EndpointState::Ready)))
                    .collect()
            }
            (EndpointSource::Name { .. }, Endpoints::Known(_)) => Vec::new(),
        }
    }
}

fn add(counts: &mut EndpointCounts, standing: Standing) {
    let count = match standing {
        Standing::Draining => &mut counts.draining,
        Standing::Ready => &mut counts.ready,
        Standing::Ejected => &mut counts.ejected,
        Standing::Down => &mut counts.down,
    };
    *count += 1;
}
