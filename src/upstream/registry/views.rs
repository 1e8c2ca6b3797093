//! What is known of upstreams and endpoints at one moment, for people.
//!
//! Made when somebody asks, in the control plane: it reads the atomics that requests write, and holds
//! none of the locks that they wait for but, for a moment, that of a pool which is counted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::failure::Cause;
use crate::routing::snapshot::{EndpointSource, EndpointSpec, EndpointState, UpstreamId};
use crate::upstream::ejection;
use crate::upstream::live::{Endpoints, Upstream};

use super::{Group, Registry};

/// An upstream.
#[derive(Clone, Debug)]
pub struct UpstreamView {
    /// Which.
    pub id: UpstreamId,
    /// The name that is resolved, and the port.
    pub resolves: Option<(Arc<str>, u16)>,
    /// Why there are no endpoints.
    pub unresolved: Option<Cause>,
    /// The limits that turned requests away of late.
    pub limits: Vec<&'static str>,
    /// By address.
    pub endpoints: Vec<EndpointView>,
}

/// An endpoint.
#[derive(Clone, Debug)]
pub struct EndpointView {
    /// Address, state in its slice, Pod, zone and weight.
    pub spec: EndpointSpec,
    /// Whether its probe says that it is down.
    pub down: bool,
    /// Whether it is ejected.
    pub standing: Standing,
    /// How often in a row it was ejected.
    pub ejections: u8,
    /// Requests that it works on.
    pub in_flight: u32,
    /// Connections that idle.
    pub idle: usize,
    /// The time to a response head with which it is chosen: an average that failures raise and that fades.
    pub latency: Option<Duration>,
    /// Why an attempt last failed here, and when.
    pub last_failure: Option<(Cause, Instant)>,
}

/// Whether requests are sent to an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// They are.
    #[default]
    InUse,
    /// Not until then.
    Ejected(Instant),
    /// It is being tried.
    HalfOpen,
}

impl Registry {
    /// The upstreams that are wanted, in the order of their identity.
    pub fn views(&self, now: Instant, wanted: impl Fn(&UpstreamId) -> bool) -> Vec<UpstreamView> {
        let state = self.lock();
        let chosen = state.upstreams.iter().filter(|(id, _)| wanted(id));
        let views = chosen.filter_map(|(id, (spec, live))| {
            let group = state.groups.get(&id.group())?;
            let resolves = match &spec.endpoints {
                EndpointSource::Name { name, port } => Some((Arc::clone(name), *port)),
                EndpointSource::Known(_) => None,
            };
            let (specs, unresolved) = specs(&spec.endpoints, (live, group));
            let endpoints = specs
                .into_iter()
                .map(|spec| self.endpoint_view(group, live, spec, now));
            Some(UpstreamView {
                id: id.clone(),
                resolves,
                unresolved,
                limits: live
                    .turned_away
                    .of_late(now)
                    .map(|it| it.as_str())
                    .collect(),
                endpoints: endpoints.collect(),
            })
        });
        views.collect()
    }

    fn endpoint_view(
        &self,
        group: &Group,
        live: &Upstream,
        spec: EndpointSpec,
        now: Instant,
    ) -> EndpointView {
        let down = group.probers.is_down(live.id(), spec.address);
        let Some(endpoint) = group.endpoints.get(&spec.address) else {
            return EndpointView {
                spec,
                down,
                standing: Standing::InUse,
                ejections: 0,
                in_flight: 0,
                idle: 0,
                latency: None,
                last_failure: None,
            };
        };
        let (standing, ejections) = match endpoint.standing().state() {
            ejection::State::Closed { ejections, .. } => (Standing::InUse, ejections),
            ejection::State::Open { until, ejections } => (
                Standing::Ejected(self.epoch + Duration::from_millis(until)),
                ejections,
            ),
            ejection::State::Connecting { ejections }
            | ejection::State::Trying { ejections, .. } => (Standing::HalfOpen, ejections),
        };
        EndpointView {
            spec,
            down,
            standing,
            ejections,
            in_flight: endpoint.in_flight(),
            idle: endpoint.idle(),
            latency: endpoint
                .latency(now)
                .map(|micros| Duration::from_secs_f32(micros / 1e6)),
            last_failure: endpoint.last_failure(),
        }
    }
}

/// The endpoints as they are told to us, those that are down included; or why there are none.
fn specs(
    source: &EndpointSource,
    (live, group): (&Upstream, &Group),
) -> (Vec<EndpointSpec>, Option<Cause>) {
    match (source, &live.endpoints) {
        (EndpointSource::Known(specs), _) => (specs.clone(), None),
        (EndpointSource::Name { .. }, Endpoints::Named(named)) => match &**named.resolved.load() {
            Err(cause) => (Vec::new(), Some(*cause)),
            Ok(set) => {
                let known = set.all().map(|member| member.endpoint.address());
                let mut addresses: Vec<_> = known.chain(group.probers.down(live.id())).collect();
                addresses.sort_unstable();
                addresses.dedup();
                (addresses.into_iter().map(bare).collect(), None)
            }
        },
        (EndpointSource::Name { .. }, Endpoints::Known(_)) => (Vec::new(), None),
    }
}

/// One of which nothing but the address is told.
fn bare(address: SocketAddr) -> EndpointSpec {
    EndpointSpec {
        address,
        state: EndpointState::Ready,
        weight: 1,
        zone: None,
        pod: None,
    }
}
