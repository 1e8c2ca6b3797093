use std::panic::{AssertUnwindSafe, catch_unwind};

use http::HeaderMap;

use super::*;
use crate::proxy::client::{ConnectionState, Shutdown};
use crate::proxy::forwarded::{Peer, TrustedProxies};
use crate::telemetry::access_log::{AccessLog, Format, Query, Settings};
use crate::telemetry::failures::Failures;
use crate::telemetry::metrics::{Metrics, RouteLabels};
use crate::telemetry::traces::Traces;

/// The account of a request that is told to these.
fn opened(
    observers: Observers,
    unrouted: Arc<RouteMetrics>,
    shutdown: &Arc<Shutdown>,
) -> Box<Account> {
    let client = ClientContext {
        peer: Peer::new(([192, 0, 2, 1], 1).into(), &TrustedProxies::new(&[])),
        tls: None,
        worker: 0,
        state: Arc::new(ConnectionState::new(Arc::clone(shutdown))),
    };
    let id = RequestId::assign(&mut HeaderMap::new(), false, None);
    let begun = (Instant::now(), Arc::new(client));
    let asked = Described {
        client: [192, 0, 2, 1].into(),
        method: Method::GET,
        host: "shop.example".into(),
        target: None,
        version: Version::HTTP_11,
        user_agent: None,
    };
    Account::open(begun, id, (unrouted, Arc::new(observers)), asked)
}

/// What the metrics say of a request that ends with this.
fn counted(end: impl FnOnce(Box<Account>, &Shutdown)) -> String {
    let (metrics, shutdown) = (Metrics::new(1), Arc::<Shutdown>::default());
    // Counted for as long as somebody holds it.
    let unrouted = metrics.unrouted();
    let observers = Observers {
        access_log: AccessLog::off(),
        failures: Failures::off(),
        traces: Traces::off(),
    };
    let account = opened(observers, Arc::clone(&unrouted), &shutdown);
    end(account, &shutdown);
    let text = metrics.encode().unwrap();
    let lines = text.lines().filter(|line| line.ends_with(" 1"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_request_that_is_dropped_is_one_that_its_client_left() {
    let text = counted(|account, _| drop(account));
    assert!(text.contains("status=\"499\""), "{text}");
    assert!(text.contains("cause=\"client_aborted\""), "{text}");
}

#[test]
fn a_request_that_meets_a_fault_of_ours_is_an_internal_error() {
    let text = counted(|account, _| {
        let panics = AssertUnwindSafe(move || {
            let _account = account;
            panic!("a fault of ours");
        });
        assert!(catch_unwind(panics).is_err());
    });
    assert!(text.contains("status=\"500\""), "{text}");
    assert!(text.contains("cause=\"internal\""), "{text}");
}

#[test]
fn a_request_that_is_cut_off_is_neither() {
    let text = counted(|_account, shutdown| shutdown.cut_off());
    assert!(text.contains("status=\"503\""), "{text}");
    assert!(text.contains("cause=\"cut_off\""), "{text}");
}

#[test]
fn what_was_answered_without_asking_anybody_says_nothing_of_the_upstream() {
    let (metrics, shutdown) = (Metrics::new(1), Arc::<Shutdown>::default());
    let route = metrics.route(&RouteLabels {
        ingress: "cart".into(),
        ..RouteLabels::default()
    });
    let answered = |status, cause, attempts| {
        let observers = Observers {
            access_log: AccessLog::off(),
            failures: Failures::off(),
            traces: Traces::off(),
        };
        let mut account = opened(observers, Arc::clone(&route), &shutdown);
        account.attempts = attempts;
        account.responding(status, cause);
        account.complete();
    };
    answered(308, None, Vec::new());
    answered(308, None, vec![Attempt::default()]);
    answered(503, Some(Cause::NoEndpoints), Vec::new());
    let [(_, traffic)] = &metrics.traffic()[..] else {
        panic!("{:?}", metrics.traffic());
    };
    assert_eq!((traffic.requests, traffic.unasked), (3, 1));
}

/// Whether a request is logged that ended like this after such an attempt, where none is that went
/// well.
fn logged(account: &mut Account, (status, cause): (u16, Option<Cause>), attempt: Attempt) -> bool {
    account.attempts = vec![attempt, Attempt::default()];
    account.is_logged(Ending {
        status,
        cause,
        complete: true,
    })
}

#[test]
fn sampling_leaves_no_failure_out() {
    let metrics = Metrics::new(1);
    let settings = Settings {
        format: Format::Json,
        query: Query::Hidden,
        sample: 0.0,
    };
    let (access_log, _writer) = AccessLog::start(settings, 1, &metrics, std::io::sink()).unwrap();
    let observers = Observers {
        access_log,
        failures: Failures::off(),
        traces: Traces::off(),
    };
    let mut account = opened(observers, metrics.unrouted(), &Arc::default());
    for status in 100..=599 {
        let kept = logged(&mut account, (status, None), Attempt::default());
        assert_eq!(kept, status >= 500, "{status}");
        for cause in Cause::all() {
            assert!(logged(
                &mut account,
                (status, Some(cause)),
                Attempt::default()
            ));
            let failed = Attempt {
                cause: Some(cause),
                ..Attempt::default()
            };
            assert!(logged(&mut account, (status, None), failed));
        }
    }
}
