//! When endpoints are probed, in a time that stands still while nobody waits.

use std::cell::RefCell;
use std::sync::Mutex;

use futures::FutureExt;

use crate::failure::Cause;
use crate::routing::policy::AddressRules;
use crate::routing::policy::upstream::{HealthCheck, Probe};
use crate::routing::snapshot::ServicePort;
use crate::telemetry::metrics::Metrics;

use super::*;

const INTERVAL: Duration = Duration::from_secs(10);

const REFUSED: Result<(), BadProbe> = Err(BadProbe::Failed(Cause::ConnectionRefused));

fn plan(changed: impl Fn() + Send + Sync + 'static) -> Plan {
    let check = HealthCheck {
        probe: Probe::Tcp,
        interval: INTERVAL,
        timeout: Duration::from_secs(1),
        healthy_threshold: 2,
        unhealthy_threshold: 3,
    };
    Plan {
        service: ServicePort {
            namespace: "shop".into(),
            name: "cart".into(),
            port: 80,
        },
        question: Question::new(check, AddressRules::default(), None),
        queue: Queue::new().part(),
        metrics: Metrics::new(1).upstream("shop/cart:80"),
        changed: Box::new(changed),
    }
}

fn endpoint() -> SocketAddr {
    ([10, 0, 0, 1], 80).into()
}

#[tokio::test(start_paused = true)]
async fn from_the_start_of_a_probe_to_that_of_the_next_the_interval_passes_however_slow_it_is() {
    let began = Instant::now();
    let starts = RefCell::new(Vec::new());
    let probe = async || {
        starts.borrow_mut().push(began.elapsed());
        sleep_until(Instant::now() + Duration::from_secs(4)).await;
        Ok(())
    };
    let first = Duration::from_secs(3);
    repeat(INTERVAL, first, probe, |_| starts.borrow().len() < 50).await;
    let starts = starts.into_inner();
    assert_eq!(starts[0], first);
    let pauses: Vec<_> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let tolerance = Duration::from_millis(2);
    for pause in &pauses {
        let range = INTERVAL.mul_f64(0.9) - tolerance..=INTERVAL.mul_f64(1.1) + tolerance;
        assert!(range.contains(pause), "{pause:?}");
    }
    let shortest = pauses.iter().min().unwrap();
    assert!(pauses.iter().any(|pause| *pause > *shortest + tolerance));
}

/// A probe may take as long as the interval, which the jitter makes shorter.
#[tokio::test(start_paused = true)]
async fn an_endpoint_never_has_two_probes_at_a_time_and_none_is_made_up_for() {
    let running = RefCell::new(0);
    let mut done = 0;
    let began = Instant::now();
    let probe = async || {
        *running.borrow_mut() += 1;
        assert_eq!(*running.borrow(), 1);
        sleep_until(Instant::now() + INTERVAL * 3).await;
        *running.borrow_mut() -= 1;
        REFUSED
    };
    let take = |_| {
        done += 1;
        done < 10
    };
    repeat(INTERVAL, Duration::ZERO, probe, take).await;
    assert!(began.elapsed() >= INTERVAL * 30);
}

#[tokio::test]
async fn a_change_is_told_once_and_a_lack_of_our_own_says_nothing() {
    let told = Arc::new(Mutex::new(0));
    let count = Arc::clone(&told);
    let plan = Arc::new(plan(move || *count.lock().unwrap() += 1));
    let health = Arc::new(Health::new(false));
    let mut take = taking(plan, endpoint(), &health);
    let ours = Err(BadProbe::Failed(Cause::LocalResources));
    for (result, down, changes) in [
        (REFUSED, false, 0),
        (REFUSED, false, 0),
        (ours, false, 0),
        (REFUSED, true, 1),
        (REFUSED, true, 1),
        (Ok(()), true, 1),
        (ours, true, 1),
        (Ok(()), false, 2),
        (Ok(()), false, 2),
    ] {
        assert!(take(result));
        assert_eq!((health.is_down(), *told.lock().unwrap()), (down, changes));
    }
    drop(health);
    assert!(!take(REFUSED), "nobody wants it any more");
}

#[tokio::test]
async fn an_endpoint_that_stays_keeps_its_verdict_and_a_new_one_begins_with_what_is_known() {
    let [a, b, c] = [1, 2, 3].map(|n| SocketAddr::from(([10, 0, 0, n], 80)));
    let mut prober = Prober::new(plan(|| {}));
    prober.also(&[a, b], |address| address == b);
    let down = |prober: &Prober| [a, b, c].map(|it| prober.is_down(it));
    assert_eq!(down(&prober), [Some(false), Some(true), None]);
    prober.also(&[b, c], |_| false);
    prober.retain(&HashSet::from([b, c]));
    assert_eq!(down(&prober), [None, Some(true), Some(false)]);
    prober.retain(&HashSet::from([b]));
    prober.also(&[b, c], |_| true);
    assert_eq!(down(&prober), [None, Some(true), Some(true)]);
}

#[test]
fn an_end_that_is_seen_too_late_to_tell_is_ours() {
    let deadline = Instant::now();
    let refused = BadProbe::Failed(Cause::ConnectionRefused);
    for (late, ours) in [(0, false), (100, false), (101, true)] {
        let seen = refused.seen_at(deadline + Duration::from_millis(late), deadline);
        assert_eq!(seen.is_ours(), ours, "{late}");
    }
}

/// Its time begins when it has a place, so that waiting for one takes nothing down.
#[tokio::test(start_paused = true)]
async fn a_probe_waits_for_its_place() {
    let (asked, waited) = (RefCell::new(0), Instant::now());
    let part = Queue::new().part();
    let mut taken = Vec::new();
    while let Some(place) = part.place().now_or_never() {
        taken.push(place);
    }
    let probe = async || {
        let _place = part.place().await;
        *asked.borrow_mut() += 1;
        Ok(())
    };
    let probes = repeat(INTERVAL, Duration::ZERO, probe, |_| false);
    let freed = async {
        sleep_until(waited + INTERVAL * 10).await;
        assert_eq!(*asked.borrow(), 0);
        taken.pop();
    };
    tokio::join!(probes, freed);
    assert_eq!(*asked.borrow(), 1);
}

#[test]
fn every_reason_is_a_sentence() {
    for (bad, sentence) in [
        (
            BadProbe::Failed(Cause::ConnectionRefused),
            "the connection was refused",
        ),
        (BadProbe::Status(500), "it answered with status 500"),
        (
            BadProbe::GrpcStatus(7),
            "its health service answered with grpc-status 7",
        ),
        (
            BadProbe::GrpcStatus(12),
            "its health service answered with grpc-status 12 (UNIMPLEMENTED: it does not offer \
             grpc.health.v1)",
        ),
        (
            BadProbe::NotServing(2),
            "it says that it does not serve: NOT_SERVING",
        ),
    ] {
        assert_eq!(bad.to_string(), sentence);
    }
}
