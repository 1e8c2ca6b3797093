//! No connection comes about: nothing was sent, so that the next endpoint gets the request, whatever
//! its method (RFC 9110 section 9.2.2).

use std::net::SocketAddr;

use bywash::failure::Cause;
use bywash::faults::{Fault, Peer};
use bywash::routing::policy::{AddressRules, Policy};

use super::client::{End, get, post};
use super::gateway::{Gateway, SHORT, Setup, addresses, endpoints, nowhere};

/// TCP cannot be spoken to a broadcast address: the kernel knows no path.
const UNROUTABLE: &str = "127.255.255.255:80";

/// Gateways before one bad and one good endpoint, until the bad one was drawn first: the answer to
/// the request there, and the causes of its attempts.
async fn bad_first(
    bad: SocketAddr,
    good: &Peer,
    request: &str,
) -> (super::client::Answer, Vec<String>) {
    for _ in 0..64 {
        let mut policy = Policy::default();
        policy.timeouts.connect = SHORT;
        let gateway = Setup::to(&[bad, good.address()], policy).start();
        let (answer, entry) = gateway.outcome(request).await;
        if entry.endpoints()[0] == bad {
            assert_eq!(entry.endpoints(), [bad, good.address()]);
            let causes = entry.causes().into_iter().map(str::to_owned).collect();
            return (answer, causes);
        }
    }
    panic!("the bad endpoint was never drawn first");
}

/// Three endpoints of the kind are tried once each, then the client learns the cause.
async fn all_bad(endpoints: &[SocketAddr], cause: Cause) {
    let mut policy = Policy::default();
    policy.timeouts.connect = SHORT;
    let gateway = Setup::to(endpoints, policy).start();
    for request in [get("/"), post("/", "body")] {
        let (answer, entry) = gateway.outcome(request).await;
        assert_eq!(answer.status, cause.status().as_u16());
        assert_eq!(answer.proxy_error(), Some(cause.proxy_error()));
        assert_eq!(answer.end, End::Whole);
        assert_eq!(entry.cause.as_deref(), Some(cause.label()));
        assert_eq!(entry.causes(), [cause.label(); 3]);
        let mut tried = entry.endpoints();
        tried.sort_unstable();
        let mut distinct = tried.clone();
        distinct.dedup();
        assert_eq!(distinct.len(), endpoints.len().min(3), "{tried:?}");
    }
}

#[tokio::test]
async fn an_upstream_without_endpoints_is_503_destination_unavailable() {
    let gateway = Setup::to(&[], Policy::default()).start();
    let (answer, entry) = gateway.outcome(get("/")).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.proxy_error(), Some("destination_unavailable"));
    assert_eq!(entry.cause.as_deref(), Some("no_endpoints"));
    assert_eq!(entry.endpoints(), []);
}

#[tokio::test]
async fn an_unknown_service_is_503_destination_not_found() {
    let target = nowhere(Cause::UnknownUpstream);
    let gateway = Setup::routed(target, Policy::default()).start();
    let (answer, entry) = gateway.outcome(get("/")).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.proxy_error(), Some("destination_not_found"));
    assert_eq!(entry.cause.as_deref(), Some("unknown_upstream"));
    assert_eq!(entry.upstream.as_deref(), Some("shop/shop:99"));
    let counted = gateway.metric("bywash_request_failures_total", "shop/shop:99");
    assert_eq!(counted, 1.0);
}

#[tokio::test]
async fn a_refused_connection_is_502_connection_refused() {
    let peer = endpoints(3, Fault::Refuse).await;
    all_bad(peer.addresses(), Cause::ConnectionRefused).await;
}

#[tokio::test]
async fn an_unroutable_endpoint_is_502_destination_ip_unroutable() {
    all_bad(&[UNROUTABLE.parse().unwrap()], Cause::AddressUnroutable).await;
}

#[tokio::test]
async fn connection_requests_that_are_ignored_are_504_connection_timeout() {
    let peer = endpoints(3, Fault::Ignore).await;
    all_bad(peer.addresses(), Cause::ConnectTimeout).await;
}

