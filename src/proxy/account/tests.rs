use std::panic::{AssertUnwindSafe, catch_unwind};

use http::HeaderMap;

use super::*;
use crate::proxy::client::{ConnectionState, Shutdown};
use crate::proxy::forwarded::{Peer, TrustedProxies};
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::failures::Failures;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Traces;

/// What the metrics say of a request that ends with this.
fn counted(end: impl FnOnce(Box<Account>, &Shutdown)) -> String {
    let (metrics, shutdown) = (Metrics::new(1), Arc::<Shutdown>::default());
    let client = ClientContext {
        peer: Peer::new(([192, 0, 2, 1], 1).into(), &TrustedProxies::new(&[])),
        tls: None,
        worker: 0,
        state: Arc::new(ConnectionState::new(Arc::clone(&shutdown))),
    };
    let id = RequestId::assign(&mut HeaderMap::new(), false, None);
    let begun = (Instant::now(), Arc::new(client));
    // Counted for as long as somebody holds it.
    let unrouted = metrics.unrouted();
    let observers = Arc::new(Observers {
        access_log: AccessLog::off(),
        failures: Failures::off(),
        traces: Traces::off(),
    });
    let asked = Described {
        client: [192, 0, 2, 1].into(),
        method: Method::GET,
        host: "shop.example".into(),
        target: None,
        version: Version::HTTP_11,
        user_agent: None,
    };
    let counts = (Arc::clone(&unrouted), observers);
    let account = Account::open(begun, id, counts, asked);
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
