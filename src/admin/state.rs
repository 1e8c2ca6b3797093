//! `/debug/state`: what is served at this moment and how it goes, as JSON.
//!
//! Made when it is asked for. `ingress=NAMESPACE/NAME` and `filter=TEXT` choose routes, `limit=N` bounds
//! them: those that have trouble are kept then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};

use crate::failure::Cause;
use crate::routing::host::HostPattern;
use crate::routing::path::PathRule;
use crate::routing::render::Changes;
use crate::routing::snapshot::{EndpointState, Route, Snapshot, Target, UpstreamId, VirtualHost};
use crate::telemetry::metrics::RouteLabels;
use crate::upstream::registry::Registry;
use crate::upstream::registry::views::{EndpointView, Standing, UpstreamView};

use super::history::History;
use super::{Answer, JSON, TEXT, answer};

pub mod shape;

/// What the view is made of.
#[derive(Clone, Debug)]
pub struct Sources {
    /// What lives.
    pub registry: Arc<Registry>,
    /// How it went.
    pub history: Arc<History>,
}

/// Which routes are asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    ingress: Option<String>,
    /// In lower case.
    filter: String,
    limit: Option<usize>,
}

/// A moment by both clocks.
#[derive(Clone, Copy)]
struct Now {
    instant: Instant,
    time: Timestamp,
}

/// What is served now.
pub(super) fn show(
    sources: &Sources,
    (snapshot, generation): (Option<&Snapshot>, u64),
    query: &str,
) -> Answer {
    let wanted = match Wanted::parse(query) {
        Ok(wanted) => wanted,
        Err(message) => return answer(StatusCode::BAD_REQUEST, TEXT, format!("{message}\n")),
    };
    let now = Now {
        instant: Instant::now(),
        time: Timestamp::now(),
    };
    let nothing = Snapshot::default();
    let mut live = view(sources, snapshot.unwrap_or(&nothing), &wanted, now);
    live.generation = generation;
    match serde_json::to_string(&live) {
        Ok(json) => answer(StatusCode::OK, JSON, json + "\n"),
        Err(error) => answer(
            StatusCode::INTERNAL_SERVER_ERROR,
            TEXT,
            format!("{error}\n"),
        ),
    }
}

impl Wanted {
    fn parse(query: &str) -> Result<Self, String> {
        let mut wanted = Self::default();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                "ingress" => wanted.ingress = Some(value.into_owned()),
                "filter" => wanted.filter = value.trim().to_lowercase(),
                "limit" => {
                    let limit = value.parse().map_err(|_| "limit is not a number")?;
                    wanted.limit = Some(limit);
                }
                _ => return Err(format!("{key:?} is not known here")),
            }
        }
        Ok(wanted)
    }

    /// Whether a route is asked for, by what is written in it and in its upstream.
    fn takes(&self, route: &shape::Route, upstream: Option<&shape::Upstream>) -> bool {
        if self
            .ingress
            .as_ref()
            .is_some_and(|wanted| *wanted != route.ingress)
        {
            return false;
        }
        let endpoints = upstream.iter().flat_map(|it| &it.endpoints);
        let endpoints = endpoints.flat_map(|it| [Some(&it.address), it.pod.as_ref()]);
        let texts = [Some(&route.host), route.path.as_ref(), Some(&route.ingress)];
        let mut texts = texts
            .into_iter()
            .chain([route.upstream.as_ref()])
            .chain(endpoints);
        self.filter.is_empty()
            || texts.any(|text| text.is_some_and(|it| it.to_lowercase().contains(&self.filter)))
    }
}

