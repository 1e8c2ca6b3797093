//! What all replicas saw, added up for one target.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use crate::failure::{Cause, Trouble};
use crate::report::facts::{Latency, Sample};
use crate::report::policy::PolicyTarget;
use crate::report::traffic::{
    FailureReport, LatencyReport, OverloadReport, ReplicaReport, RouteKey, RouteReport,
    UpstreamReport,
};
use crate::report::{Kind, ObjectRef};
use crate::routing::host::HostPattern;
use crate::routing::snapshot::UpstreamId;

use super::hysteresis::Counts;

/// Samples that are kept of each cause.
const SAMPLES: usize = 4;

/// The reports of all replicas, to be looked up by target.
#[derive(Debug, Default)]
pub struct Merged<'a> {
    ingresses: HashMap<(&'a str, &'a str), Vec<&'a RouteReport>>,
    services: HashMap<(&'a str, &'a str), Vec<&'a RouteReport>>,
    routes: Vec<&'a RouteReport>,
    upstreams: BTreeMap<&'a str, UpstreamReport>,
    overloads: Vec<&'a OverloadReport>,
    latencies: Vec<&'a LatencyReport>,
    /// Whether there was no room for all that is well.
    partial: bool,
}

/// Which upstreams each target has.
#[derive(Debug, Default)]
pub struct Routes<'a> {
    ingresses: HashMap<(&'a str, &'a str), Vec<&'a RouteKey>>,
    services: HashMap<(&'a str, &'a str), BTreeSet<&'a str>>,
    upstreams: BTreeSet<&'a str>,
}

/// The routes of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope<'a> {
    /// Of an Ingress.
    Ingress(&'a str, &'a str),
    /// Of an Ingress, those of one host.
    Host(&'a str, &'a str, String),
    /// Those that lead to a Service.
    Service(&'a str, &'a str),
    /// All.
    All,
}

/// The requests of a target, over all replicas.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sum {
    /// In the last minute.
    pub requests: u64,
    /// Those that were sent to what stands in.
    pub fallbacks: u64,
    /// When the last one ended; 0: none of late.
    pub last_request: u64,
    recent: u64,
    successes: u64,
    causes: BTreeMap<Cause, CauseSum>,
}

/// The requests of a target that failed for one cause.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CauseSum {
    /// In the last minute.
    pub count: u64,
    recent: u64,
    /// When the first one ended.
    pub since: u64,
    /// Some, each at another endpoint.
    pub samples: Vec<Sample>,
    /// At how many endpoints more.
    pub more_endpoints: u64,
    /// The id of one of them.
    pub request_id: Option<String>,
    /// Where most of them were to go.
    pub upstream: String,
    most: u64,
}

impl<'a> Scope<'a> {
    /// That of the target of a policy.
    pub fn of(target: &'a PolicyTarget) -> Self {
        let object = &target.object;
        let (namespace, name) = (&*object.namespace, &*object.name);
        match (object.kind, &target.section_name) {
            (Kind::Ingress, None) => Self::Ingress(namespace, name),
            (Kind::Ingress, Some(host)) => {
                let pattern = HostPattern::parse(host).map(|it| it.to_string());
                Self::Host(namespace, name, pattern.unwrap_or_else(|_| host.clone()))
            }
            (Kind::Service, _) => Self::Service(namespace, name),
            _ => Self::All,
        }
    }
}

impl<'a> Merged<'a> {
    /// Of these reports; of upstreams also what this replica knows of those that are well.
    pub fn of(
        reports: impl IntoIterator<Item = &'a ReplicaReport>,
        own: impl IntoIterator<Item = &'a UpstreamReport>,
    ) -> Self {
        let mut merged = Self::default();
        for report in reports {
            merged.partial |= report.left_out > 0;
            for route in &report.routes {
                let key = &route.route;
                let ingress = (&*key.namespace, &*key.ingress);
                merged.ingresses.entry(ingress).or_default().push(route);
                if let Some(service) = service(&key.upstream) {
                    merged.services.entry(service).or_default().push(route);
                }
                merged.routes.push(route);
            }
            merged.take_upstreams(&report.upstreams);
            merged.overloads.extend(&report.overloads);
            merged.latencies.extend(&report.latencies);
        }
        merged.take_upstreams(own);
        merged
    }

