//! What a half-open endpoint is tried with: a whole exchange, body included.

use std::time::{Duration, Instant};

use bywash::faults::script::{Script, Step, send};
use bywash::faults::{Fault, Peer};
use bywash::routing::policy::Policy;

use super::client::{get, post, within};
use super::gateway::{Gateway, Setup, addresses};

const EJECTIONS: &str = "bywash_upstream_ejections_total";
const READMITTED: &str = "bywash_upstream_readmissions_total";

/// Two that fail like this, until one is ejected, for a moment each time; the other one, which comes
/// first, works from then on.
async fn one_ejected(fault: Fault) -> (Gateway, Peer, Peer) {
    one_ejected_under(fault, |_| {}).await
}

async fn one_ejected_under(
    fault: Fault,
    change: impl FnOnce(&mut Policy),
) -> (Gateway, Peer, Peer) {
    let one = Peer::start(fault).await.unwrap();
    let two = Peer::start(fault).await.unwrap();
    let mut policy = Policy::default();
    change(&mut policy);
    policy.upstream_mut().outlier_detection.ejection.base = Duration::from_millis(20);
    let gateway = Setup::to(&addresses(&[&one, &two]), policy).start();
    within("an ejection", async {
        while gateway.metric(EJECTIONS, "") == 0.0 {
            // It is not tried again elsewhere: the fifth failure of one ends it.
            gateway.ask(post("/", "body")).await;
            gateway.logged().await;
        }
    })
    .await;
    let (good, bad) = if one.requests() < 5 {
        (one, two)
    } else {
        (two, one)
    };
    good.from_now_on(Fault::Echo);
    (gateway, good, bad)
}

/// Its heads are right each time: a trial that ended with them would take it back for ever.
#[tokio::test]
async fn an_endpoint_whose_bodies_break_off_does_not_come_back() {
    let (gateway, _good, bad) = one_ejected(Fault::ShortBody).await;
    within("three trials", async {
        while bad.requests() < 8 {
            gateway.ask(get("/")).await;
        }
    })
    .await;
    assert_eq!(gateway.metric(EJECTIONS, ""), 1.0);
    assert_eq!(gateway.metric(READMITTED, ""), 0.0);
}

/// One at a time, also while its body is still to come.
#[tokio::test]
async fn a_trial_lasts_until_the_body_has_ended() {
    let (gateway, good, bad) = one_ejected(Fault::ResetAfterRequest).await;
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf";
    bad.from_now_on(Script::on_request([
        Step::ReadBody,
        send(head),
        Step::Gate,
        send("rest"),
    ]));
    let failures = bad.requests();
    let mut trial = gateway.client().await;
    within("a trial", async {
        while bad.requests() == failures {
            trial = gateway.client().await;
            trial.send(get("/")).await;
            trial.head().await;
        }
    })
    .await;
    let elsewhere = good.requests();
    for _ in 0..20 {
        assert_eq!(gateway.ask(get("/")).await.status, 200);
    }
    assert_eq!(good.requests(), elsewhere + 20);
    bad.open(2);
    assert_eq!(trial.bytes(8).await, b"halfrest");
    within("its return", async {
        while gateway.metric(READMITTED, "") == 0.0 {
            assert_eq!(gateway.ask(get("/")).await.status, 200);
        }
    })
    .await;
}

/// An event stream may never end.
#[tokio::test]
async fn a_trial_whose_body_flows_for_a_while_has_succeeded() {
    let (gateway, _good, bad) = one_ejected(Fault::ResetAfterRequest).await;
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n";
    bad.from_now_on(Script::on_request([
        Step::ReadBody,
        send(head),
        Step::Gate,
        send("1\r\nb\r\n"),
        Step::Drain,
    ]));
    let mut streams = Vec::new();
    within("two streams", async {
        for trial in 1..=2 {
            let before = bad.requests();
            while bad.requests() == before {
                let mut client = gateway.client().await;
                client.send(get("/")).await;
                client.head().await;
                streams.push(client);
            }
            assert_eq!(gateway.metric(READMITTED, ""), 0.0, "trial {trial}");
            // It is the time that a stream has to last.
            tokio::time::sleep(Duration::from_millis(1_100)).await;
            bad.open(1);
            let stream = streams.last_mut().unwrap();
            assert_eq!(stream.bytes(12).await, b"1\r\na\r\n1\r\nb\r\n");
        }
    })
    .await;
    assert_eq!(gateway.metric(READMITTED, ""), 1.0);
}

/// Nothing could follow it, should it fail.
#[tokio::test]
async fn where_requests_have_one_attempt_none_of_them_is_a_trial() {
    let one_attempt = |policy: &mut Policy| policy.retry.attempts = 1;
    let (gateway, good, bad) = one_ejected_under(Fault::ResetAfterRequest, one_attempt).await;
    let failures = bad.requests();
    let (connections, elsewhere) = (bad.connections(), good.requests());
    within("a connection of the background", async {
        while bad.connections() == connections {
            assert_eq!(gateway.ask(get("/")).await.status, 200);
        }
    })
    .await;
    for _ in 0..20 {
        assert_eq!(gateway.ask(get("/")).await.status, 200);
    }
    assert!(good.requests() > elsewhere + 20);
    assert_eq!(bad.requests(), failures);
}

/// It is for the endpoint that it was tried, and not for the client.
#[tokio::test]
async fn a_trial_that_fails_takes_none_of_the_requests_attempts() {
    let two_attempts = |policy: &mut Policy| policy.retry.attempts = 2;
    let (gateway, good, bad) = one_ejected_under(Fault::ResetAfterRequest, two_attempts).await;
    good.from_now_on([Fault::Unavailable, Fault::Echo]);
    let failures = bad.requests();
    within("a trial", async {
        while bad.requests() == failures {
            let (answer, entry) = gateway.outcome(get("/")).await;
            assert_eq!(answer.status, 200, "{entry:?}");
        }
    })
    .await;
}

/// A body that is kept can be sent again as well.
#[tokio::test]
async fn a_request_whose_body_is_kept_may_be_a_trial() {
    let (gateway, _good, bad) = one_ejected(Fault::ResetAfterRequest).await;
    bad.from_now_on(Fault::Echo);
    let put = |body: &str| post("/", body).replacen("POST", "PUT", 1);
    let big = put(&"a".repeat(300_000));
    let failures = bad.requests();
    for _ in 0..20 {
        assert_eq!(gateway.ask(&big).await.status, 200);
    }
    assert_eq!(bad.requests(), failures);
    let began = Instant::now();
    within("its return", async {
        while gateway.metric(READMITTED, "") == 0.0 {
            gateway.ask(put("body")).await.described();
        }
    })
    .await;
    assert_eq!(bad.requests(), failures + 2);
    // After ten seconds any request would have been.
    assert!(began.elapsed() < Duration::from_secs(8));
}
