use std::time::{Duration, SystemTime};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::failure::TlsAlert;
use crate::report::hint::Hint;
use crate::report::outcome::Attempt;
use crate::routing::snapshot::{IngressName, ServicePort};

fn cart(host: &str) -> RouteKey {
    RouteKey {
        namespace: "shop".into(),
        ingress: "web".into(),
        upstream: "shop/cart:80".into(),
        host: host.into(),
    }
}

fn reading(requests: u64, refused: u64) -> Reading {
    Reading {
        requests,
        failures: vec![(Cause::ConnectionRefused, refused)],
        ..Reading::default()
    }
}

fn refused_by(endpoints: &[&str], host: &str) -> Outcome {
    let attempt = |endpoint: &&str| Attempt {
        endpoint: Some(endpoint.parse().unwrap()),
        pod: Some("cart-6d4f".into()),
        cause: Some(Cause::ConnectionRefused),
        ..Attempt::default()
    };
    Outcome {
        request_id: "01J".into(),
        time: SystemTime::UNIX_EPOCH,
        method: "GET".into(),
        host: host.into(),
        path: "/".into(),
        ingress: Some(IngressName {
            namespace: "shop".into(),
            name: "web".into(),
        }),
        upstream: ServicePort::parse("shop/cart:80"),
        status: 502,
        cause: Some(Cause::ConnectionRefused),
        fallback: false,
        bytes_received: 0,
        bytes_sent: 0,
        attempts: endpoints.iter().map(attempt).collect(),
        duration: Duration::ZERO,
    }
}

#[test]
fn a_minute_is_sixty_seconds_and_the_quiet_time_a_part_of_it() {
    let mut windows = Windows::default();
    windows.count(1000, [(cart("*"), reading(10, 4))]);
    windows.count(1030, [(cart("*"), reading(15, 5))]);
    let report = &windows.report(1030)[0];
    assert_eq!(
        (report.requests, report.recent, report.successes),
        (15, 5, 4)
    );
    assert_eq!(
        (report.failures[0].count, report.failures[0].recent),
        (5, 1)
    );
    assert_eq!(
        (report.failures[0].since, report.failures[0].last),
        (1000, 1030)
    );
    windows.count(1059, [(cart("*"), reading(15, 5))]);
    assert_eq!(windows.report(1059)[0].requests, 15);
    windows.count(1060, [(cart("*"), reading(15, 5))]);
    assert_eq!(windows.report(1060)[0].requests, 5);
    windows.count(1090, [(cart("*"), reading(15, 5))]);
    assert!(windows.report(1090).is_empty());
}

#[test]
fn a_route_that_went_and_came_back_begins_anew() {
    let mut windows = Windows::default();
    windows.count(1000, [(cart("*"), reading(10, 0))]);
    windows.count(1001, [(cart("*"), reading(3, 1))]);
    assert_eq!(windows.report(1001)[0].requests, 13);
    windows.count(1002, []);
    assert!(windows.report(1002).is_empty());
}

/// A redirect to HTTPS says nothing of the pods.
#[test]
fn what_was_answered_without_asking_anybody_is_neither_a_request_nor_a_success() {
    let mut windows = Windows::default();
    let reading = |requests, unasked| Reading {
        requests,
        unasked,
        ..Reading::default()
    };
    windows.count(1000, [(cart("*"), reading(10, 10))]);
    assert_eq!(windows.report(1000), []);
    windows.count(1001, [(cart("*"), reading(23, 20))]);
    let report = &windows.report(1001)[0];
    assert_eq!((report.requests, report.successes), (3, 3));
}

#[test]
fn failures_that_count_as_nothing_are_no_successes_either() {
    let mut windows = Windows::default();
    let reading = Reading {
        requests: 10,
        failures: vec![(Cause::Maintenance, 4), (Cause::ClientAborted, 6)],
        ..Reading::default()
    };
    windows.count(1000, [(cart("*"), reading)]);
    let report = &windows.report(1000)[0];
    assert_eq!((report.successes, report.failures.len()), (0, 0));
}

