//! Several replicas, of which one writes; and how a replica ends.

use std::pin::pin;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use http::StatusCode;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::networking::v1::Ingress;
use kube::ResourceExt;
use kube::api::ListParams;
use kube::runtime::{WatchStreamExt, watcher};

use crate::backend::HELD;
use crate::client::{self, request};
use crate::load::Load;
use crate::replica::Replica;
use crate::tenant::Tenant;
use crate::wait::{SOON, eventually};

trials![
    every_replica_serves_and_one_holds_the_lease,
    a_leader_that_is_killed_is_replaced_when_its_lease_runs_out,
    a_replica_that_is_told_to_end_finishes_what_is_in_flight,
    a_replica_that_ends_under_load_costs_no_request,
    a_second_signal_ends_a_replica_at_once;
    alone: a_leader_that_ends_hands_over_within_two_seconds,
];

const HOST: &str = "shop.example";
const ADDRESS: &str = "192.0.2.10";
/// A Lease may last half a minute, and a loaded machine is slow.
const LEASE_RUNS_OUT: Duration = Duration::from_secs(90);

/// Who holds the one Lease of this tenant.
async fn leader(shop: &Tenant) -> Result<String, String> {
    let leases = shop.api::<Lease>().list(&ListParams::default()).await;
    let leases = leases.map_err(|error| error.to_string())?.items;
    let holder = match leases.as_slice() {
        [lease] => lease.spec.clone().unwrap_or_default().holder_identity,
        _ => return Err(format!("{} leases", leases.len())),
    };
    holder
        .filter(|name| !name.is_empty())
        .ok_or("nobody".to_owned())
}

/// Waits until somebody leads.
pub(crate) async fn first_leader(shop: &Tenant) -> String {
    eventually("first leader", SOON, async || leader(shop).await).await
}

async fn another_leader(shop: &Tenant, than: &str, within: Duration) -> String {
    eventually("change of leader", within, async || {
        let holder = leader(shop).await?;
        (holder != than)
            .then_some(holder)
            .ok_or(format!("still {than}"))
    })
    .await
}

/// Proof that somebody writes: a new Ingress is given its address.
async fn is_given_an_address(shop: &Tenant, ingress: &Ingress) {
    eventually("address on a new Ingress", LEASE_RUNS_OUT, async || {
        let now: Ingress = shop
            .api()
            .get(&ingress.name_any())
            .await
            .map_err(|e| e.to_string())?;
        let status = format!("{:?}", now.status);
        status.contains(ADDRESS).then_some(()).ok_or(status)
    })
    .await;
}

async fn two_replicas(shop: &Tenant) -> [Replica; 2] {
    let publish = format!("--publish-address={ADDRESS}");
    let first = shop.replica("bywash-0", &[&publish]).await;
    first_leader(shop).await;
    let second = shop.replica("bywash-1", &[&publish]).await;
    [first, second]
}

async fn every_replica_serves_and_one_holds_the_lease() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    let replicas = two_replicas(&shop).await;
    let ingress = shop.ingress("shop", HOST, "web").await;
    for replica in &replicas {
        replica.processed(&ingress).await;
        assert_eq!(replica.get(HOST, "/").await.pod(), "web-0");
    }
    assert!(leader(&shop).await.unwrap().contains("bywash-0"));
    is_given_an_address(&shop, &ingress).await;
}

/// How long nobody held the Lease after this one gave it up.
async fn vacancy(shop: &Tenant, before: &str) -> Duration {
    let events = watcher(shop.api::<Lease>(), watcher::Config::default());
    let mut leases = pin!(events.applied_objects());
    let mut vacant: Option<Instant> = None;
    loop {
        let lease = leases.try_next().await.unwrap().unwrap();
        let holder = lease.spec.and_then(|spec| spec.holder_identity);
        match holder.as_deref() {
            None | Some("") => drop(vacant.get_or_insert_with(Instant::now)),
            Some(holder) if holder != before => {
                return vacant.expect("a Lease that was given up").elapsed();
            }
            Some(_) => {}
        }
    }
}

