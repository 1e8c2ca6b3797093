//! Which requests are sent again, where to, and how often.

use std::collections::BTreeSet;
use std::time::Duration;

use bywash::faults::script::Script;
use bywash::faults::{Fault, Peer};
use bywash::report::outcome::{Followed, Stop};
use bywash::routing::policy::Policy;
use bywash::routing::policy::upstream::{Algorithm, CircuitBreaker};

use super::client::{End, get, post};
use super::gateway::{Gateway, Setup, addresses, endpoints};

fn request(method: &str) -> String {
    get("/").replacen("GET", method, 1)
}

#[tokio::test]
async fn idempotent_methods_are_sent_again_after_a_reset_and_others_are_not() {
    for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] {
        let peer = endpoints(2, Fault::Echo).await;
        peer.once(Fault::ResetAfterRequest);
        let (answer, entry) = Gateway::before(&[&peer]).outcome(request(method)).await;
        assert_eq!(answer.status, 200, "{method}");
        assert_eq!(entry.causes(), ["connection_reset", ""], "{method}");
    }
    for method in ["POST", "PATCH", "LOCK", "get"] {
        let peer = endpoints(2, Fault::Echo).await;
        peer.once(Fault::ResetAfterRequest);
        let (answer, entry) = Gateway::before(&[&peer]).outcome(request(method)).await;
        assert_eq!(answer.status, 502, "{method}");
        assert_eq!((entry.attempts.len(), peer.requests()), (1, 1), "{method}");
    }
}

#[tokio::test]
async fn a_policy_may_declare_all_requests_repeatable() {
    let peer = endpoints(2, Fault::Echo).await;
    peer.once(Fault::ResetAfterRequest);
    let gateway = Gateway::with(&[&peer], |policy| policy.retry.non_idempotent = true);
    let (answer, entry) = gateway.outcome(post("/", "body")).await;
    assert_eq!(answer.described()["body_bytes"], 4);
    assert_eq!(entry.causes(), ["connection_reset", ""]);
}

#[tokio::test]
async fn a_body_that_fits_the_buffer_is_sent_again_whole() {
    let peer = endpoints(2, Fault::Echo).await;
    peer.once(Fault::ResetAfterRequest);
    let put = post("/", &"a".repeat(60_000)).replacen("POST", "PUT", 1);
    let (answer, entry) = Gateway::before(&[&peer]).outcome(put).await;
    assert_eq!(answer.described()["body_bytes"], 60_000);
    assert_eq!(entry.attempts.len(), 2);
}

#[tokio::test]
async fn a_body_larger_than_the_buffer_is_not_sent_again() {
    let peer = endpoints(2, Fault::Echo).await;
    peer.once(Fault::ResetAfterRequest);
    let put = post("/", &"a".repeat(200_000)).replacen("POST", "PUT", 1);
    let (answer, entry) = Gateway::before(&[&peer]).outcome(put).await;
    assert_eq!(answer.status, 502);
    assert_eq!((entry.attempts.len(), peer.requests()), (1, 1));
}

#[tokio::test]
async fn three_attempts_go_to_three_endpoints_while_one_is_left() {
    let peer = endpoints(5, Fault::Refuse).await;
    let (answer, entry) = Gateway::before(&[&peer]).outcome(get("/")).await;
    assert_eq!(answer.status, 502);
    let tried: BTreeSet<_> = entry.endpoints().into_iter().collect();
    assert_eq!((entry.attempts.len(), tried.len()), (3, 3));
}

#[tokio::test]
async fn an_endpoint_is_tried_again_only_when_all_others_were() {
    let peer = endpoints(2, Fault::Refuse).await;
    let (_, entry) = Gateway::before(&[&peer]).outcome(get("/")).await;
    let tried = entry.endpoints();
    assert_eq!(tried.len(), 3);
    assert_ne!(tried[0], tried[1]);
}

/// The request may be what makes them fail.
#[tokio::test]
async fn a_request_after_which_two_endpoints_failed_reaches_no_third() {
    for fault in [
        Fault::ResetAfterRequest,
        Fault::CloseAfterRequest,
        Fault::Garbage,
    ] {
        let peer = endpoints(4, fault).await;
        let (answer, entry) = Gateway::before(&[&peer]).outcome(get("/")).await;
        assert_eq!(answer.status, 502);
        let tried: BTreeSet<_> = entry.endpoints().into_iter().collect();
        assert_eq!((tried.len(), peer.requests()), (2, 2));
    }
}

#[tokio::test]
async fn an_error_status_of_one_endpoint_is_healed_for_safe_methods() {
    for method in ["GET", "HEAD", "OPTIONS"] {
        let peer = endpoints(2, Fault::Echo).await;
        peer.once(Fault::Unavailable);
        let (answer, entry) = Gateway::before(&[&peer]).outcome(request(method)).await;
        assert_eq!(answer.status, 200, "{method}");
        assert_eq!(entry.causes(), ["retried_status", ""], "{method}");
        assert_eq!(entry.attempts[0].status, Some(503), "{method}");
    }
}

