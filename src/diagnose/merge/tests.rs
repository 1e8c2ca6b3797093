use super::*;

fn route(
    ingress: &str,
    host: &str,
    upstream: &str,
    (requests, refused): (u64, u64),
) -> RouteReport {
    let failure = FailureReport {
        cause: "connection_refused".into(),
        count: refused,
        recent: refused,
        since: 900,
        last: 1000,
        samples: vec![Sample {
            endpoint: Some("10.0.0.1:80".parse().unwrap()),
            ..Sample::default()
        }],
        request_id: Some(format!("of-{ingress}")),
        ..FailureReport::default()
    };
    RouteReport {
        route: RouteKey {
            namespace: "shop".into(),
            ingress: ingress.into(),
            upstream: upstream.into(),
            host: host.into(),
        },
        requests,
        recent: requests,
        successes: requests - refused,
        last_request: 1000,
        failures: (refused > 0).then_some(failure).into_iter().collect(),
        ..RouteReport::default()
    }
}

fn replica(routes: Vec<RouteReport>) -> ReplicaReport {
    ReplicaReport {
        routes,
        ..ReplicaReport::default()
    }
}

fn bad(counts: &Counts) -> (u64, u64) {
    (counts.requests, counts.failures)
}

#[test]
fn what_replicas_saw_of_one_target_is_added_up() {
    let reports = [
        replica(vec![route("web", "a.example", "shop/cart:80", (100, 1))]),
        replica(vec![
            route("web", "a.example", "shop/cart:80", (50, 1)),
            route("web", "b.example", "shop/pay:80", (10, 0)),
            route("api", "c.example", "shop/cart:80", (5, 5)),
        ]),
    ];
    let merged = Merged::of(&reports, []);
    let counts = |scope: Scope<'_>| bad(&merged.sum(&[scope]).counts(Trouble::BadGateway));
    assert_eq!(counts(Scope::Ingress("shop", "web")), (160, 2));
    let host = || Scope::Host("shop", "web", "b.example".into());
    assert_eq!(counts(host()), (10, 0));
    assert_eq!(counts(Scope::Service("shop", "cart")), (155, 7));
    assert_eq!(counts(Scope::All), (165, 7));
    assert_eq!(counts(Scope::Service("other", "cart")), (0, 0));
    let both = merged.sum(&[Scope::Ingress("shop", "web"), host()]);
    assert_eq!(both.requests, 160, "what two targets share counts once");
    let failing: BTreeSet<_> = merged.failing().collect();
    assert_eq!(failing, BTreeSet::from([("shop", "api"), ("shop", "web")]));
}

#[test]
fn the_cause_that_leads_changes_only_for_one_that_is_much_more_frequent() {
    let mut web = route("web", "*", "shop/cart:80", (100, 10));
    web.failures.push(FailureReport {
        cause: "connection_reset".into(),
        count: 15,
        ..FailureReport::default()
    });
    let reports = [replica(vec![web])];
    let merged = Merged::of(&reports, []);
    let sum = merged.sum(&[Scope::All]);
    let leading = |before| sum.leading(Trouble::BadGateway, before);
    assert_eq!(leading(None), Some(Cause::ConnectionReset));
    assert_eq!(
        leading(Some(Cause::ConnectionRefused)),
        Some(Cause::ConnectionRefused)
    );
    assert_eq!(leading(Some(Cause::NotHttp)), Some(Cause::ConnectionReset));
}

#[test]
fn an_upstream_is_as_bad_as_the_replica_that_sees_it_worst() {
    let upstream = |ready, ejected| UpstreamReport {
        upstream: "shop/cart:80".into(),
        ready,
        ejected,
        probed_down: 0,
    };
    let other = ReplicaReport {
        upstreams: vec![upstream(1, 2)],
        ..ReplicaReport::default()
    };
    let own = [upstream(3, 0)];
    let merged = Merged::of([&other], &own);
    assert_eq!(merged.upstream("shop/cart:80"), Some(&upstream(1, 2)));
}

#[test]
fn a_target_has_the_upstreams_of_its_routes_whether_or_not_anybody_asks() {
    let keys = [
        route("web", "a.example", "shop/cart:80", (0, 0)).route,
        route("web", "b.example", "shop/pay:80", (0, 0)).route,
        route("web", "c.example", "", (0, 0)).route,
    ];
    let routes = Routes::of(&keys);
    let upstreams = |scope: Scope<'_>| Vec::from_iter(routes.upstreams(&scope));
    let both = ["shop/cart:80", "shop/pay:80"];
    assert_eq!(upstreams(Scope::Ingress("shop", "web")), both);
    assert_eq!(upstreams(Scope::All), both);
    let host = Scope::Host("shop", "web", "b.example".into());
    assert_eq!(upstreams(host), ["shop/pay:80"]);
    assert_eq!(upstreams(Scope::Service("shop", "cart")), ["shop/cart:80"]);
}

#[test]
fn how_long_answers_take_counts_for_each_replica_as_much_as_it_had_answers() {
    let told = |usual, now, answers| ReplicaReport {
        latencies: vec![LatencyReport {
            upstream: "shop/cart:80".into(),
            usual,
            now,
            answers,
        }],
        ..ReplicaReport::default()
    };
    let reports = [
        told(40_000, 100_000, 30),
        told(20_000, 500_000, 10),
        told(1, u64::MAX, 0),
    ];
    let merged = Merged::of(&reports, []);
    let expected = Latency {
        usual: Duration::from_millis(35),
        now: Duration::from_millis(200),
    };
    assert_eq!(merged.latency("shop/cart:80"), Some(expected));
    assert_eq!(merged.latency("shop/pay:80"), None);
}
