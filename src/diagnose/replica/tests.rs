use super::*;
use crate::report::traffic::{FailureReport, LatencyReport};

fn route(number: usize, (requests, refused): (u64, u64)) -> RouteReport {
    let failure = FailureReport {
        cause: "connection_refused".into(),
        count: refused,
        recent: refused,
        ..FailureReport::default()
    };
    RouteReport {
        route: RouteKey {
            namespace: "shop".into(),
            ingress: format!("web-{number}").into(),
            upstream: "shop/cart:80".into(),
            host: "*".into(),
        },
        requests,
        recent: requests,
        successes: requests - refused,
        failures: (refused > 0).then_some(failure).into_iter().collect(),
        ..RouteReport::default()
    }
}

fn gist(counts: (u64, u64)) -> Gist {
    let report = ReplicaReport {
        routes: vec![route(0, counts)],
        ..ReplicaReport::default()
    };
    Gist::of(&report, "7")
}

#[test]
fn what_is_well_is_told_once_a_minute() {
    let mut teller = Teller::default();
    assert!(teller.is_due(0, &gist((10, 0))));
    teller.told(0, gist((10, 0)));
    assert!(!teller.is_due(59, &gist((5000, 0))));
    assert!(teller.is_due(60, &gist((5000, 0))));
}

#[test]
fn a_failure_is_told_at_once_and_not_before_two_seconds_have_passed() {
    let mut teller = Teller::default();
    teller.told(100, gist((10, 0)));
    assert!(!teller.is_due(101, &gist((10, 1))));
    assert!(teller.is_due(102, &gist((10, 1))));
}

#[test]
fn a_report_that_leads_to_the_same_conclusion_is_not_told_anew() {
    assert_eq!(gist((1000, 40)), gist((1010, 45)));
    assert_ne!(gist((1000, 40)), gist((1000, 80)));
    assert_ne!(
        gist((1000, 10)),
        gist((1001, 10)),
        "the threshold of one percent"
    );
    assert_ne!(gist((20, 15)), gist((19, 15)), "few requests");
}

#[test]
fn answers_that_come_to_take_much_longer_are_told_and_those_that_take_a_little_longer_are_not() {
    let gist = |now: u64| {
        let latency = LatencyReport {
            upstream: "shop/cart:80".into(),
            usual: 40_000,
            now,
            answers: 10,
        };
        let report = ReplicaReport {
            latencies: vec![latency],
            ..ReplicaReport::default()
        };
        Gist::of(&report, "7")
    };
    assert_eq!(gist(40_000), gist(89_999));
    assert_ne!(gist(40_000), gist(90_000));
    assert_eq!(gist(90_000), gist(2_600_000));
}

#[test]
fn a_report_is_no_larger_than_it_may_be_and_leaves_out_what_is_well_first() {
    let well = (0..3000).map(|number| route(number, (10, 0)));
    let failing = (3000..3200).map(|number| route(number, (10, 5)));
    let unusable = UpstreamReport {
        upstream: "shop/cart:80".into(),
        ..UpstreamReport::default()
    };
    let overload = |number| OverloadReport {
        upstream: format!("shop/cart:{number}"),
        ..OverloadReport::default()
    };
    let latency = |number| LatencyReport {
        upstream: format!("shop/cart:{number}"),
        ..LatencyReport::default()
    };
    let report = fit(ReplicaReport {
        routes: well.chain(failing).collect(),
        upstreams: vec![unusable],
        overloads: (0..9000).map(overload).collect(),
        latencies: (0..9000).map(latency).collect(),
        ..ReplicaReport::default()
    });
    let written = serde_json::to_string(&report).unwrap();
    assert!(
        written.len() <= LARGEST && written.len() > LARGEST / 2,
        "{}",
        written.len()
    );
    assert!(
        report.routes[..200]
            .iter()
            .all(|it| !it.failures.is_empty())
    );
    assert_eq!(report.upstreams.len(), 1);
    let kept = report.routes.len() + report.overloads.len() + report.latencies.len();
    assert_eq!(kept + report.left_out as usize, 3200 + 2 * 9000);
}

#[test]
fn what_was_written_is_read_again_and_a_field_of_another_version_does_no_harm() {
    let report = fit(ReplicaReport {
        replica: "bywash-0".into(),
        routes: vec![route(1, (10, 5))],
        ..ReplicaReport::default()
    });
    let mut written = serde_json::to_value(&report).unwrap();
    assert_eq!(
        serde_json::from_value::<ReplicaReport>(written.clone()).unwrap(),
        report
    );
    written["new"] = 1.into();
    written["routes"][0]["new"] = 1.into();
    written["routes"][0]["failures"][0]["samples"] = serde_json::json!([{"new": 1}]);
    assert_eq!(
        serde_json::from_value::<ReplicaReport>(written).unwrap(),
        report
    );
}
