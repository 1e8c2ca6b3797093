//! What carries over from one snapshot to the next.

use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};

use super::*;
use crate::failure::Cause;
use crate::routing::policy::upstream::{
    CircuitBreaker, HealthCheck, Probe, SlowStart, Trust, UpstreamPolicy, UpstreamTls,
};
use crate::routing::snapshot::ServicePort;
use crate::upstream::balance::Wish;

/// A snapshot with one upstream, whose endpoints have these last octets.
fn snapshot(endpoints: &[u8]) -> Snapshot {
    let specs = endpoints.iter().map(|n| EndpointSpec {
        address: ([10, 0, 0, *n], 80).into(),
        state: EndpointState::Ready,
        weight: 1,
        zone: None,
        pod: None,
    });
    let id = UpstreamId {
        service: ServicePort {
            namespace: "shop".into(),
            name: "web".into(),
            port: 80,
        },
        policy: Arc::new(UpstreamPolicy {
            slow_start: SlowStart {
                window: Duration::ZERO,
            },
            ..UpstreamPolicy::default()
        }),
    };
    let spec = Spec {
        endpoints: EndpointSource::Known(specs.collect()),
    };
    Snapshot {
        upstreams: [(id, spec)].into(),
        ..Snapshot::default()
    }
}

/// The same with TLS, under a policy that differs
/// from others by this.
fn secured(panic_threshold: u8) -> Snapshot {
    let mut secured = snapshot(&[1]);
    let (mut id, spec) = secured.upstreams.pop_first().unwrap();
    let policy = Arc::make_mut(&mut id.policy);
    policy.panic_threshold = Some(panic_threshold);
    policy.tls = Some(UpstreamTls {
        server_name: "web.shop.svc".into(),
        trust: Trust::Certificates(Arc::default()),
    });
    secured.upstreams.insert(id, spec);
    secured
}

fn registry() -> Arc<Registry> {
    Registry::new(Settings {
        workers: 1,
        address_rules: AddressRules::default(),
        metrics: Metrics::new(1),
    })
}

fn only(attached: Attached) -> Arc<Upstream> {
    attached.into_values().next().unwrap()
}

fn choose(upstream: &Upstream) -> Arc<Endpoint> {
    upstream.choose(&Wish::default()).unwrap().endpoint
}

#[test]
fn a_request_that_began_before_a_change_finds_the_endpoints_of_today() {
    let registry = registry();
    let held_since_long = only(registry.attach(&snapshot(&[1])));
    registry.attach(&snapshot(&[2]));
    let chosen = choose(&held_since_long);
    assert_eq!(chosen.address(), ([10, 0, 0, 2], 80).into());
}

#[test]
fn sessions_outlive_a_snapshot_and_connections_with_tls_are_apart_from_those_without() {
    let registry = registry();
    let before = only(registry.attach(&secured(1)));
    let after = only(registry.attach(&secured(2)));
    assert!(!Arc::ptr_eq(&before, &after));
    assert!(Arc::ptr_eq(before.tls().unwrap(), after.tls().unwrap()));
    assert!(Arc::ptr_eq(&choose(&before), &choose(&after)));
    let plain = only(registry.attach(&snapshot(&[1])));
    assert!(plain.tls().is_none());
    assert!(!Arc::ptr_eq(&choose(&after), &choose(&plain)));
}

#[test]
fn an_endpoint_that_stays_keeps_what_is_known_of_it() {
    let registry = registry();
    let before = choose(&only(registry.attach(&snapshot(&[1]))));
    let _in_flight = before.begin();
    let after = only(registry.attach(&snapshot(&[1, 2])));
    // Two are drawn, and the one with nothing in flight is the better.
    assert_eq!(choose(&after).address(), ([10, 0, 0, 2], 80).into());
    assert_eq!(after.usable(), 2);
}

fn named(name: &str) -> Snapshot {
    let mut snapshot = snapshot(&[]);
    for spec in snapshot.upstreams.values_mut() {
        spec.endpoints = EndpointSource::Name {
            name: name.into(),
            port: 80,
        };
    }
    snapshot
}

#[tokio::test]
async fn nothing_of_a_name_serves_or_is_probed_when_there_is_another() {
    let registry = registry();
    let first = only(registry.attach(&probed_each_10_ms(named("first.test"))));
    let Endpoints::Named(resolved) = &first.endpoints else {
        panic!("{first:?}")
    };
    registry.resolved(resolved, &[([10, 0, 0, 1], 80).into()]);
    let second = only(registry.attach(&probed_each_10_ms(named("second.test"))));
    assert_eq!(second.usable(), 0);
    assert!(!second.is_known(), "requests wait");
    let state = registry.lock();
    let group = state.groups.values().next().unwrap();
    assert!(group.endpoints.is_empty() && group.probers.0.is_empty());
}