fn view(sources: &Sources, snapshot: &Snapshot, wanted: &Wanted, now: Now) -> shape::Live {
    let named = named(snapshot, wanted);
    let views = sources.registry.views(now.instant, |id| named.contains(id));
    let mut upstreams: BTreeMap<String, shape::Upstream> = BTreeMap::new();
    for view in &views {
        let shown = shown(view, now);
        match upstreams.get_mut(&shown.name) {
            // They may differ in what probes say, and, where TLS differs, in what was observed.
            Some(known) => merge(known, shown),
            None => drop(upstreams.insert(shown.name.clone(), shown)),
        }
    }
    let mut routes = Vec::new();
    for (pattern, host) in &snapshot.hosts {
        for (rule, route) in entries(host) {
            let shown = route_shown((pattern, host), rule, route, sources);
            let upstream = shown.upstream.as_ref().and_then(|name| upstreams.get(name));
            if wanted.takes(&shown, upstream) {
                let trouble = has_trouble(&shown, upstream);
                routes.push((trouble, shown));
            }
        }
    }
    let more_routes = limit(&mut routes, wanted.limit);
    let routes: Vec<shape::Route> = routes.into_iter().map(|(_, route)| route).collect();
    let led = routes.iter().flat_map(|it| [&it.upstream, &it.fallback]);
    let led: BTreeSet<&String> = led.flatten().collect();
    let upstreams = upstreams.into_iter().filter(|(name, _)| led.contains(name));
    shape::Live {
        version: shape::VERSION,
        time: now.time,
        generation: 0,
        step_seconds: shape::STEP_SECONDS,
        more_routes,
        upstreams: upstreams.map(|(_, upstream)| upstream).collect(),
        routes,
    }
}

/// The rules of a host, and what is left.
fn entries(host: &VirtualHost) -> impl Iterator<Item = (Option<&PathRule>, &Route)> {
    let rules = host
        .routes
        .iter()
        .map(|(rule, route)| (Some(rule), &**route));
    rules.chain(host.default.iter().map(|route| (None, &**route)))
}

/// The upstreams of the Ingress that is asked for, or of all.
fn named<'s>(snapshot: &'s Snapshot, wanted: &Wanted) -> BTreeSet<&'s UpstreamId> {
    let routes = snapshot
        .hosts
        .values()
        .flat_map(entries)
        .map(|(_, route)| route);
    let routes = routes.filter(|route| {
        let ingress = &route.ingress;
        let name = || format!("{}/{}", ingress.namespace, ingress.name);
        wanted
            .ingress
            .as_ref()
            .is_none_or(|wanted| *wanted == name())
    });
    let ids = routes.flat_map(|route| {
        let target = match &route.target {
            Target::Upstream(id) => Some(id),
            Target::Unavailable { .. } => None,
        };
        [target, route.fallback.as_ref().map(|it| &it.upstream)]
    });
    ids.flatten().collect()
}

/// Leaves so many, first of all those that have trouble, in their order; how many were left out.
fn limit(routes: &mut Vec<(bool, shape::Route)>, limit: Option<usize>) -> usize {
    let Some(limit) = limit.filter(|limit| *limit < routes.len()) else {
        return 0;
    };
    let more = routes.len() - limit;
    let troubled = routes.iter().filter(|(trouble, _)| *trouble).count();
    let mut places = (troubled.min(limit), limit.saturating_sub(troubled));
    routes.retain(|(trouble, _)| {
        let places = if *trouble {
            &mut places.0
        } else {
            &mut places.1
        };
        let free = *places > 0;
        *places -= usize::from(free);
        free
    });
    more
}

fn has_trouble(route: &shape::Route, upstream: Option<&shape::Upstream>) -> bool {
    let failed = route
        .traffic
        .failed
        .iter()
        .rev()
        .take(12)
        .any(|count| *count > 0);
    let well = |state| {
        matches!(
            state,
            shape::EndpointState::Ready | shape::EndpointState::Draining
        )
    };
    route.unavailable.is_some()
        || failed
        || upstream.is_none_or(|it| {
            it.endpoints.is_empty()
                || !it.limits.is_empty()
                || it.endpoints.iter().any(|endpoint| !well(endpoint.state))
        })
}

