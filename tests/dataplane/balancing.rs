//! Which endpoint a request reaches, by each algorithm. That the shares are right whatever the
//! weights is shown where the choice is made; here, that requests bring what the choice depends on.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use bywash::faults::{Fault, Peer};
use bywash::routing::policy::Policy;
use bywash::routing::policy::upstream::{Algorithm, HashKey};
use bywash::routing::snapshot::{EndpointSource, EndpointSpec, Snapshot};

use super::client::{get, until};
use super::gateway::{Gateway, Setup, addresses};

pub(crate) async fn peers<const N: usize>(fault: Fault) -> [Peer; N] {
    let mut peers = Vec::new();
    for _ in 0..N {
        peers.push(Peer::start(fault).await.unwrap());
    }
    peers.try_into().unwrap()
}

/// `GET /` with these fields.
pub(crate) fn get_with(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: shop.test\r\n{fields}\r\n\r\n")
}

/// Changes the only upstream's endpoints.
pub(crate) fn each_endpoint(snapshot: &mut Snapshot, change: impl FnMut(&mut EndpointSpec)) {
    let upstream = snapshot.upstreams.values_mut().next().unwrap();
    let EndpointSource::Known(endpoints) = &mut upstream.endpoints else {
        panic!("endpoints of a name")
    };
    endpoints.iter_mut().for_each(change);
}

fn with_algorithm(peers: &[&Peer], algorithm: Algorithm) -> Gateway {
    Gateway::with(peers, |policy| {
        policy.upstream_mut().load_balancing.algorithm = algorithm;
    })
}

/// Where so many requests went that were answered at the first attempt.
async fn reached(gateway: &Gateway, request: &str, requests: usize) -> Vec<SocketAddr> {
    let mut reached = Vec::new();
    for _ in 0..requests {
        let (answer, entry) = gateway.outcome(request).await;
        assert_eq!((answer.status, entry.attempts.len()), (200, 1));
        reached.extend(entry.endpoints());
    }
    reached
}

#[tokio::test]
async fn in_turn_each_endpoint_gets_every_third_request() {
    let [a, b, c] = &peers(Fault::Echo).await;
    let gateway = with_algorithm(&[a, b, c], Algorithm::RoundRobin);
    let reached = reached(&gateway, &get("/"), 9).await;
    for (earlier, later) in reached.iter().zip(&reached[3..]) {
        assert_eq!(earlier, later);
    }
    assert_eq!([a.requests(), b.requests(), c.requests()], [3, 3, 3]);
}

#[tokio::test]
async fn an_endpoint_that_weighs_three_times_as_much_gets_three_times_as_many_requests() {
    let [light, heavy] = &peers(Fault::Echo).await;
    let mut policy = Policy::default();
    policy.upstream_mut().load_balancing.algorithm = Algorithm::RoundRobin;
    let mut setup = Setup::to(&addresses(&[light, heavy]), policy);
    each_endpoint(&mut setup.snapshot, |endpoint| {
        if endpoint.address == heavy.address() {
            endpoint.weight = 3;
        }
    });
    reached(&setup.start(), &get("/"), 40).await;
    assert!(
        (8..=12).contains(&light.requests()),
        "{} of 40",
        light.requests()
    );
}

#[tokio::test]
async fn at_random_each_endpoint_gets_about_the_same() {
    let [a, b, c] = &peers(Fault::Echo).await;
    let gateway = with_algorithm(&[a, b, c], Algorithm::Random);
    reached(&gateway, &get("/"), 300).await;
    let counts = [a.requests(), b.requests(), c.requests()];
    assert!(
        counts.iter().all(|count| (50..=150).contains(count)),
        "{counts:?}"
    );
}

#[tokio::test]
async fn one_that_is_busy_with_a_request_gets_none_while_another_is_idle() {
    for algorithm in [Algorithm::LeastRequest, Algorithm::PeakEwma] {
        let [busy, idle] = &peers(Fault::Echo).await;
        busy.from_now_on(Fault::StallBeforeHead);
        let gateway = with_algorithm(&[busy, idle], algorithm);
        // Of those that come while nothing is in flight, one meets it sooner or later.
        let mut held = Vec::new();
        while busy.requests() == 0 {
            let before = idle.requests();
            let mut client = gateway.client().await;
            client.send(get("/")).await;
            tokio::select! {
                _ = until(busy, |counts| counts.requests == 1) => {}
                _ = until(idle, |counts| counts.requests > before) => {}
            }
            held.push(client);
        }
        until(busy, |counts| counts.requests == 1).await;
        let mut client = gateway.client().await;
        for _ in 0..20 {
            assert_eq!(client.ask(get("/")).await.status, 200);
        }
        assert_eq!(busy.requests(), 1);
    }
}

/// So many meet all of three endpoints, unless in one run of ten thousand million.
const USERS: usize = 60;

/// One request of each user.
async fn by_user(gateway: &Gateway, carry: impl Fn(usize) -> String) -> Vec<SocketAddr> {
    let mut by_user = Vec::new();
    for user in 0..USERS {
        by_user.extend(reached(gateway, &get_with(&carry(user)), 1).await);
    }
    by_user
}

async fn is_consistent(gateway: &Gateway, carry: impl Fn(usize) -> String) {
    let first = by_user(gateway, &carry).await;
    assert_eq!(first, by_user(gateway, &carry).await);
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 3, "{first:?}");
}

