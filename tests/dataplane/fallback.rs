//! After the last attempt the fallback Service is asked, for whatever may be sent again, and what it
//! answers never looks like the route's own.

use bywash::failure::Cause;
use bywash::faults::{Fault, Peer};
use bywash::routing::policy::Policy;

use super::client::{get, post};
use super::gateway::{Gateway, Setup, addresses, endpoints, nowhere};

pub(crate) const ASKED: &str = "bywash_fallback_requests_total";

pub(crate) fn backed(own: &Peer, by: &Peer, change: impl FnOnce(&mut Policy)) -> Setup {
    let mut policy = Policy::default();
    change(&mut policy);
    Setup::backed(&addresses(&[own]), policy, &addresses(&[by]))
}

/// In front of one peer, with the other standing in.
pub(crate) fn before(own: &Peer, by: &Peer) -> Gateway {
    backed(own, by, |_| {}).start()
}

/// What reached a peer on its first connection.
pub(crate) fn first(peer: &Peer) -> String {
    String::from_utf8(peer.received().remove(0).bytes).unwrap()
}

#[tokio::test]
async fn after_its_last_attempt_a_request_is_answered_by_the_fallback_and_that_is_said() {
    let (own, by) = (
        endpoints(2, Fault::ResetAfterRequest).await,
        endpoints(1, Fault::Echo).await,
    );
    let gateway = before(&own, &by);
    let (answer, entry) = gateway.outcome(get("/cart?n=1")).await;
    assert_eq!(answer.described()["target"], "/cart?n=1");
    let said = answer.field("proxy-status");
    assert_eq!(said, Some("bywash; details=\"fallback: connection_reset\""));
    assert_eq!(entry.causes(), ["connection_reset", "connection_reset", ""]);
    assert_eq!((entry.fallback, entry.cause.as_deref()), (true, None));
    assert_eq!(entry.at_fallback(), 1);
    assert_eq!((own.requests(), by.requests()), (2, 1));
    assert_eq!(gateway.metric(ASKED, "upstream=\"shop/shop:80\""), 1.0);
    let id = format!("x-request-id: {}\r\n", entry.id);
    assert!(first(&own).contains(&id) && first(&by).contains(&id));
}

#[tokio::test]
async fn a_request_that_works_never_reaches_the_fallback() {
    let (own, by) = (
        endpoints(2, Fault::Echo).await,
        endpoints(1, Fault::Echo).await,
    );
    own.once(Fault::ResetAfterRequest);
    let gateway = before(&own, &by);
    let (answer, entry) = gateway.outcome(get("/")).await;
    assert_eq!((answer.status, entry.fallback), (200, false));
    assert_eq!(answer.field("proxy-status"), None);
    assert_eq!((by.connections(), gateway.metric(ASKED, "")), (0, 0.0));
}

#[tokio::test]
async fn a_post_that_was_sent_is_never_sent_again() {
    for fault in [
        Fault::ResetAfterRequest,
        Fault::CloseAfterRequest,
        Fault::Garbage,
    ] {
        let (own, by) = (endpoints(2, fault).await, endpoints(1, Fault::Echo).await);
        let (answer, entry) = before(&own, &by).outcome(post("/", "an order")).await;
        assert_eq!((answer.status, entry.fallback), (502, false), "{fault}");
        assert_eq!((own.requests(), by.connections()), (1, 0), "{fault}");
    }
}

#[tokio::test]
async fn a_post_that_was_never_sent_reaches_the_fallback_whole() {
    let (own, by) = (
        endpoints(2, Fault::Refuse).await,
        endpoints(1, Fault::Echo).await,
    );
    let (answer, entry) = before(&own, &by).outcome(post("/", "an order")).await;
    assert_eq!(answer.described()["body_bytes"], 8);
    assert!(first(&by).ends_with("\r\n\r\nan order"));
    assert_eq!((entry.attempts.len(), entry.at_fallback()), (4, 1));
    // Not kept, and not needed: no byte of it was taken.
    let big = post("/", &"a".repeat(300_000));
    let (answer, _) = before(&own, &by).outcome(big).await;
    assert_eq!(answer.described()["body_bytes"], 300_000);
}

#[tokio::test]
async fn a_post_that_the_policy_declares_repeatable_goes_to_the_fallback() {
    let (own, by) = (
        endpoints(2, Fault::ResetAfterRequest).await,
        endpoints(1, Fault::Echo).await,
    );
    let gateway = backed(&own, &by, |policy| policy.retry.non_idempotent = true).start();
    let (answer, entry) = gateway.outcome(post("/", "an order")).await;
    assert_eq!(answer.described()["body_bytes"], 8);
    assert!(entry.fallback);
}

#[tokio::test]
async fn a_body_that_is_not_kept_cannot_go_to_the_fallback() {
    let (own, by) = (
        endpoints(2, Fault::ResetAfterRequest).await,
        endpoints(1, Fault::Echo).await,
    );
    let put = post("/", &"a".repeat(300_000)).replacen("POST", "PUT", 1);
    let (answer, entry) = before(&own, &by).outcome(put).await;
    assert_eq!((answer.status, entry.attempts.len()), (502, 1));
    assert_eq!(by.connections(), 0);
}

#[tokio::test]
async fn a_route_without_endpoints_or_without_its_service_is_answered_by_the_fallback() {
    let by = endpoints(1, Fault::Echo).await;
    let none = Setup::backed(&[], Policy::default(), &addresses(&[&by]));
    let missing = |cause| {
        let target = nowhere(cause);
        Setup::routed_backed(target, Policy::default(), &addresses(&[&by]))
    };
    for (setup, cause) in [
        (none, "no_endpoints"),
        (missing(Cause::UnknownUpstream), "unknown_upstream"),
        (missing(Cause::UnsupportedProtocol), "unsupported_protocol"),
    ] {
        let gateway = setup.start();
        let (answer, entry) = gateway.outcome(post("/", "an order")).await;
        assert_eq!(answer.described()["body_bytes"], 8, "{cause}");
        assert_eq!(entry.causes(), [cause, ""]);
        assert_eq!((entry.fallback, entry.attempts[0].endpoint), (true, None));
        assert_eq!(gateway.metric(ASKED, ""), 1.0);
    }
}
