//! A storm: a hundred Ingresses fail at once, come back, and fail again, seen by two replicas.
//!
//! What is written of it stays within its bounds, as the API server itself counts; and still every one of
//! them says soon why it fails. `BYWASH_STORM_RATE` is how many requests fail each second.

mod traffic;
mod writes;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bywash::api::policy::GatewayPolicy;
use bywash::failure::Cause;
use bywash::faults::{Fault, Peer};
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::{Event, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::ListParams;
use serde_json::json;
use tokio::time::Instant;

use crate::conditions;
use crate::control_plane::ControlPlane;
use crate::objects::{POD_PORT, object};
use crate::policy::{for_ingress, policy};
use crate::replica::Replica;
use crate::tenant::{Kind, Tenant};
use crate::wait::{SOON, eventually};
use traffic::Traffic;
use writes::Writes;

trials![; alone:
    a_hundred_ingresses_that_fail_say_why_within_ten_seconds_and_within_the_bounds_on_writes,
];

const INGRESSES: usize = 100;
/// Of them, those with a policy of their own.
const OWN_POLICIES: usize = 10;
/// With the one that is for all of them.
const POLICIES: usize = OWN_POLICIES + 1;
/// Addresses of pods that they share.
const PODS: usize = 10;

/// From the first failure to the cause on every Ingress.
const TOLD: Duration = Duration::from_secs(10);
/// Until all is well long enough, and said.
const OVER: Duration = Duration::from_secs(60);
/// For how long a state lasts, in seconds of requests.
const LASTS: u64 = 10;

/// The bucket: so many writes at once, and so many a second.
const BURST: f64 = 100.0;
const PER_SECOND: f64 = 20.0;
/// Changes of one object in ten minutes: its first word, six more, and that it comes and goes.
const CHANGES: u64 = 8;
/// Reports of one replica are at least so far apart, in seconds.
const REPORTS_APART: f64 = 2.0;

/// How often each Event was said, by Ingress and reason.
type Said = BTreeMap<(String, String), u64>;

struct Storm {
    shop: Tenant,
    peer: Peer,
    slices: Vec<EndpointSlice>,
    traffic: Traffic,
    rate: u64,
    replicas: [Replica; 2],
}

async fn a_hundred_ingresses_that_fail_say_why_within_ten_seconds_and_within_the_bounds_on_writes()
{
    let own = ControlPlane::own("storm").await;
    let storm = Storm::gathers(Tenant::of(Arc::clone(&own.plane)).await).await;
    let (begin, before) = (Instant::now(), Writes::so_far(&storm.shop).await);
    let said_before = total(&storm.said().await);

    let said = storm.said().await;
    storm.peer.from_now_on(Fault::CloseAfterRequest);
    storm
        .tell(&said, Cause::ConnectionClosed.reason(), SOON)
        .await;
    let told = begin.elapsed();
    println!("storm: all say why after {told:?}");
    assert!(told < TOLD, "{told:?}");
    storm.have_error(Some("bywash.dev/BadGateway")).await;
    storm.policies_say_so().await;
    storm.lasts().await;

    storm.alternates().await;

    // What is under way is counted a moment before it is seen, or after.
    let each_is_seen = async || {
        let (wrote, took) = (Writes::so_far(&storm.shop).await - before, begin.elapsed());
        let said = storm.said().await;
        let seen = total(&said) - said_before;
        (wrote.events == seen)
            .then_some((wrote, took, said))
            .ok_or(format!("{wrote:?}, and {seen} Events"))
    };
    let (wrote, took, said) = eventually("each write as an Event", SOON, each_is_seen).await;
    println!(
        "storm: {wrote:?} in {took:?}, {} requests failed",
        storm.traffic.failed()
    );
    let seconds = took.as_secs_f64();
    assert!(
        wrote.told() as f64 <= BURST + PER_SECOND * seconds,
        "{wrote:?} in {took:?}"
    );
    assert!(wrote.ingresses <= INGRESSES as u64 * CHANGES, "{wrote:?}");
    assert!(said.values().all(|times| *times <= CHANGES), "{said:?}");
    let reports = storm.replicas.len() as f64 * (1.0 + seconds / REPORTS_APART);
    assert!(wrote.reports as f64 <= reports, "{wrote:?} in {took:?}");
    assert_eq!(storm.writers().await, ["bywash-0"]);
    storm.traffic.stop().await;
}

fn host(number: usize) -> String {
    format!("app-{number}.example")
}

fn total(said: &Said) -> u64 {
    said.values().sum()
}

async fn list<K: Kind>(shop: &Tenant) -> Vec<K> {
    let listed = shop.api::<K>().list(&ListParams::default()).await;
    listed.unwrap().items
}

impl Storm {
    /// All is well and written down, requests flow, and the bucket is full.
    async fn gathers(shop: Tenant) -> Self {
        let rate = std::env::var("BYWASH_STORM_RATE").map_or(500, |rate| rate.parse().unwrap());
        let pods: [SocketAddr; PODS] = std::array::from_fn(|_| (shop.pod_ip(), POD_PORT).into());
        let peer = Peer::start_at(&pods, "pod", Fault::Echo).await.unwrap();
        let apps = stream::iter(0..INGRESSES).map(|number| app(&shop, number, pods[number % PODS]));
        let (slices, ingresses): (Vec<_>, Vec<_>) = apps.buffered(8).unzip().await;
        for number in 0..OWN_POLICIES {
            let name = format!("app-{number}");
            shop.create(policy(&name, for_ingress(&name, json!({}))))
                .await;
        }
        crate::policy::has_defaults(&shop, json!({"retry": {"attempts": 1}})).await;
        let first = conditions::replica(&shop, "bywash-0").await;
        crate::replicas::first_leader(&shop).await;
        let second = conditions::replica(&shop, "bywash-1").await;
        for replica in [&first, &second] {
            replica.processed_all(&ingresses).await;
        }
        // A fifth more, so that a pause of this machine does not make the storm a breeze.
        let traffic = Traffic::start(rate * 6 / 5, [first.http, second.http]);
        let storm = Self {
            shop,
            peer,
            slices,
            traffic,
            rate: rate.into(),
            replicas: [first, second],
        };
        storm.have_error(None).await;
        let filled = (BURST / PER_SECOND) as u64;
        storm
            .traffic
            .succeeds(storm.rate * 6 / 5 * (filled + 1))
            .await;
        storm
    }

    /// What is said on Ingresses.
    async fn said(&self) -> Said {
        let events = list::<Event>(&self.shop).await.into_iter();
        let events = events.filter(|it| it.involved_object.kind.as_deref() == Some("Ingress"));
        let said = events.map(|it| {
            let ingress = it.involved_object.name.unwrap();
            let times = it.count.unwrap().unsigned_abs().into();
            ((ingress, it.reason.unwrap()), times)
        });
        said.collect()
    }

    /// Waits until every Ingress says this, or says it anew, or has come and gone too often to.
    async fn tell(&self, before: &Said, reason: &str, within: Duration) {
        eventually(&format!("{reason} on every Ingress"), within, async || {
            let (said, mut told) = (self.said().await, self.alternating().await);
            let anew = said.iter().filter(|(key, times)| {
                key.1 == reason && before.get(*key).is_none_or(|before| before < times)
            });
            told.extend(anew.map(|(key, _)| key.0.clone()));
            let told = told.len();
            (told == INGRESSES).then_some(()).ok_or(format!("{told}"))
        })
        .await;
    }

    /// Waits until every Ingress has an address with this error.
    async fn have_error(&self, error: Option<&str>) {
        eventually(&format!("{error:?} on every Ingress"), SOON, async || {
            let ingresses = list::<Ingress>(&self.shop).await;
            let so = ingresses.iter().filter(|it| has_error(it, error)).count();
            (so == INGRESSES).then_some(()).ok_or(format!("{so}"))
        })
        .await;
    }

    /// Waits until every policy says that requests fail.
    async fn policies_say_so(&self) {
        eventually("BadGateway on every policy", SOON, async || {
            let policies = list::<GatewayPolicy>(&self.shop).await;
            let so = policies.iter().filter(|it| is_bad(it)).count();
            (so == POLICIES).then_some(()).ok_or(format!("{so}"))
        })
        .await;
    }

    /// While a state lasts nothing is written, however much fails.
    async fn lasts(&self) {
        let (begin, before) = (Instant::now(), Writes::so_far(&self.shop).await);
        let failed = self.traffic.failed();
        self.traffic.fails(self.rate * LASTS).await;
        let (failed, took) = (self.traffic.failed() - failed, begin.elapsed());
        println!("storm: {failed} requests failed in {took:?}, and nothing was written");
        assert!(
            failed as f64 / took.as_secs_f64() >= self.rate as f64,
            "{failed} in {took:?}"
        );
        assert_eq!((Writes::so_far(&self.shop).await - before).told(), 0);
    }

    /// Fails otherwise, is well, fails again, until it is said of every Ingress that it comes and goes.
    async fn alternates(&self) {
        self.has_no_endpoints().await;
        self.recovers().await;
        self.have_error(None).await;
        while self.alternating().await.len() < INGRESSES {
            let said = self.said().await;
            self.peer.from_now_on(Fault::CloseAfterRequest);
            let closed = Cause::ConnectionClosed.reason();
            self.tell(&said, closed, SOON).await;
            self.has_no_endpoints().await;
            self.recovers().await;
        }
    }

    async fn has_no_endpoints(&self) {
        let said = self.said().await;
        self.have_endpoints(false).await;
        self.tell(&said, Cause::NoEndpoints.reason(), SOON).await;
    }

    async fn recovers(&self) {
        let said = self.said().await;
        self.is_well().await;
        self.tell(&said, "Recovered", OVER).await;
    }

    /// The Ingresses of which is said that it comes and goes: they say nothing else for now.
    async fn alternating(&self) -> BTreeSet<String> {
        let events = list::<Event>(&self.shop).await.into_iter();
        let alternating = events.filter(|event| {
            let note = event.message.as_deref().unwrap_or_default();
            note.contains("It comes and goes")
        });
        let named = alternating.filter_map(|event| event.involved_object.name);
        named.collect()
    }

    async fn is_well(&self) {
        self.peer.from_now_on(Fault::Echo);
        self.have_endpoints(true).await;
    }

    /// Whether the Services have any endpoint.
    async fn have_endpoints(&self, ready: bool) {
        let patches = stream::iter(&self.slices).map(async |slice| {
            let mut endpoints = json!(slice.endpoints);
            endpoints[0]["conditions"] = json!({"ready": ready, "serving": ready});
            self.shop
                .patch(slice, json!({"endpoints": endpoints}))
                .await
        });
        let patched: Vec<_> = patches.buffer_unordered(8).collect().await;
        for replica in &self.replicas {
            replica.processed_all(&patched).await;
        }
    }

    /// The replicas that have written anything but their own reports.
    async fn writers(&self) -> Vec<String> {
        let mut writers = Vec::new();
        for (number, replica) in self.replicas.iter().enumerate() {
            let metrics = replica.probe("/metrics").await.unwrap().body;
            let mut lines = metrics
                .lines()
                .filter(|line| line.starts_with("bywash_status_writes_total{"));
            if lines.any(|line| !line.contains("kind=\"ConfigMap\"")) {
                writers.push(format!("bywash-{number}"));
            }
        }
        writers
    }
}

/// An Ingress, its Service, and the slice of its only endpoint.
async fn app(shop: &Tenant, number: usize, pod: SocketAddr) -> (EndpointSlice, Ingress) {
    let name = format!("app-{number}");
    let service: Service = object(json!({
        "metadata": {"name": name}, "spec": {"ports": [{"name": "http", "port": 80}]},
    }));
    let slice: EndpointSlice = object(json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": pod.port()}],
        "endpoints": [{"addresses": [pod.ip()], "conditions": {"ready": true}}],
    }));
    shop.create(service).await;
    let slice = shop.create(slice).await;
    (slice, shop.ingress(&name, &host(number), &name).await)
}

fn has_error(ingress: &Ingress, error: Option<&str>) -> bool {
    let balancer = ingress
        .status
        .as_ref()
        .and_then(|it| it.load_balancer.as_ref());
    let mut points = balancer.iter().flat_map(|it| it.ingress.iter().flatten());
    let of = |ports: &Option<Vec<_>>| -> Option<String> {
        let ports: &Vec<k8s_openapi::api::networking::v1::IngressPortStatus> = ports.as_ref()?;
        ports.first()?.error.clone()
    };
    points.any(|point| of(&point.ports).as_deref() == error)
}

fn is_bad(policy: &GatewayPolicy) -> bool {
    let conditions = policy
        .status
        .iter()
        .flat_map(|it| it.conditions.iter().flatten());
    let mut conditions = conditions.filter(|it| it.type_ == "BadGateway");
    conditions.any(|it| it.status == "True")
}