#[tokio::test]
async fn a_request_goes_by_what_it_carries() {
    let [a, b, c] = &peers(Fault::Echo).await;
    let by = |key| with_algorithm(&[a, b, c], Algorithm::ConsistentHash(key));
    let header = by(HashKey::Header("x-user".into()));
    is_consistent(&header, |user| format!("X-User: {user}")).await;
    let cookie = by(HashKey::Cookie("user".into()));
    is_consistent(&cookie, |user| format!("Cookie: a=b; user={user}; c=d")).await;
    // All gateways agree.
    let another = by(HashKey::Header("x-user".into()));
    let carry = |user| format!("X-User: {user}");
    assert_eq!(
        by_user(&header, carry).await,
        by_user(&another, carry).await
    );
}

#[tokio::test]
async fn the_address_of_a_client_is_the_one_that_a_trusted_proxy_names() {
    let [a, b, c] = &peers(Fault::Echo).await;
    let mut policy = Policy::default();
    policy.upstream_mut().load_balancing.algorithm =
        Algorithm::ConsistentHash(HashKey::ClientAddress);
    let carry = |user| format!("X-Forwarded-For: 203.0.113.{user}");
    let mut setup = Setup::to(&addresses(&[a, b, c]), policy.clone());
    setup.settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    is_consistent(&setup.start(), carry).await;
    // Nobody else may choose its endpoint.
    let strict = Setup::to(&addresses(&[a, b, c]), policy).start();
    let reached = by_user(&strict, carry).await;
    assert_eq!(reached.iter().collect::<BTreeSet<_>>().len(), 1);
}

#[tokio::test]
async fn the_requests_of_an_endpoint_that_refuses_go_where_they_will_stay_and_no_others_move() {
    let [mut a, b, c] = peers(Fault::Echo).await;
    let key = HashKey::Header("x-user".into());
    let gateway = with_algorithm(&[&a, &b, &c], Algorithm::ConsistentHash(key));
    let carry = |user| format!("X-User: {user}");
    let before = by_user(&gateway, carry).await;
    let gone = a.address();
    a.refuse().await.unwrap();
    let mut retried = Vec::new();
    for user in 0..USERS {
        let (answer, entry) = gateway.outcome(get_with(&carry(user))).await;
        assert_eq!(answer.status, 200);
        retried.push(*entry.endpoints().last().unwrap());
    }
    for (before, after) in before.iter().zip(&retried) {
        assert!(before == after || *before == gone && *after != gone);
    }
    // It has been ejected by now.
    assert_eq!(by_user(&gateway, carry).await, retried);
}

/// Ejections would soon hide what a first failure leads to.
fn never_ejected(policy: &mut Policy) {
    let rules = &mut policy.upstream_mut().outlier_detection;
    rules.consecutive_connect_failures = u8::MAX;
    rules.consecutive_failures = u8::MAX;
    rules.failure_percent.min_requests = u32::MAX;
}

#[tokio::test]
async fn after_a_failure_to_connect_another_zone_goes_first() {
    let refusing: [Peer; 3] = peers(Fault::Refuse).await;
    let [works] = &peers(Fault::Echo).await;
    let mut policy = Policy::default();
    never_ejected(&mut policy);
    let [a, b, c] = &refusing;
    let mut setup = Setup::to(&addresses(&[a, b, c, works]), policy);
    each_endpoint(&mut setup.snapshot, |endpoint| {
        let zone = if endpoint.address == works.address() {
            "b"
        } else {
            "a"
        };
        endpoint.zone = Some(zone.into());
    });
    let gateway = setup.start();
    let mut failed_first = 0;
    for _ in 0..200 {
        let (answer, entry) = gateway.outcome(get("/")).await;
        assert_eq!(answer.status, 200);
        assert!(entry.attempts.len() <= 2, "{:?}", entry.endpoints());
        failed_first += entry.attempts.len() - 1;
        if failed_first == 20 {
            return;
        }
    }
    panic!("only {failed_first} requests met an endpoint that refuses");
}

async fn four_of_which_three_are_ejected(panic_threshold: Option<u8>) -> (Gateway, [Peer; 4]) {
    let [a, b, c] = peers(Fault::Refuse).await;
    let [works] = peers(Fault::Echo).await;
    let gateway = Gateway::with(&[&a, &b, &c, &works], |policy| {
        let upstream = policy.upstream_mut();
        upstream.panic_threshold = panic_threshold;
        upstream.load_balancing.algorithm = Algorithm::RoundRobin;
    });
    while gateway.metric("bywash_upstream_endpoints", "ejected") < 3.0 {
        gateway.outcome(get("/")).await;
    }
    (gateway, [a, b, c, works])
}

#[tokio::test]
async fn with_too_few_endpoints_in_use_ejections_are_ignored() {
    let (gateway, peers) = four_of_which_three_are_ejected(Some(50)).await;
    let mut tried = BTreeSet::new();
    for _ in 0..20 {
        let (_, entry) = gateway.outcome(get("/")).await;
        tried.extend(entry.endpoints());
    }
    assert_eq!(tried.len(), peers.len());
    // They are still ejected: what is ignored is not forgotten.
    let ejected = gateway.metric("bywash_upstream_endpoints", "ejected");
    assert_eq!(ejected, 3.0);
}

#[tokio::test]
async fn without_a_threshold_the_last_endpoint_in_use_gets_everything() {
    let (gateway, [.., works]) = four_of_which_three_are_ejected(None).await;
    let reached = reached(&gateway, &get("/"), 20).await;
    assert_eq!(reached, [works.address(); 20]);
}