    /// The worst of what is said of each.
    fn take_upstreams(&mut self, reports: impl IntoIterator<Item = &'a UpstreamReport>) {
        for report in reports {
            let known = self.upstreams.entry(&report.upstream);
            let known = known.or_insert_with(|| report.clone());
            known.ready = known.ready.min(report.ready);
            known.ejected = known.ejected.max(report.ejected);
            known.probed_down = known.probed_down.max(report.probed_down);
        }
    }

    /// Whether what is absent may be well and have requests all the same.
    pub fn is_partial(&self) -> bool {
        self.partial
    }

    /// The endpoints of an upstream.
    pub fn upstream(&self, name: &str) -> Option<&UpstreamReport> {
        self.upstreams.get(name)
    }

    /// Which limits of a Service's port were reached, whosever they are.
    pub fn limits(&self, upstream: &str) -> BTreeSet<&'static str> {
        let overloads = self.overloads.iter();
        let overloads = overloads.filter(|it| it.upstream == *upstream);
        overloads.flat_map(|it| it.known()).collect()
    }

    /// How long a Service's port takes to answer, over all replicas, each as much as it had answers of late.
    pub fn latency(&self, upstream: &str) -> Option<Latency> {
        let latencies = self.latencies.iter();
        let known = latencies.filter(|it| it.upstream == *upstream && it.answers > 0);
        let known: Vec<_> = known.collect();
        let answers: u128 = known.iter().map(|it| u128::from(it.answers)).sum();
        let mean = |of: fn(&LatencyReport) -> u64| {
            let parts = known.iter();
            let sum: u128 = parts
                .map(|it| u128::from(of(it)) * u128::from(it.answers))
                .sum();
            let mean = u64::try_from(sum.checked_div(answers)?).ok();
            mean.map(Duration::from_micros)
        };
        Some(Latency {
            usual: mean(|it| it.usual)?,
            now: mean(|it| it.now)?,
        })
    }

    /// Which of these upstreams turned requests away, with the limits that were reached.
    pub fn turning_away(
        &self,
        upstreams: &[UpstreamId],
    ) -> BTreeMap<String, BTreeSet<&'static str>> {
        let mut found: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for overload in &self.overloads {
            if upstreams.iter().any(|it| overload.is_about(it)) {
                let limits = found.entry(overload.upstream.clone()).or_default();
                limits.extend(overload.known());
            }
        }
        found
    }

    /// The Ingresses some of whose requests failed, namespace and name.
    pub fn failing(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let failing = |routes: &[&RouteReport]| routes.iter().any(|it| !it.failures.is_empty());
        let ingresses = self.ingresses.iter();
        ingresses.filter_map(move |(name, routes)| failing(routes).then_some(*name))
    }

    /// The requests of some targets; those of several count once.
    pub fn sum(&self, scopes: &[Scope<'_>]) -> Sum {
        let mut sum = Sum::default();
        let mut added = HashSet::new();
        for scope in scopes {
            for route in self.routes(scope) {
                if scopes.len() == 1 || added.insert(std::ptr::from_ref(route)) {
                    sum.add(route);
                }
            }
        }
        sum
    }

    fn routes<'m>(
        &'m self,
        scope: &'m Scope<'m>,
    ) -> impl Iterator<Item = &'a RouteReport> + use<'a, 'm> {
        let (routes, host) = match scope {
            Scope::Ingress(namespace, name) => (self.ingresses.get(&(*namespace, *name)), None),
            Scope::Host(namespace, name, host) => {
                let host = Some(host.as_str());
                (self.ingresses.get(&(*namespace, *name)), host)
            }
            Scope::Service(namespace, name) => (self.services.get(&(*namespace, *name)), None),
            Scope::All => (Some(&self.routes), None),
        };
        let of_host = move |it: &&'a RouteReport| host.is_none_or(|host| *it.route.host == *host);
        routes.into_iter().flatten().copied().filter(of_host)
    }

    /// The last failure at an upstream: its cause, and when.
    pub fn last_failure(&self, upstream: &str) -> Option<(Cause, u64)> {
        let (namespace, name) = service(upstream)?;
        let routes = self.services.get(&(namespace, name))?.iter();
        let failures = routes.filter(|it| *it.route.upstream == *upstream);
        let last = failures
            .flat_map(|it| &it.failures)
            .max_by_key(|it| it.last)?;
        Some((Cause::labelled(&last.cause)?, last.last))
    }
}

