//! Whose failure it is where a fallback stands in, and what becomes of the endpoints it stands in for.

use std::time::Duration;

use bywash::faults::{Fault, Peer};
use bywash::routing::path::{PathKind, PathRule};
use bywash::routing::policy::Policy;

use super::client::{End, get, post, within};
use super::fallback::backed;
use super::gateway::{SHORT, endpoints};

/// A body that breaks off is the failure of the endpoint that sent it.
#[tokio::test]
async fn a_body_of_the_fallback_that_breaks_off_counts_against_the_fallback() {
    let (own, by) = (
        endpoints(1, Fault::Refuse).await,
        endpoints(2, Fault::ShortBody).await,
    );
    let gateway = backed(&own, &by, |policy| {
        policy
            .upstream_mut()
            .outlier_detection
            .consecutive_connect_failures = 100;
        policy.upstream_mut().outlier_detection.consecutive_failures = 100;
        policy
            .upstream_mut()
            .outlier_detection
            .failure_percent
            .threshold = 100;
        policy
            .upstream_mut()
            .outlier_detection
            .failure_percent
            .min_requests = 10_000;
    });
    let gateway = gateway.start();
    for _ in 0..9 {
        let answer = gateway.ask(get("/")).await;
        assert_eq!((answer.status, answer.end), (200, End::Cut));
        let entry = gateway.logged().await;
        assert_eq!(
            (entry.cause.as_deref(), entry.fallback),
            (Some("body_incomplete"), true)
        );
    }
    let ejections = |upstream| gateway.metric("bywash_upstream_ejections_total", upstream);
    assert_eq!(
        (ejections("shop/static:80"), ejections("shop/shop:80")),
        (1.0, 0.0)
    );
}

fn eject_after_three(policy: &mut Policy) {
    policy.retry.attempts = 1;
    policy.upstream_mut().outlier_detection.ejection.base = SHORT;
}

/// nginx: max_fails, fail_timeout, backup.
#[tokio::test]
async fn where_a_fallback_stands_in_the_last_endpoint_is_ejected_too_and_comes_back() {
    let (own, by) = (
        endpoints(1, Fault::Refuse).await,
        endpoints(1, Fault::Echo).await,
    );
    let address = own.address();
    let gateway = backed(&own, &by, |policy| {
        eject_after_three(policy);
        policy.upstream_mut().outlier_detection.ejection.base = Duration::from_secs(300);
    });
    let gateway = gateway.start();
    for _ in 0..3 {
        let (_, entry) = gateway.outcome(post("/", "an order")).await;
        assert_eq!(entry.causes(), ["connection_refused", ""]);
    }
    for _ in 0..5 {
        let (answer, entry) = gateway.outcome(get("/")).await;
        assert_eq!(answer.status, 200);
        assert_eq!(entry.causes(), ["no_endpoints", ""]);
    }
    drop(gateway);
    let gateway = backed(&own, &by, eject_after_three).start();
    for _ in 0..3 {
        gateway.outcome(get("/")).await;
    }
    own.shutdown().await;
    let own = Peer::start_at(&[address], "back", Fault::Echo)
        .await
        .unwrap();
    within("the endpoint to come back", async {
        loop {
            let (answer, entry) = gateway.outcome(get("/")).await;
            assert_eq!(answer.status, 200);
            let back = gateway.metric("bywash_upstream_readmissions_total", "") > 0.0;
            if back && !entry.fallback {
                return;
            }
        }
    })
    .await;
    assert!(own.requests() >= 2);
}

#[tokio::test]
async fn when_the_fallback_fails_too_ejected_endpoints_are_tried_again_soon() {
    let (own, by) = (
        endpoints(1, Fault::Refuse).await,
        endpoints(1, Fault::Refuse).await,
    );
    let address = own.address();
    let gateway = backed(&own, &by, |policy| {
        policy.upstream_mut().outlier_detection.ejection.base = Duration::from_secs(300);
    });
    let gateway = gateway.start();
    let (answer, entry) = gateway.outcome(get("/")).await;
    assert_eq!((answer.status, entry.at_fallback()), (502, 3));
    own.shutdown().await;
    let own = Peer::start_at(&[address], "back", Fault::Echo)
        .await
        .unwrap();
    within("three answers", async {
        let mut answers = 0;
        while answers < 3 {
            answers += usize::from(gateway.outcome(get("/")).await.0.status == 200);
        }
    })
    .await;
    assert_eq!(own.requests(), 3);
}

/// Nothing else is asked there, so that nothing is gained by leaving out the last one.
#[tokio::test]
async fn what_is_passed_on_without_help_goes_to_an_ejected_endpoint_where_all_are() {
    let (own, by) = (
        endpoints(1, Fault::Refuse).await,
        endpoints(1, Fault::Echo).await,
    );
    let gateway = backed(&own, &by, |policy| {
        policy.upstream_mut().outlier_detection.ejection.base = Duration::from_secs(300);
        policy.bypass = vec![PathRule::new(PathKind::Prefix, "/health")];
    });
    let gateway = gateway.start();
    gateway.ask(get("/")).await.described();
    assert_eq!(gateway.metric("bywash_upstream_ejections_total", ""), 1.0);
    let answer = gateway.ask(get("/health")).await;
    assert_eq!(
        (answer.status, answer.proxy_error()),
        (502, Some("connection_refused"))
    );
    gateway.ask(get("/")).await.described();
    assert_eq!(gateway.metric("bywash_fallback_requests_total", ""), 2.0);
}