fn probed_each_10_ms(mut snapshot: Snapshot) -> Snapshot {
    let policy = Arc::new(UpstreamPolicy {
        health_check: Some(HealthCheck {
            probe: Probe::Tcp,
            interval: Duration::from_millis(10),
            timeout: Duration::from_secs(10),
            healthy_threshold: 1,
            unhealthy_threshold: 1,
        }),
        ..UpstreamPolicy::default()
    });
    let upstreams = std::mem::take(&mut snapshot.upstreams);
    snapshot.upstreams = upstreams
        .into_iter()
        .map(|(id, spec)| {
            let policy = Arc::clone(&policy);
            (UpstreamId { policy, ..id }, spec)
        })
        .collect();
    snapshot
}

async fn until(holds: impl Fn() -> bool) {
    let reached = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reached)
        .await
        .unwrap();
}

async fn until_usable(upstream: &Upstream, count: usize) {
    until(|| upstream.usable() == count).await;
}

/// What is down is still resolved and probed, and comes back as one that joins.
#[tokio::test]
async fn an_address_of_a_name_that_is_down_is_gone_for_requests_alone() {
    let registry = on_this_machine();
    let listening = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refusing = TcpSocket::new_v4().unwrap();
    refusing.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let up = listening.local_addr().unwrap();
    let down = refusing.local_addr().unwrap();
    let upstream = only(registry.attach(&probed_each_10_ms(named("shop.test"))));
    let Endpoints::Named(named) = &upstream.endpoints else {
        panic!("{upstream:?}")
    };
    let mut addresses = [up, down];
    addresses.sort_unstable();
    registry.resolved(named, &addresses);
    assert_eq!(upstream.usable(), 2);
    until_usable(&upstream, 1).await;
    registry.resolved(named, &addresses);
    assert_eq!((upstream.usable(), choose(&upstream).address()), (1, up));

    let _listening = refusing.listen(16).unwrap();
    until_usable(&upstream, 2).await;
    let state = registry.lock();
    let endpoints = &state.groups.values().next().unwrap().endpoints;
    let share = |address| endpoints[&address].share(Duration::from_secs(3_600), Instant::now());
    assert_eq!(share(up), 1.0);
    assert!(share(down) < 0.2);
}

/// A request that takes its time holds the upstream of before.
#[tokio::test]
async fn the_addresses_of_a_name_that_is_no_longer_served_change_nothing() {
    let registry = registry();
    let first = only(registry.attach(&named("first.test")));
    let second = only(registry.attach(&named("second.test")));
    let (Endpoints::Named(before), Endpoints::Named(now)) = (&first.endpoints, &second.endpoints)
    else {
        panic!("{first:?} {second:?}")
    };
    let address = |n| SocketAddr::from(([10, 0, 0, n], 80));
    assert!(registry.resolved(now, &[address(2)]));
    assert!(!registry.resolved(before, &[address(1)]));
    assert_eq!(choose(&second).address(), address(2));
}

/// Addresses of this machine where nobody listens, as long as they are held.
fn refusing<const N: usize>() -> [TcpSocket; N] {
    [(); N].map(|()| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        socket
    })
}

/// One upstream with these endpoints without probes, and one with probes.
fn probed_and_not(endpoints: &[(SocketAddr, EndpointState)]) -> Snapshot {
    let mut plain = snapshot(&[]);
    for spec in plain.upstreams.values_mut() {
        let specs = endpoints.iter().map(|(address, state)| EndpointSpec {
            address: *address,
            state: *state,
            weight: 1,
            zone: None,
            pod: None,
        });
        let mut specs: Vec<_> = specs.collect();
        specs.sort_unstable_by_key(|spec| spec.address);
        spec.endpoints = EndpointSource::Known(specs);
    }
    let mut both = probed_each_10_ms(plain.clone());
    both.upstreams.extend(plain.upstreams);
    both
}

/// The one with probes, and the one without.
fn both(attached: Attached) -> [Arc<Upstream>; 2] {
    let mut both: Vec<_> = attached.into_values().collect();
    both.sort_by_key(|it| it.policy().health_check.is_none());
    both.try_into().unwrap()
}

fn on_this_machine() -> Arc<Registry> {
    Registry::new(Settings {
        workers: 1,
        address_rules: AddressRules {
            allow_loopback: true,
            prohibited: Vec::new(),
        },
        metrics: Metrics::new(1),
    })
}

