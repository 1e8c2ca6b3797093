//! A data plane over a table built by hand: no Kubernetes, no files.
//!
//! One worker if nothing else is said, so that what one connection leaves behind is what the next
//! request finds.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use bywash::failure::Cause;
use bywash::faults::Peer;
use bywash::faults::script::Plan;
use bywash::proxy::compile::compile;
use bywash::proxy::handler::{self, Observers};
use bywash::proxy::serving::Serving;
use bywash::proxy::{DataPlane, RuntimeKind, Settings};
use bywash::routing::host::HostPattern;
use bywash::routing::policy::{AddressRules, Policy};
use bywash::routing::snapshot::{
    EndpointSource, EndpointSpec, EndpointState, Fallback, IngressName, Route, ServicePort,
    Snapshot, Target, Upstream, UpstreamId, VirtualHost,
};
use bywash::telemetry::access_log::{self, AccessLog, Format, Query};
use bywash::telemetry::failures::Failures;
use bywash::telemetry::metrics::Metrics;
use bywash::telemetry::spool::SpoolWriter;
use bywash::telemetry::traces::Traces;
use bywash::upstream::registry::{Registry, Settings as UpstreamSettings};

use super::client::{Answer, Client, within};
use super::log::{Entry, Log, Outcomes, log};

/// A running data plane.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    pub(crate) https: Option<SocketAddr>,
    pub(crate) metrics: Arc<Metrics>,
    log: Log,
    /// What failed.
    pub(crate) outcomes: Outcomes,
    plane: Mutex<Option<DataPlane>>,
    snapshot: Mutex<Snapshot>,
    serving: Arc<ArcSwap<Serving>>,
    registry: Arc<Registry>,
    _writer: SpoolWriter,
}

/// What a gateway is given.
pub(crate) struct Setup {
    pub(crate) snapshot: Snapshot,
    pub(crate) rules: AddressRules,
    pub(crate) settings: Settings,
    /// The part of the requests that went well which is logged.
    pub(crate) sample: f64,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            snapshot: Snapshot::default(),
            rules: AddressRules {
                allow_loopback: true,
                prohibited: Vec::new(),
            },
            settings: Settings {
                http: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
                https: None,
                workers: NonZeroUsize::MIN,
                runtime: RuntimeKind::PerCore,
                ..Settings::default()
            },
            sample: 1.0,
        }
    }
}

/// So many endpoints, which do the same and are counted together.
pub(crate) async fn endpoints(count: usize, plan: impl Into<Plan>) -> Peer {
    let any = vec![SocketAddr::from(([127, 0, 0, 1], 0)); count];
    Peer::start_at(&any, "peer", plan).await.unwrap()
}

/// The addresses of several peers.
pub(crate) fn addresses(peers: &[&Peer]) -> Vec<SocketAddr> {
    let addresses = peers.iter().flat_map(|peer| peer.addresses());
    addresses.copied().collect()
}

/// A target that leads nowhere, for this reason.
pub(crate) fn nowhere(cause: Cause) -> Target {
    let service = ServicePort::parse("shop/shop:99");
    Target::Unavailable { cause, service }
}

/// A table of one route, for every host and path.
pub(crate) fn everything_to(target: Target, policy: Policy) -> VirtualHost {
    VirtualHost {
        default: Some(Arc::new(Route {
            ingress: IngressName {
                namespace: "shop".into(),
                name: "shop".into(),
            },
            target,
            policy: Arc::new(policy),
            fallback: None,
        })),
        ..VirtualHost::default()
    }
}

fn upstream(endpoints: impl IntoIterator<Item = (SocketAddr, EndpointState)>) -> Upstream {
    let mut endpoints: Vec<_> = endpoints.into_iter().collect();
    endpoints.sort_unstable_by_key(|(address, _)| *address);
    let spec = |(address, state)| EndpointSpec {
        address,
        state,
        weight: 1,
        zone: None,
        pod: None,
    };
    Upstream {
        endpoints: EndpointSource::Known(endpoints.into_iter().map(spec).collect()),
    }
}