async fn a_leader_that_ends_hands_over_within_two_seconds() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    bywash_serves(&shop).await;
    let [mut first, second] = two_replicas(&shop).await;
    let before = leader(&shop).await.unwrap();
    let load = Load::start(4, second.http, HOST);
    load.flows(50).await;

    let end = async {
        first.terminate();
        assert!(first.exited(SOON).await.success());
        another_leader(&shop, &before, SOON).await;
    };
    let (vacancy, ()) = tokio::join!(vacancy(&shop, &before), end);
    println!("nobody led for {vacancy:?}");
    assert!(vacancy < Duration::from_secs(2), "{vacancy:?}");

    let late = shop.ingress("late", "late.example", "web").await;
    second.processed(&late).await;
    assert_eq!(second.get("late.example", "/").await.pod(), "web-0");
    is_given_an_address(&shop, &late).await;
    load.stop_without_failures().await;
}

async fn a_leader_that_is_killed_is_replaced_when_its_lease_runs_out() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    bywash_serves(&shop).await;
    let [mut first, second] = two_replicas(&shop).await;
    let before = leader(&shop).await.unwrap();
    let load = Load::start(4, second.http, HOST);

    first.kill();
    another_leader(&shop, &before, LEASE_RUNS_OUT).await;
    let late = shop.ingress("late", "late.example", "web").await;
    is_given_an_address(&shop, &late).await;
    load.stop_without_failures().await;
}

async fn bywash_serves(shop: &Tenant) {
    shop.ingress("shop", HOST, "web").await;
}

async fn a_replica_that_is_told_to_end_finishes_what_is_in_flight() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    bywash_serves(&shop).await;
    let mut bywash = shop.replica("bywash-0", &["--drain-delay=5s"]).await;
    let held = tokio::spawn(client::send(bywash.http, request(HOST, HELD)));
    eventually("request in flight", SOON, async || {
        (web.pods[0].backend.held() == 1)
            .then_some(())
            .ok_or("none".to_owned())
    })
    .await;

    bywash.terminate();
    is_no_longer_ready(&bywash).await;
    // The load balancer has not heard of it yet: new requests are still served.
    assert_eq!(bywash.get(HOST, "/").await.pod(), "web-0");

    web.pods[0].backend.release();
    assert_eq!(held.await.unwrap().unwrap().pod(), "web-0");
    assert!(bywash.exited(SOON).await.success());
}

/// The load balancer in front notices by the probe, and sends no more; until then all is served.
async fn a_replica_that_ends_under_load_costs_no_request() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 2).await;
    web.slices().await;
    bywash_serves(&shop).await;
    let mut bywash = shop.replica("bywash-0", &["--drain-delay=10s"]).await;
    let load = Load::start(8, bywash.http, HOST);
    load.flows(100).await;

    bywash.terminate();
    is_no_longer_ready(&bywash).await;
    load.flows(100).await;
    load.stop_without_failures().await;
    assert!(bywash.exited(SOON).await.success());
}

async fn a_second_signal_ends_a_replica_at_once() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    bywash_serves(&shop).await;
    let long = ["--drain-delay=200s", "--drain-timeout=300s"];
    let mut bywash = shop.replica("bywash-0", &long).await;
    let held = tokio::spawn(client::send(bywash.http, request(HOST, HELD)));
    eventually("request in flight", SOON, async || {
        (web.pods[0].backend.held() == 1)
            .then_some(())
            .ok_or("none".to_owned())
    })
    .await;

    bywash.terminate();
    is_no_longer_ready(&bywash).await;
    bywash.terminate();
    bywash.exited(SOON).await;
    assert!(held.await.unwrap().is_err());
}

async fn is_no_longer_ready(bywash: &Replica) {
    eventually("replica that is no longer ready", SOON, async || {
        let probe = bywash
            .probe("/readyz")
            .await
            .map_err(|error| format!("{error:#}"))?;
        let unready = probe.status == StatusCode::SERVICE_UNAVAILABLE;
        unready.then_some(()).ok_or(format!("{probe:?}"))
    })
    .await;
}
