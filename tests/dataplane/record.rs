//! What is told of a request that failed: the same to the log, to the recorder and, as far as it is
//! theirs to know, to the client.

use std::time::Duration;

use bywash::failure::Cause;
use bywash::faults::Fault;
use bywash::faults::script::{Script, Step};
use bywash::report::hint::Hint;
use bywash::report::outcome::{Followed, Stop};
use bywash::routing::policy::Policy;
use bywash::routing::snapshot::{EndpointSource, PodRef};
use bywash::telemetry::recorder::{Recorder, Wanted};

use super::client::{get, post, until};
use super::gateway::{Gateway, SHORT, Setup, addresses, endpoints};

#[tokio::test]
async fn one_id_leads_from_the_client_to_the_log_line_and_the_recorder() {
    let peer = endpoints(2, Fault::Refuse).await;
    let gateway = Gateway::before(&[&peer]);
    let (answer, entry) = gateway.outcome(get("/cart")).await;
    let outcome = gateway.outcomes.next().await;
    let recorder = Recorder::default();
    recorder.record(&outcome);

    let id = answer.field("x-request-id").unwrap();
    assert!(answer.text().contains(id));
    assert_eq!(entry.id, id);
    let found = recorder.find(&Wanted {
        id: Some(id),
        ..Wanted::default()
    });
    assert_eq!((found.len(), found[0].failed.len()), (1, 1));
    let recorded = &found[0].failed[0];
    assert_eq!(recorded.status, answer.status);
    assert_eq!(recorded.cause.map(Cause::label), entry.cause.as_deref());
    let causes = recorded.attempts.iter().map(|it| it.cause.unwrap().label());
    assert_eq!(causes.collect::<Vec<_>>(), entry.causes());
    let tried = recorded.attempts.iter().filter_map(|it| it.endpoint);
    assert_eq!(tried.collect::<Vec<_>>(), entry.endpoints());
    assert_eq!(
        (&*recorded.host, &*recorded.path, &*recorded.method),
        ("shop.test", "/cart", "GET")
    );
}

#[tokio::test]
async fn a_request_that_goes_well_is_told_to_the_log_alone() {
    let peer = endpoints(1, Fault::Echo).await;
    let gateway = Gateway::before(&[&peer]);
    gateway.outcome(get("/")).await;
    assert_eq!(gateway.outcomes.now().await, None);
}

#[tokio::test]
async fn a_request_that_gets_past_a_failure_is_recorded_with_what_was_decided() {
    let peer = endpoints(2, Fault::Echo).await;
    peer.once(Fault::ResetAfterRequest);
    let gateway = Gateway::before(&[&peer]);
    let (answer, entry) = gateway.outcome(get("/")).await;
    let outcome = gateway.outcomes.next().await;
    assert_eq!(
        (answer.status, outcome.status, outcome.cause),
        (200, 200, None)
    );
    let [reset, answered] = &outcome.attempts[..] else {
        panic!("{outcome:?}");
    };
    assert_eq!(reset.next, Followed::Retry);
    assert!(reset.sent > 0 && reset.received == 0, "{reset:?}");
    assert!(
        reset.connected.is_some() && reset.detail.is_some(),
        "{reset:?}"
    );
    assert_eq!(
        (answered.next, answered.status),
        (Followed::Answered, Some(200))
    );
    assert!(
        answered.received > 0 && answered.started >= reset.duration,
        "{answered:?}"
    );
    assert_eq!(entry.attempts[0].next.as_deref(), Some("retry"));
    assert_eq!(entry.attempts[1].next, None);
}

#[tokio::test]
async fn the_pod_behind_an_endpoint_is_named() {
    let peer = endpoints(1, Fault::Refuse).await;
    let mut setup = Setup::to(&addresses(&[&peer]), Policy::default());
    for upstream in setup.snapshot.upstreams.values_mut() {
        let EndpointSource::Known(specs) = &mut upstream.endpoints else {
            panic!("not a name");
        };
        specs[0].pod = Some(PodRef {
            name: "shop-7f9c".into(),
            uid: None,
        });
    }
    let gateway = setup.start();
    gateway.outcome(get("/")).await;
    let outcome = gateway.outcomes.next().await;
    assert_eq!(outcome.attempts[0].pod.as_deref(), Some("shop-7f9c"));
}