impl Setup {
    /// Every request goes to these endpoints, under this policy.
    pub(crate) fn to(endpoints: &[SocketAddr], policy: Policy) -> Self {
        let id = UpstreamId {
            service: ServicePort {
                namespace: "shop".into(),
                name: "shop".into(),
                port: 80,
            },
            policy: Arc::clone(&policy.upstream),
        };
        let mut setup = Self::routed(Target::Upstream(id.clone()), policy);
        let ready = endpoints
            .iter()
            .map(|address| (*address, EndpointState::Ready));
        setup.snapshot.upstreams = BTreeMap::from([(id, upstream(ready))]);
        setup
    }

    /// The same, and where that fails to these endpoints under the policy of a Service without one.
    pub(crate) fn backed(endpoints: &[SocketAddr], mut policy: Policy, by: &[SocketAddr]) -> Self {
        policy.upstream_mut().has_fallback = true;
        let own = Self::to(endpoints, policy.clone()).snapshot.upstreams;
        let target = own.keys().next().cloned().map(Target::Upstream);
        let mut setup = Self::routed_backed(target.unwrap(), policy, by);
        setup.snapshot.upstreams.extend(own);
        setup
    }

    /// Every request goes to this target, and where that fails to these endpoints.
    pub(crate) fn routed_backed(target: Target, policy: Policy, by: &[SocketAddr]) -> Self {
        let id = UpstreamId {
            service: ServicePort {
                namespace: "shop".into(),
                name: "static".into(),
                port: 80,
            },
            policy: Arc::default(),
        };
        let mut setup = Self::routed(target, policy);
        for host in setup.snapshot.hosts.values_mut() {
            let mut route = (**host.default.as_ref().unwrap()).clone();
            route.fallback = Some(Fallback {
                upstream: id.clone(),
                policy: Arc::default(),
            });
            host.default = Some(Arc::new(route));
        }
        let ready = by.iter().map(|address| (*address, EndpointState::Ready));
        setup.snapshot.upstreams = BTreeMap::from([(id, upstream(ready))]);
        setup
    }

    /// Changes the policy of what stands in.
    pub(crate) fn backed_under(mut self, change: impl Fn(&mut Policy)) -> Self {
        for host in self.snapshot.hosts.values_mut() {
            let mut route = (**host.default.as_ref().unwrap()).clone();
            let fallback = route.fallback.as_mut().unwrap();
            change(Arc::make_mut(&mut fallback.policy));
            host.default = Some(Arc::new(route));
        }
        self
    }

    /// Every request goes to the addresses of a name, at port 80, under this policy.
    pub(crate) fn to_name(name: &str, policy: Policy) -> Self {
        let mut setup = Self::to(&[], policy);
        for upstream in setup.snapshot.upstreams.values_mut() {
            let name = name.into();
            upstream.endpoints = EndpointSource::Name { name, port: 80 };
        }
        setup
    }

    /// Every request goes to this target.
    pub(crate) fn routed(target: Target, policy: Policy) -> Self {
        let mut setup = Self::default();
        let host = everything_to(target, policy);
        setup.snapshot.hosts = BTreeMap::from([(HostPattern::Any, host)]);
        setup
    }