impl<'a> Routes<'a> {
    /// Of all routes that are served.
    pub fn of(routes: impl IntoIterator<Item = &'a RouteKey>) -> Self {
        let mut all = Self::default();
        for key in routes {
            let Some(service) = service(&key.upstream) else {
                continue;
            };
            let ingress = (&*key.namespace, &*key.ingress);
            all.ingresses.entry(ingress).or_default().push(key);
            all.services
                .entry(service)
                .or_default()
                .insert(&key.upstream);
            all.upstreams.insert(&key.upstream);
        }
        all
    }

    /// The upstreams of a target, sorted.
    pub fn upstreams(&self, scope: &Scope<'_>) -> BTreeSet<&'a str> {
        let of = |namespace, name, host: Option<&str>| {
            let routes = self.ingresses.get(&(namespace, name)).into_iter().flatten();
            let routes = routes.filter(|it| host.is_none_or(|host| *it.host == *host));
            routes.map(|it| &*it.upstream).collect()
        };
        match scope {
            Scope::Ingress(namespace, name) => of(*namespace, *name, None),
            Scope::Host(namespace, name, host) => of(*namespace, *name, Some(host)),
            Scope::Service(namespace, name) => {
                let upstreams = self.services.get(&(*namespace, *name));
                upstreams.cloned().unwrap_or_default()
            }
            Scope::All => self.upstreams.clone(),
        }
    }
}

impl Sum {
    fn add(&mut self, route: &RouteReport) {
        self.requests += route.requests;
        self.recent += route.recent;
        self.successes += route.successes;
        self.fallbacks += route.fallbacks;
        self.last_request = self.last_request.max(route.last_request);
        for failure in &route.failures {
            // One of a version to come is counted as a request and no more.
            if let Some(cause) = Cause::labelled(&failure.cause) {
                let sum = self.causes.entry(cause).or_default();
                sum.add(failure, &route.route.upstream);
            }
        }
    }

    /// What decides about one trouble.
    pub fn counts(&self, trouble: Trouble) -> Counts {
        let mut counts = Counts {
            requests: self.requests,
            recent: self.recent,
            successes: self.successes,
            ..Counts::default()
        };
        for (_, sum) in self.causes(trouble) {
            counts.failures += sum.count;
            counts.recent_failures += sum.recent;
        }
        counts
    }

    /// The failures that count as this trouble, by cause.
    pub fn causes(&self, trouble: Trouble) -> impl Iterator<Item = (Cause, &CauseSum)> {
        let causes = self.causes.iter().map(|(cause, sum)| (*cause, sum));
        causes.filter(move |(cause, _)| cause.trouble() == Some(trouble))
    }

    /// The most frequent cause of them; the one known before, while it is nearly as frequent.
    pub fn leading(&self, trouble: Trouble, before: Option<Cause>) -> Option<Cause> {
        let most = self.causes(trouble).max_by_key(|(_, sum)| sum.count);
        let (cause, sum) = most?;
        let known = before.and_then(|it| Some((it, self.causes.get(&it)?)));
        match known {
            Some((before, known)) if known.count * 2 >= sum.count => Some(before),
            _ => Some(cause),
        }
    }

    /// The failures of one cause.
    pub fn cause(&self, cause: Cause) -> Option<&CauseSum> {
        self.causes.get(&cause)
    }
}

impl CauseSum {
    fn add(&mut self, failure: &FailureReport, upstream: &str) {
        self.since = match self.count {
            0 => failure.since,
            _ => self.since.min(failure.since),
        };
        self.count += failure.count;
        self.recent += failure.recent;
        if failure.count > self.most {
            self.most = failure.count;
            upstream.clone_into(&mut self.upstream);
            self.request_id = failure.request_id.clone().or(self.request_id.take());
        } else if self.request_id.is_none() {
            self.request_id.clone_from(&failure.request_id);
        }
        self.more_endpoints = self.more_endpoints.max(failure.more_endpoints);
        for sample in &failure.samples {
            let known = self.samples.iter().any(|it| it.endpoint == sample.endpoint);
            if !known && self.samples.len() < SAMPLES {
                self.samples.push(sample.clone());
            } else if !known {
                self.more_endpoints += 1;
            }
        }
    }
}

/// Namespace and name of the Service of an upstream.
fn service(upstream: &str) -> Option<(&str, &str)> {
    let (namespace, rest) = upstream.split_once('/')?;
    Some((namespace, rest.rsplit_once(':')?.0))
}

/// The Ingress of this namespace and name.
pub(super) fn ingress((namespace, name): (&str, &str)) -> ObjectRef {
    ObjectRef {
        kind: Kind::Ingress,
        namespace: namespace.into(),
        name: name.into(),
    }
}

#[cfg(test)]
mod tests;