#[tokio::test]
async fn an_error_status_passes_unchanged_for_methods_that_are_not_safe() {
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let peer = endpoints(2, Fault::Echo).await;
        peer.once(Fault::Unavailable);
        let (answer, entry) = Gateway::before(&[&peer]).outcome(request(method)).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (503, "busy\n"),
            "{method}"
        );
        assert_eq!((entry.attempts.len(), peer.requests()), (1, 1), "{method}");
    }
}

#[tokio::test]
async fn an_error_status_with_retry_after_passes_unchanged() {
    let peer = endpoints(2, Fault::Echo).await;
    peer.once(Fault::UnavailableLater);
    let (answer, entry) = Gateway::before(&[&peer]).outcome(get("/")).await;
    assert_eq!((answer.status, answer.text().as_str()), (503, "busy\n"));
    assert_eq!(answer.field("retry-after"), Some("7"));
    assert_eq!((entry.attempts.len(), peer.requests()), (1, 1));
}

#[tokio::test]
async fn after_the_last_attempt_the_upstreams_own_answer_passes_unchanged() {
    let peer = endpoints(4, Fault::Unavailable).await;
    let (answer, entry) = Gateway::before(&[&peer]).outcome(get("/")).await;
    assert_eq!((answer.status, answer.end), (503, End::Whole));
    assert_eq!(
        (answer.text().as_str(), answer.field("x-app")),
        ("busy\n", Some("shop"))
    );
    assert_eq!(answer.proxy_error(), None);
    let tried: BTreeSet<_> = entry.endpoints().into_iter().collect();
    assert_eq!((tried.len(), peer.requests()), (3, 3));
}

#[tokio::test]
async fn an_answer_that_was_not_the_last_attempts_passes_all_the_same() {
    for worse in [Fault::Refuse, Fault::ResetAfterRequest] {
        let busy = endpoints(1, Fault::Unavailable).await;
        let others = endpoints(1, worse).await;
        let (mut answered_first, mut requests) = (false, 0);
        while !answered_first {
            requests += 1;
            let gateway = Gateway::with(&[&busy, &others], |policy| policy.retry.attempts = 2);
            let (answer, entry) = gateway.outcome(get("/")).await;
            assert_eq!((answer.status, answer.end), (503, End::Whole), "{worse}");
            assert_eq!(answer.text(), "busy\n");
            assert_eq!((entry.cause, busy.requests()), (None, requests));
            answered_first = entry.attempts[0].status.is_some();
        }
    }
}

#[tokio::test]
async fn the_retried_statuses_are_502_503_and_504() {
    for status in [500, 501, 502, 503, 504, 505, 429, 404] {
        let peer = endpoints(2, Fault::Echo).await;
        peer.once(Script::answer(format!(
            "HTTP/1.1 {status} No\r\nx-app: shop\r\ncontent-length: 3\r\n\r\nno\n"
        )));
        let (answer, entry) = Gateway::before(&[&peer]).outcome(get("/")).await;
        if (502..=504).contains(&status) {
            assert_eq!((answer.status, entry.attempts.len()), (200, 2));
        } else {
            assert_eq!((answer.status, entry.attempts.len()), (status, 1));
            assert_eq!(
                (answer.text().as_str(), answer.field("x-app")),
                ("no\n", Some("shop"))
            );
            assert_eq!(answer.proxy_error(), None);
        }
    }
}

/// A bad answer whose body is small is read, so that its connection is not lost for the next one.
#[tokio::test]
async fn a_retried_answer_keeps_its_connection() {
    let peer = endpoints(1, Fault::Echo).await;
    peer.once(Fault::Unavailable);
    let gateway = Gateway::before(&[&peer]);
    let (answer, entry) = gateway.outcome(get("/")).await;
    answer.described();
    assert_eq!(entry.attempts.len(), 2);
    assert_eq!((peer.connections(), peer.requests()), (1, 2));
}

/// It would be the connection that the next attempt waits for.
#[tokio::test]
async fn a_retried_answer_frees_its_connection_for_the_next_attempt() {
    let peer = endpoints(1, Fault::Unavailable).await;
    let gateway = Gateway::with(&[&peer], |policy| {
        policy.upstream_mut().circuit_breaker = Some(CircuitBreaker {
            max_connections: 1,
            ..CircuitBreaker::default()
        });
    });
    let (answer, entry) = gateway.outcome(get("/")).await;
    assert_eq!((answer.status, entry.attempts.len()), (503, 3));
    assert_eq!((peer.connections(), peer.requests()), (1, 3));
}