/// Why nothing followed the last attempt at such endpoints, in the outcome as in the log.
async fn stopped(
    (count, fault): (usize, Fault),
    change: impl FnOnce(&mut Policy),
    request: String,
) -> Stop {
    let peer = endpoints(count, fault).await;
    let gateway = Gateway::with(&[&peer], change);
    let (_, entry) = gateway.outcome(request).await;
    let outcome = gateway.outcomes.next().await;
    let stop = outcome.attempts.last().unwrap().next.reason().unwrap();
    let logged = entry.attempts.last().unwrap();
    assert_eq!(logged.next.as_deref(), Some("nothing"));
    assert_eq!(logged.reason.as_deref(), Some(stop.label()));
    stop
}

#[tokio::test]
async fn a_request_that_may_not_be_repeated_stops_for_that_reason() {
    let reset = (2, Fault::ResetAfterRequest);
    assert_eq!(
        stopped(reset, |_| {}, post("/", "body")).await,
        Stop::NotIdempotent
    );
}

#[tokio::test]
async fn a_body_that_was_not_kept_stops_a_request() {
    let put = post("/", &"a".repeat(200_000)).replacen("POST", "PUT", 1);
    let reset = (2, Fault::ResetAfterRequest);
    assert_eq!(stopped(reset, |_| {}, put).await, Stop::NotReplayable);
}

#[tokio::test]
async fn the_last_attempt_that_is_allowed_stops_a_request() {
    let refuse = (5, Fault::Refuse);
    assert_eq!(stopped(refuse, |_| {}, get("/")).await, Stop::Attempts);
}

#[tokio::test]
async fn the_end_of_the_time_for_attempts_stops_a_request() {
    let over = |policy: &mut Policy| policy.retry.within = Duration::ZERO;
    let refuse = || (2, Fault::Refuse);
    assert_eq!(stopped(refuse(), over, get("/")).await, Stop::Within);
    let wait = |policy: &mut Policy| {
        policy.retry.backoff_base = Duration::from_secs(40);
        policy.retry.backoff_max = Duration::from_secs(1_000_000_000);
        policy.retry.within = Duration::from_micros(50_000);
        policy.retry.attempts = 10;
    };
    assert_eq!(
        stopped((1, Fault::Refuse), wait, get("/")).await,
        Stop::Within
    );
}

#[tokio::test]
async fn the_end_of_the_time_for_the_request_stops_it() {
    let short = |policy: &mut Policy| policy.timeouts.request = SHORT;
    let silent = (2, Fault::StallBeforeHead);
    assert_eq!(stopped(silent, short, get("/")).await, Stop::Deadline);
}

#[tokio::test]
async fn a_budget_that_is_spent_stops_a_request() {
    let spent = |policy: &mut Policy| {
        policy.retry.budget.percent = 0;
        policy.retry.budget.min_per_second = 0;
    };
    let reset = (2, Fault::ResetAfterRequest);
    assert_eq!(stopped(reset, spent, get("/")).await, Stop::Budget);
}

#[tokio::test]
async fn a_request_that_two_endpoints_break_off_on_stops() {
    let reset = (4, Fault::ResetAfterRequest);
    assert_eq!(stopped(reset, |_| {}, get("/")).await, Stop::Poison);
}

#[tokio::test]
async fn a_cause_that_the_policy_does_not_list_stops_a_request() {
    let unlisted = |policy: &mut Policy| policy.retry.on.connect_failure = false;
    let refuse = (2, Fault::Refuse);
    assert_eq!(stopped(refuse, unlisted, get("/")).await, Stop::NotListed);
}