/// The probes of one policy, wrong ones maybe, find all of them down.
#[tokio::test]
async fn ejections_are_decided_by_the_endpoints_that_the_upstream_itself_has() {
    let registry = on_this_machine();
    let sockets = refusing::<2>();
    let addresses = sockets.each_ref().map(|it| it.local_addr().unwrap());
    let ready = addresses.map(|it| (it, EndpointState::Ready));
    let [probed, other] = both(registry.attach(&probed_and_not(&ready)));
    until_usable(&probed, 0).await;
    let endpoint = choose(&other);
    for _ in 0..3 {
        let failure = (Cause::ConnectionRefused, None);
        other.attempt_failed(&endpoint, failure, Instant::now());
    }
    assert!(!endpoint.standing().is_closed());
    // The last one stays.
    let last = choose(&other);
    assert_ne!(last.address(), endpoint.address());
    for _ in 0..3 {
        let failure = (Cause::ConnectionRefused, None);
        other.attempt_failed(&last, failure, Instant::now());
    }
    assert!(last.standing().is_closed());
}

/// To the one a terminating endpoint is all that is left, to the other it is none to be used.
#[tokio::test]
async fn an_endpoint_keeps_connections_while_any_upstream_uses_it() {
    let registry = on_this_machine();
    let [socket] = refusing();
    let listening = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ready = (socket.local_addr().unwrap(), EndpointState::Ready);
    let draining = (listening.local_addr().unwrap(), EndpointState::Draining);
    let snapshot = probed_and_not(&[ready, draining]);
    let [probed, other] = both(registry.attach(&snapshot));
    let endpoint = |address| {
        let state = registry.lock();
        let group = state.groups.values().next().unwrap();
        Arc::clone(&group.endpoints[&address])
    };
    let terminates = endpoint(draining.0);
    assert!(terminates.is_retired());
    until(|| !terminates.is_retired()).await;
    assert!(probed.uses(&terminates) && !other.uses(&terminates));
    registry.attach(&snapshot);
    assert!(!terminates.is_retired());

    let _listening = socket.listen(16).unwrap();
    until(|| terminates.is_retired()).await;
}

#[tokio::test]
async fn of_two_policies_for_one_service_the_one_whose_limit_was_reached_is_told() {
    let mut both = snapshot(&[1]);
    let (id, spec) = both.upstreams.pop_first().unwrap();
    let limited = |max_requests| {
        let mut id = id.clone();
        let limits = CircuitBreaker {
            max_requests,
            ..CircuitBreaker::default()
        };
        Arc::make_mut(&mut id.policy).circuit_breaker = Some(limits);
        id
    };
    let (low, high) = (limited(1), limited(100));
    both.upstreams = [(low.clone(), spec.clone()), (high.clone(), spec)].into();
    let registry = registry();
    let attached = registry.attach(&both);
    let held = attached[&high].admit().unwrap();
    assert!(
        attached[&low].admit().is_err(),
        "they share what is counted"
    );
    let told = registry.overloads(Instant::now());
    assert_eq!(told.len(), 1);
    assert!(told[0].is_about(&low) && !told[0].is_about(&high));
    assert_eq!(told[0].reached, ["maxRequests"]);
    drop(held);
}

/// What differs in their policies is none of the probes' business.
#[tokio::test]
async fn upstreams_that_ask_the_same_of_an_endpoint_ask_it_once_and_all_hear_of_it() {
    let registry = on_this_machine();
    let [socket] = refusing();
    let address = socket.local_addr().unwrap();
    let mut snapshot = probed_and_not(&[(address, EndpointState::Ready)]);
    for (id, spec) in snapshot.upstreams.clone() {
        let mut policy = (*id.policy).clone();
        policy.panic_threshold = Some(50);
        let policy = Arc::new(policy);
        snapshot.upstreams.insert(UpstreamId { policy, ..id }, spec);
    }
    let attached = registry.attach(&snapshot);
    let of = |probed: bool| {
        let all = attached.values();
        all.filter(move |it| it.policy().health_check.is_some() == probed)
    };
    assert_eq!(of(true).count(), 2);
    let probers = || {
        let state = registry.lock();
        let all = state.groups.values().map(|it| it.probers.0.len());
        all.sum::<usize>()
    };
    assert_eq!(probers(), 1);
    for upstream in of(true) {
        until_usable(upstream, 0).await;
    }
    assert!(of(false).all(|upstream| upstream.usable() == 1));
    // One of them goes, the other one's probes go on.
    let gone = of(true).next().unwrap().id().clone();
    snapshot.upstreams.remove(&gone);
    registry.attach(&snapshot);
    assert_eq!(probers(), 1);
    let _listening = socket.listen(16).unwrap();
    for upstream in of(true).filter(|it| *it.id() != gone) {
        until_usable(upstream, 1).await;
    }
}
