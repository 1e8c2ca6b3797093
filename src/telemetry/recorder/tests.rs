use std::time::{Duration, SystemTime};

use super::*;
use crate::failure::Cause;
use crate::report::outcome::Attempt;

fn outcome(ingress: &str, id: usize, cause: Option<Cause>) -> Arc<Outcome> {
    Arc::new(Outcome {
        request_id: format!("{ingress}-{id}").into(),
        time: SystemTime::UNIX_EPOCH,
        method: "GET".into(),
        host: "shop.example".into(),
        path: "/".into(),
        ingress: Some(IngressName {
            namespace: "shop".into(),
            name: ingress.into(),
        }),
        upstream: None,
        status: cause.map_or(200, |cause| cause.status().as_u16()),
        cause,
        fallback: false,
        bytes_received: 0,
        bytes_sent: 0,
        attempts: vec![Attempt {
            cause: Some(Cause::ConnectionRefused),
            ..Attempt::default()
        }],
        duration: Duration::from_millis(1),
    })
}

fn failed(ingress: &str, id: usize) -> Arc<Outcome> {
    outcome(ingress, id, Some(Cause::ConnectionRefused))
}

fn healed(ingress: &str, id: usize) -> Arc<Outcome> {
    outcome(ingress, id, None)
}

fn ids(outcomes: &[Arc<Outcome>]) -> Vec<&str> {
    outcomes.iter().map(|it| &*it.request_id).collect()
}

#[test]
fn the_last_failures_of_each_route_are_kept_the_newest_first() {
    let recorder = Recorder::default();
    for id in 0..20 {
        recorder.record(&failed("cart", id));
    }
    recorder.record(&failed("shop", 0));
    let found = recorder.find(&Wanted::default());
    assert_eq!(found.len(), 2);
    assert_eq!(ids(&found[0].failed), ["shop-0"]);
    let expected: Vec<_> = (4..20).rev().map(|id| format!("cart-{id}")).collect();
    assert_eq!(ids(&found[1].failed), expected);
}

#[test]
fn requests_that_got_past_a_failure_do_not_drive_out_those_that_failed() {
    let recorder = Recorder::default();
    recorder.record(&failed("cart", 0));
    for id in 1..100 {
        recorder.record(&healed("cart", id));
    }
    let found = recorder.find(&Wanted::default());
    assert_eq!(ids(&found[0].failed), ["cart-0"]);
    assert_eq!(
        ids(&found[0].healed),
        ["cart-99", "cart-98", "cart-97", "cart-96"]
    );
}

#[test]
fn a_failure_is_found_by_its_id_or_its_ingress() {
    let recorder = Recorder::default();
    for id in 0..3 {
        recorder.record(&failed("cart", id));
        recorder.record(&failed("shop", id));
    }
    let by_id = recorder.find(&Wanted {
        id: Some("cart-1"),
        ..Wanted::default()
    });
    assert_eq!((by_id.len(), ids(&by_id[0].failed)), (1, vec!["cart-1"]));
    let by_name = recorder.find(&Wanted {
        namespace: Some("shop"),
        ingress: Some("shop"),
        id: None,
    });
    assert_eq!((by_name.len(), by_name[0].failed.len()), (1, 3));
    let elsewhere = recorder.find(&Wanted {
        namespace: Some("other"),
        ..Wanted::default()
    });
    assert!(elsewhere.is_empty());
}

#[test]
fn of_too_many_routes_the_one_that_has_not_failed_for_longest_goes() {
    let recorder = Recorder::default();
    for id in 0..ROUTES {
        recorder.record(&failed(&format!("route-{id}"), 0));
    }
    recorder.record(&failed("route-0", 1));
    recorder.record(&failed("another", 0));
    let names = |name| Wanted {
        ingress: Some(name),
        ..Wanted::default()
    };
    assert_eq!(recorder.find(&Wanted::default()).len(), ROUTES);
    assert_eq!(recorder.find(&names("route-0"))[0].failed.len(), 2);
    assert!(recorder.find(&names("route-1")).is_empty());
}

#[test]
fn however_large_failures_are_memory_is_bounded() {
    let recorder = Recorder::default();
    for route in 0..ROUTES {
        for id in 0..FAILED {
            let mut large = Outcome::clone(&failed(&format!("route-{route}"), id));
            large.attempts = vec![
                Attempt {
                    detail: Some("x".repeat(4096).into()),
                    ..Attempt::default()
                };
                4
            ];
            recorder.record(&Arc::new(large));
        }
    }
    let found = recorder.find(&Wanted::default());
    let outcomes = found
        .iter()
        .flat_map(|it| it.failed.iter().chain(&it.healed));
    let bytes: usize = outcomes.map(|it| it.size()).sum();
    assert_eq!(bytes, recorder.lock().bytes);
    assert!(bytes <= BYTES && bytes > BYTES / 2, "{bytes}");
}