fn route_shown(
    (pattern, host): (&HostPattern, &VirtualHost),
    rule: Option<&PathRule>,
    route: &Route,
    sources: &Sources,
) -> shape::Route {
    let (upstream, unavailable) = match &route.target {
        Target::Upstream(id) => (Some(id.to_string()), None),
        Target::Unavailable { cause, .. } => (None, Some(failure(*cause, None))),
    };
    let meant = route.target.service().map(ToString::to_string);
    let labels = RouteLabels {
        ingress_namespace: Arc::clone(&route.ingress.namespace),
        ingress: Arc::clone(&route.ingress.name),
        upstream: meant.unwrap_or_default().into(),
        host: pattern.to_string().into(),
    };
    shape::Route {
        host: pattern.to_string(),
        path: rule.map(|rule| rule.path().to_owned()),
        path_type: rule.map(|rule| format!("{:?}", rule.kind())),
        tls: host.tls,
        ingress: format!("{}/{}", route.ingress.namespace, route.ingress.name),
        upstream,
        unavailable,
        fallback: route.fallback.as_ref().map(|it| it.upstream.to_string()),
        policy: Changes(&route.policy).to_string().trim().to_owned(),
        traffic: sources.history.of(&labels),
    }
}

fn shown(view: &UpstreamView, now: Now) -> shape::Upstream {
    let resolves = view.resolves.as_ref();
    shape::Upstream {
        name: view.id.to_string(),
        resolves: resolves.map(|(name, port)| format!("{name}:{port}")),
        unresolved: view.unresolved.map(|cause| failure(cause, None)),
        limits: view
            .limits
            .iter()
            .map(|limit| (*limit).to_owned())
            .collect(),
        endpoints: view.endpoints.iter().map(|it| endpoint(it, now)).collect(),
    }
}

fn endpoint(view: &EndpointView, now: Now) -> shape::Endpoint {
    let (state, until) = match (view.down, view.standing, view.spec.state) {
        (true, ..) => (shape::EndpointState::Down, None),
        (_, Standing::Ejected(until), _) => (shape::EndpointState::Ejected, Some(until)),
        (_, Standing::HalfOpen, _) => (shape::EndpointState::HalfOpen, None),
        (_, _, EndpointState::Draining) => (shape::EndpointState::Draining, None),
        (_, _, EndpointState::Ready) => (shape::EndpointState::Ready, None),
    };
    shape::Endpoint {
        address: view.spec.address.to_string(),
        pod: view.spec.pod.as_ref().map(|pod| pod.name.to_string()),
        zone: view.spec.zone.as_ref().map(ToString::to_string),
        weight: view.spec.weight,
        state,
        until: until.map(|until| now.at(until)),
        ejections: view.ejections,
        in_flight: view.in_flight,
        idle: view.idle,
        latency_milliseconds: view
            .latency
            .map(|it| (it.as_secs_f64() * 1e6).round() / 1e3),
        last_failure: view
            .last_failure
            .map(|(cause, at)| failure(cause, Some(now.at(at)))),
    }
}

fn failure(cause: Cause, at: Option<Timestamp>) -> shape::Failure {
    shape::Failure {
        cause: cause.label().to_owned(),
        sentence: cause.sentence().to_owned(),
        at,
    }
}

/// What two upstreams of one name say of the same endpoints: the worse.
fn merge(known: &mut shape::Upstream, other: shape::Upstream) {
    for endpoint in other.endpoints {
        let same = |it: &&mut shape::Endpoint| it.address == endpoint.address;
        match known.endpoints.iter_mut().find(same) {
            Some(it) if endpoint.state > it.state => *it = endpoint,
            Some(_) => {}
            None => known.endpoints.push(endpoint),
        }
    }
    known.limits.extend(other.limits);
    known.limits.sort();
    known.limits.dedup();
}

impl Now {
    /// The same moment by the other clock, to the second: what is told does not flicker.
    fn at(self, instant: Instant) -> Timestamp {
        let signed = |duration| SignedDuration::try_from(duration).unwrap_or_default();
        let time = match instant.checked_duration_since(self.instant) {
            Some(ahead) => self.time.checked_add(signed(ahead)),
            None => self
                .time
                .checked_sub(signed(self.instant.duration_since(instant))),
        };
        time.unwrap_or(self.time)
    }
}

#[cfg(test)]
mod tests;
