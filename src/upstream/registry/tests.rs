//! What carries over from one snapshot to the next.

use super::*;
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
        policy: Arc::default(),
    };
    let spec = Spec {
        endpoints: EndpointSource::Known(specs.collect()),
    };
    Snapshot {
        upstreams: [(id, spec)].into(),
        ..Snapshot::default()
    }
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
async fn the_addresses_of_a_name_serve_until_those_of_the_next_name_are_there() {
    let registry = registry();
    let first = only(registry.attach(&named("first.test")));
    let Endpoints::Named(resolved) = &first.endpoints else {
        panic!("{first:?}")
    };
    let address = ([10, 0, 0, 1], 80).into();
    registry.resolved(resolved, &[address]);
    let second = only(registry.attach(&named("second.test")));
    assert_eq!(choose(&second).address(), address);
    assert_eq!(
        registry
            .lock()
            .groups
            .values()
            .map(|it| it.endpoints.len())
            .sum::<usize>(),
        1
    );
}