#[tokio::test]
async fn no_attempt_starts_when_the_time_for_attempts_is_over() {
    let peer = endpoints(2, Fault::ResetAfterRequest).await;
    let gateway = Gateway::with(&[&peer], |policy| policy.retry.within = Duration::ZERO);
    let (answer, entry) = gateway.outcome(get("/")).await;
    assert_eq!((answer.status, entry.attempts.len()), (502, 1));
}

#[tokio::test]
async fn a_wait_that_would_outlast_the_time_for_attempts_is_not_begun() {
    let peer = endpoints(1, Fault::Refuse).await;
    let gateway = Gateway::with(&[&peer], |policy| {
        policy.retry.backoff_base = Duration::from_secs(1_000_000_000);
        policy.retry.backoff_max = Duration::from_secs(1_000_000_000);
    });
    let (answer, entry) = gateway.outcome(get("/")).await;
    assert_eq!((answer.status, entry.attempts.len()), (502, 1));
}

/// It could do no more than open a connection.
#[tokio::test]
async fn no_attempt_starts_when_what_is_left_would_not_do_for_one() {
    let time = Duration::from_millis(300);
    let within: [fn(&mut Policy, Duration); 2] = [
        |policy, time| policy.timeouts.request = time,
        |policy, time| policy.retry.within = time,
    ];
    for (limit, stop) in within.into_iter().zip([Stop::Deadline, Stop::Within]) {
        let mut rounds = 0;
        while !stops_for_want_of_time(|policy| limit(policy, time), time, stop).await {
            rounds += 1;
            assert!(rounds < 20, "{stop:?}: each time the attempt began late");
        }
    }
}

/// Asks with a limit on time; false where the attempt began so late that nothing was left after it.
async fn stops_for_want_of_time(limit: impl Fn(&mut Policy), time: Duration, stop: Stop) -> bool {
    let peer = endpoints(2, Fault::StallBeforeHead).await;
    let gateway = Gateway::with(&[&peer], |policy| {
        limit(policy);
        policy.retry.per_try = Some(time - Duration::from_millis(9));
    });
    let (answer, entry) = gateway.outcome(get("/")).await;
    assert_eq!((answer.status, peer.connections()), (504, 1));
    let outcome = gateway.outcomes.next().await;
    let next: Vec<_> = outcome.attempts.iter().map(|it| it.next).collect();
    let in_time = entry.causes() == ["response_timeout"];
    if in_time {
        assert_eq!(next, [Followed::Nothing(stop)]);
    }
    in_time
}

#[tokio::test]
async fn one_attempt_is_the_only_one_where_the_policy_says_so() {
    let peer = endpoints(2, Fault::Refuse).await;
    let gateway = Gateway::with(&[&peer], |policy| policy.retry.attempts = 1);
    let (_, entry) = gateway.outcome(post("/", "body")).await;
    assert_eq!(entry.causes(), ["connection_refused"]);
}

#[tokio::test]
async fn a_body_for_which_no_memory_is_left_is_sent_once() {
    let (reset, good) = (
        Peer::start(Fault::ResetAfterRequest).await.unwrap(),
        Peer::start(Fault::Echo).await.unwrap(),
    );
    let endpoints = addresses(&[&reset, &good]);
    let put = "PUT / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 4\r\n\r\nbody";
    for (memory, retried) in [(0, false), (4, true)] {
        let mut policy = Policy::default();
        policy.upstream_mut().load_balancing.algorithm = Algorithm::RoundRobin;
        let mut setup = Setup::to(&endpoints, policy);
        setup.settings.replay_memory = memory;
        let gateway = setup.start();
        let mut failed = 0;
        for _ in 0..12 {
            failed += u32::from(gateway.ask(put).await.status == 502);
        }
        assert_eq!(failed == 0, retried, "{failed} failed with {memory} bytes");
    }
}

#[tokio::test]
async fn an_answer_for_which_no_memory_is_left_is_not_kept() {
    let busy = endpoints(1, Fault::Unavailable).await;
    let refuses = endpoints(1, Fault::Refuse).await;
    let mut answered_first = false;
    while !answered_first {
        let mut policy = Policy::default();
        policy.retry.attempts = 2;
        let mut setup = Setup::to(&addresses(&[&busy, &refuses]), policy);
        setup.settings.replay_memory = 4;
        let (answer, entry) = setup.start().outcome(get("/")).await;
        answered_first = entry.attempts[0].status.is_some();
        assert_eq!(answer.status, if answered_first { 502 } else { 503 });
    }
}

#[tokio::test]
async fn a_grpc_call_brings_its_own_time() {
    let peer = Peer::start(Fault::StallBeforeHead).await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    let call = "GET / HTTP/1.1\r\nHost: shop.test\r\nContent-Type: application/grpc\r\n\
                grpc-timeout: 200m\r\n\r\n";
    let (answer, entry) = gateway.outcome(call).await;
    assert_eq!(answer.field("grpc-status"), Some("4"));
    assert_eq!(
        (entry.status, entry.cause.as_deref()),
        (504, Some("caller_deadline"))
    );
}