#[tokio::test]
async fn a_cause_that_no_other_attempt_helps_against_stops_a_request() {
    let large = (2, Fault::HugeHead);
    assert_eq!(stopped(large, |_| {}, get("/")).await, Stop::Cause);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_told_with_what_came_of_it() {
    let peer = endpoints(1, Fault::ShortBody).await;
    let gateway = Gateway::before(&[&peer]);
    gateway.ask(get("/")).await;
    let outcome = gateway.outcomes.next().await;
    assert_eq!(outcome.cause, Some(Cause::BodyIncomplete));
    let [answered] = &outcome.attempts[..] else {
        panic!("{outcome:?}");
    };
    assert!(
        answered.received > 0 && answered.detail.is_some(),
        "{answered:?}"
    );
    assert_eq!(
        (answered.cause, answered.status, answered.next),
        (outcome.cause, Some(200), Followed::Answered)
    );
    let hint = Hint::BodyEnded {
        received: 4,
        announced: Some(8),
    };
    assert_eq!(answered.hint.as_deref(), Some(&hint));
    assert_eq!(outcome.bytes_sent, 4);
    let failures = "bywash_upstream_attempt_failures_total";
    assert_eq!(gateway.metric(failures, "body_incomplete"), 1.0);
    assert_eq!(gateway.metric("bywash_upstream_attempts_total", ""), 1.0);
}

#[tokio::test]
async fn an_attempt_that_its_client_did_not_wait_for_is_logged_as_unfinished() {
    let peer = endpoints(1, Fault::StallBeforeHead).await;
    let gateway = Gateway::before(&[&peer]);
    let mut client = gateway.client().await;
    client.send(get("/")).await;
    until(&peer, |counts| counts.requests == 1).await;
    client.abort();
    let entry = gateway.logged().await;
    assert_eq!(entry.status, 499);
    let [only] = &entry.attempts[..] else {
        panic!("{entry:?}");
    };
    assert_eq!(only.endpoint, Some(peer.address()));
    assert_eq!(only.next.as_deref(), Some("unfinished"));
    assert_eq!(gateway.outcomes.now().await, None);
}

#[tokio::test]
async fn a_request_for_which_no_endpoint_is_left_stops() {
    let resets = Script::on_request([Step::ReadBody, Step::Gate, Step::Reset]);
    let peer = endpoints(1, resets).await;
    let gateway = Gateway::before(&[&peer]);
    let mut client = gateway.client().await;
    client.send(get("/")).await;
    until(&peer, |counts| counts.waiting == 1).await;
    gateway.now_has([]);
    peer.open(1);
    let entry = gateway.logged().await;
    assert_eq!(entry.causes(), ["connection_reset"]);
    let outcome = gateway.outcomes.next().await;
    let [only] = &outcome.attempts[..] else {
        panic!("{outcome:?}");
    };
    assert_eq!(only.next, Followed::Nothing(Stop::NoEndpoint));
}

/// Whatever is sampled, failures are not left out: those that clients saw, those that they did not,
/// and what the application itself calls an error.
#[tokio::test]
async fn sampling_leaves_out_what_went_well_and_never_a_failure() {
    for fault in [
        Script::from(Fault::ResetAfterRequest),
        Fault::Unavailable.into(),
        Fault::ShortBody.into(),
        Script::answer("HTTP/1.1 500 No\r\ncontent-length: 3\r\n\r\nno\n"),
    ] {
        let peer = endpoints(2, Fault::Echo).await;
        let mut setup = Setup::to(&addresses(&[&peer]), Policy::default());
        setup.sample = 0.0;
        let gateway = setup.start();
        for number in 0..30 {
            if number % 3 == 2 {
                peer.once(fault.clone());
            }
            let id = gateway.ask(get("/")).await;
            let id = id.field("x-request-id").unwrap();
            if number % 3 == 2 {
                assert_eq!(gateway.logged().await.id, id);
            }
        }
    }
}