#[tokio::test]
async fn the_time_of_one_attempt_is_enough_for_its_connection_too() {
    let peer = endpoints(3, Fault::Ignore).await;
    let gateway = Gateway::with(&[&peer], |policy| {
        policy.timeouts.connect = 40 * SHORT;
        policy.retry.per_try = Some(SHORT);
    });
    for request in [get("/"), post("/", "body")] {
        let (answer, entry) = gateway.outcome(request).await;
        assert_eq!(answer.status, 504);
        assert_eq!(entry.causes(), ["connect_timeout"; 3]);
        assert!(entry.duration_ms < 5_000.0, "{entry:?}");
    }
}

#[tokio::test]
async fn a_request_that_was_refused_a_connection_goes_to_the_next_endpoint_whatever_its_method() {
    let bad = Peer::start(Fault::Refuse).await.unwrap();
    let good = Peer::start(Fault::Echo).await.unwrap();
    for request in [get("/"), post("/", "body")] {
        let (answer, causes) = bad_first(bad.address(), &good, &request).await;
        assert_eq!(
            answer.described()["method"],
            request.split(' ').next().unwrap()
        );
        assert_eq!(causes, ["connection_refused", ""]);
    }
}

#[tokio::test]
async fn a_request_that_waited_for_a_connection_in_vain_goes_to_the_next_endpoint() {
    let bad = Peer::start(Fault::Ignore).await.unwrap();
    let good = Peer::start(Fault::Echo).await.unwrap();
    let (answer, causes) = bad_first(bad.address(), &good, &post("/", "body")).await;
    assert_eq!(answer.described()["body_bytes"], 4);
    assert_eq!(causes, ["connect_timeout", ""]);
}

#[tokio::test]
async fn an_upload_larger_than_the_buffer_survives_a_refused_connection() {
    let bad = Peer::start(Fault::Refuse).await.unwrap();
    let good = Peer::start(Fault::Echo).await.unwrap();
    let upload = post("/", &"a".repeat(1 << 20));
    let (answer, causes) = bad_first(bad.address(), &good, &upload).await;
    assert_eq!(answer.described()["body_bytes"], 1 << 20);
    assert_eq!(causes, ["connection_refused", ""]);
}

#[tokio::test]
async fn a_prohibited_address_is_502_destination_ip_prohibited_and_never_connected_to() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let mut setup = Setup::to(&addresses(&[&peer]), Policy::default());
    setup.rules = AddressRules::default();
    let (answer, entry) = setup.start().outcome(get("/")).await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.proxy_error(), Some("destination_ip_prohibited"));
    assert_eq!(entry.causes(), ["address_prohibited"]);
    assert_eq!(peer.connections(), 0);
}

#[tokio::test]
async fn an_endpoint_that_accepts_and_ends_the_connection_is_502_connection_terminated() {
    for fault in [Fault::AcceptAndClose, Fault::AcceptAndReset] {
        let peer = endpoints(3, fault).await;
        let gateway = Gateway::before(&[&peer]);
        let (answer, entry) = gateway.outcome(get("/")).await;
        assert_eq!(answer.status, 502);
        assert_eq!(answer.proxy_error(), Some("connection_terminated"));
        // Whether bytes were out before the end was seen is the kernel's affair.
        let known = [
            "closed_before_send",
            "connection_closed",
            "connection_reset",
        ];
        assert!(
            entry.causes().iter().all(|cause| known.contains(cause)),
            "{entry:?}"
        );
        assert!((2..=3).contains(&entry.attempts.len()), "{entry:?}");
        assert_eq!(peer.requests(), 0);
    }
}

#[tokio::test]
async fn a_get_survives_an_endpoint_that_accepts_and_ends_the_connection() {
    for fault in [Fault::AcceptAndClose, Fault::AcceptAndReset] {
        let peer = endpoints(2, Fault::Echo).await;
        peer.once(fault);
        let gateway = Gateway::before(&[&peer]);
        let (answer, entry) = gateway.outcome(get("/")).await;
        answer.described();
        assert_eq!((entry.attempts.len(), peer.connections()), (2, 2));
    }
}