    pub(crate) fn start(self) -> Gateway {
        let metrics = Metrics::new(self.settings.workers.get());
        let (sink, log) = log();
        let format = access_log::Settings {
            format: Format::Json,
            query: Query::Hidden,
            sample: self.sample,
        };
        let workers = self.settings.workers.get();
        let (access, writer) = AccessLog::start(format, workers, &metrics, sink).unwrap();
        let (failures, outcomes) = Failures::queue(&metrics);
        let registry = Registry::new(UpstreamSettings {
            workers,
            address_rules: self.rules,
            metrics: metrics.clone(),
        });
        let attached = registry.attach(&self.snapshot);
        let nothing = Serving::nothing(&metrics);
        let serving = compile(&self.snapshot, &attached, &nothing, &metrics);
        let serving = Arc::new(ArcSwap::from_pointee(serving));
        let gateway = handler::Gateway::new(
            (&self.settings, "test"),
            serving.clone(),
            registry.clone(),
            metrics.clone(),
            Observers {
                access_log: access,
                failures,
                traces: Traces::off(),
            },
        );
        let plane = DataPlane::start(&self.settings, gateway).unwrap();
        Gateway {
            address: plane.http_address().unwrap(),
            https: plane.https_address(),
            metrics,
            log,
            outcomes: Outcomes::new(outcomes),
            plane: Mutex::new(Some(plane)),
            snapshot: Mutex::new(self.snapshot),
            serving,
            registry,
            _writer: writer,
        }
    }
}

impl Gateway {
    /// In front of these peers, under the policy of an Ingress that has none.
    pub(crate) fn before(peers: &[&Peer]) -> Self {
        Self::with(peers, |_| {})
    }

    /// In front of these peers, under that policy but for these changes.
    pub(crate) fn with(peers: &[&Peer], change: impl FnOnce(&mut Policy)) -> Self {
        let mut policy = Policy::default();
        change(&mut policy);
        Setup::to(&addresses(peers), policy).start()
    }

    /// Its upstreams have these endpoints from now on.
    pub(crate) fn now_has<const N: usize>(&self, endpoints: [(&Peer, EndpointState); N]) {
        let endpoints = endpoints.map(|(peer, state)| (peer.address(), state));
        let mut snapshot = self.snapshot.lock().unwrap().clone();
        for spec in snapshot.upstreams.values_mut() {
            *spec = upstream(endpoints);
        }
        self.serve(snapshot);
    }

    /// Serves this from now on.
    pub(crate) fn serve(&self, snapshot: Snapshot) {
        let attached = self.registry.attach(&snapshot);
        let before = self.serving.load_full();
        let serving = compile(&snapshot, &attached, &before, &self.metrics);
        self.serving.store(Arc::new(serving));
        *self.snapshot.lock().unwrap() = snapshot;
    }

    /// Ends the data plane without waiting for anybody.
    pub(crate) async fn cut_off(&self) {
        let plane = self.plane.lock().unwrap().take().unwrap();
        plane.drain(Duration::ZERO).await;
    }

    /// A new connection.
    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// The answer to a request on a new connection.
    pub(crate) async fn ask(&self, request: impl AsRef<[u8]>) -> Answer {
        self.client().await.ask(request).await
    }

    /// What the access log says of the next request that ended.
    pub(crate) async fn logged(&self) -> Entry {
        self.log.next().await
    }

    /// The answer to a request on a new connection, and what the access log says of it.
    pub(crate) async fn outcome(&self, request: impl AsRef<[u8]>) -> (Answer, Entry) {
        let answer = self.ask(request).await;
        let entry = self.logged().await;
        assert_eq!(Some(&*entry.id), answer.field("x-request-id"));
        // A gRPC call that failed has 200 there, and its failure here.
        if answer.field("grpc-status").is_none() {
            assert_eq!(entry.status, answer.status);
        }
        (answer, entry)
    }

    /// The value of a metric: the sum over all its labels that hold a text.
    pub(crate) fn metric(&self, name: &str, label: &str) -> f64 {
        let text = self.metrics.encode().unwrap();
        let lines = text
            .lines()
            .filter(|line| line.starts_with(name) && line.contains(label));
        let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.sum()
    }

    /// Waits until a metric satisfies a condition.
    pub(crate) async fn until_metric(&self, name: &str, holds: impl Fn(f64) -> bool) {
        let reached = async {
            while !holds(self.metric(name, "")) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        within(name, reached).await;
    }
}

/// A short time for limits that are to run out.
pub(crate) const SHORT: Duration = Duration::from_millis(250);