#[test]
fn a_failure_names_where_and_a_request_to_look_for() {
    let mut windows = Windows::default();
    let routes = || {
        [
            (cart("*"), reading(1, 1)),
            (cart("shop.example"), reading(3, 3)),
        ]
    };
    windows.count(1000, routes());
    let many: Vec<String> = (1..=5).map(|it| format!("10.0.0.{it}:80")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    windows.illustrate(1000, &refused_by(&many, "shop.example"));
    let reports = windows.report(1000);
    let [worst, other] = reports.as_slice() else {
        panic!("{reports:?}")
    };
    assert_eq!(&*worst.route.host, "shop.example");
    let failure = &worst.failures[0];
    assert_eq!(failure.request_id.as_deref(), Some("01J"));
    assert_eq!((failure.samples.len(), failure.more_endpoints), (3, 2));
    assert_eq!(
        failure.samples[0].endpoint,
        Some("10.0.0.5:80".parse().unwrap())
    );
    assert_eq!(failure.samples[0].pod.as_deref(), Some("cart-6d4f"));
    assert!(other.failures[0].samples.is_empty());
}

/// The counters have one line for all alerts.
#[test]
fn a_cause_that_carries_more_than_its_label_is_told_with_what_it_carries() {
    let wants_a_certificate = Cause::TlsAlert(TlsAlert(116));
    let mut outcome = refused_by(&["10.0.0.1:80"], "shop.example");
    outcome.cause = Some(wants_a_certificate);
    outcome.attempts[0].cause = Some(wants_a_certificate);
    outcome.attempts[0].hint = Some(Box::new(Hint::Alert(116)));
    let counted = Cause::labelled(wants_a_certificate.label()).unwrap();
    let reading = Reading {
        requests: 1,
        failures: vec![(counted, 1)],
        ..Reading::default()
    };
    let mut windows = Windows::default();
    windows.count(1000, [(cart("*"), reading)]);
    windows.illustrate(1000, &outcome);
    let failure = &windows.report(1000)[0].failures[0];
    assert_eq!(failure.request_id.as_deref(), Some("01J"));
    assert_eq!(failure.samples[0].hint, Some(Hint::Alert(116)));
}

#[test]
fn what_fails_at_the_fallback_is_not_said_of_the_service() {
    let mut outcome = refused_by(&["10.0.0.1:80", "10.0.0.2:80"], "shop.example");
    outcome.attempts[1].fallback = true;
    let mut windows = Windows::default();
    windows.count(1000, [(cart("*"), reading(1, 1))]);
    windows.illustrate(1000, &outcome);
    let [only] = &windows.report(1000)[0].failures[0].samples[..] else {
        panic!("not one sample");
    };
    assert_eq!(only.endpoint, Some("10.0.0.1:80".parse().unwrap()));
}

#[test]
fn requests_are_told_of_the_rule_that_they_match_best() {
    assert_eq!(precedence("shop.example", "shop.example"), Some(0));
    assert_eq!(precedence("*.example", "shop.example"), Some(1));
    assert_eq!(precedence("*", "shop.example"), Some(2));
    assert_eq!(precedence("*.example", "a.shop.example"), None);
    assert_eq!(precedence("other.example", "shop.example"), None);
}

#[test]
fn a_failure_of_a_route_that_is_newer_than_the_last_count_is_not_lost() {
    let mut windows = Windows::default();
    windows.illustrate(1000, &refused_by(&["10.0.0.1:80"], "shop.example"));
    windows.count(1001, [(cart("*"), reading(1, 1))]);
    assert_eq!(windows.report(1001)[0].failures[0].samples.len(), 1);
}

#[test]
fn whatever_the_times_no_request_is_counted_twice_or_lost_within_a_minute() {
    let seed: u64 = rand::rng().random();
    let mut random = SmallRng::seed_from_u64(seed);
    let (mut windows, mut total, mut now) = (Windows::default(), 0, 1000);
    let mut counted: Vec<(u64, u64)> = Vec::new();
    for _ in 0..3000 {
        now += random.random_range(1..20);
        let more = random.random_range(0..50);
        total += more;
        counted.push((now, more));
        windows.count(now, [(cart("*"), reading(total, 0))]);
        let within = |seconds: u64| {
            let lately = counted.iter().filter(|(at, _)| at + seconds > now);
            lately.map(|(_, count)| count).sum::<u64>()
        };
        let report = windows.report(now).pop().unwrap_or_default();
        assert_eq!(report.requests, within(MINUTE), "seed {seed}");
        assert_eq!(report.recent, within(QUIET), "seed {seed}");
    }
}
