//! How an ejected endpoint comes back: by a connection of which no client knows, then by requests, one
//! at a time.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bywash::faults::{Fault, Peer};
use bywash::routing::policy::Policy;

use super::client::{get, post, within};
use super::ejection::{attempts_until_ejected, tries};
use super::gateway::{Gateway, SHORT, Setup, addresses};

/// In front of these, with ejections that begin with this time.
fn before(peers: &[&Peer], base: Duration) -> Gateway {
    let mut policy = Policy::default();
    policy.upstream_mut().outlier_detection.ejection.base = base;
    Setup::to(&addresses(peers), policy).start()
}

/// The first address that was tried so often.
fn first_tried(attempts: &[SocketAddr], times: usize) -> SocketAddr {
    let reached = attempts.iter().enumerate().find(|(position, address)| {
        let so_far = &attempts[..=*position];
        tries(so_far, **address) == times
    });
    *reached.unwrap().1
}

/// The first thing that a returning endpoint sees is a connection without a request; while that is
/// not accepted, no client's request goes there.
#[tokio::test]
async fn an_ejected_endpoint_is_first_tried_by_a_connection_and_comes_back() {
    let one = Peer::start(Fault::Refuse).await.unwrap();
    let two = Peer::start(Fault::Refuse).await.unwrap();
    let gateway = before(&[&one, &two], SHORT);
    let attempts = attempts_until_ejected(&gateway, &get("/")).await;
    let ejected = first_tried(&attempts, 3);
    // Nobody listens: the connections of the background fail, and no client ever tries it.
    for _ in 0..20 {
        let (_, entry) = gateway.outcome(get("/")).await;
        assert_eq!(tries(&entry.endpoints(), ejected), 0);
    }
    let (gone, stays) = if one.address() == ejected {
        (one, two)
    } else {
        (two, one)
    };
    gone.shutdown().await;
    let back = Peer::start_at(&[ejected], "back", Fault::Echo)
        .await
        .unwrap();
    let in_use = stays.address();
    stays.shutdown().await;
    let _works = Peer::start_at(&[in_use], "works", Fault::Echo)
        .await
        .unwrap();
    // Requests are what wakes it, but none that cannot be repeated is what it is tried with.
    within("a connection of the background", async {
        while back.connections() == 0 {
            let (answer, entry) = gateway.outcome(post("/", "body")).await;
            assert_eq!((answer.status, entry.endpoints()), (200, vec![in_use]));
        }
    })
    .await;
    assert_eq!(back.requests(), 0);
    for _ in 0..2 {
        let (answer, entry) = gateway.outcome(get("/")).await;
        assert_eq!((answer.status, entry.endpoints()), (200, vec![ejected]));
    }
    assert_eq!(
        gateway.metric("bywash_upstream_readmissions_total", ""),
        1.0
    );
    // The connection of the background is the one that the requests came on.
    assert_eq!((back.connections(), back.requests()), (1, 2));
}

/// In front of two that fail like this, of which one was ejected for a long time, but does that by now:
/// that one, and the other. It fails as it did.
async fn one_ejected(
    (fault, by_now): (Fault, Fault),
    change: impl FnOnce(&mut Policy),
) -> (Gateway, Peer, Peer) {
    let one = Peer::start(fault).await.unwrap();
    let two = Peer::start(fault).await.unwrap();
    let mut policy = Policy::default();
    policy.upstream_mut().outlier_detection.ejection.base = Duration::from_secs(300);
    policy.retry.backoff_base = Duration::from_millis(100);
    policy.retry.attempts = 10;
    change(&mut policy);
    let gateway = Setup::to(&addresses(&[&one, &two]), policy).start();
    attempts_until_ejected(&gateway, &get("/")).await;
    let (_, entry) = gateway.outcome(get("/")).await;
    let (gone, stays) = if entry.endpoints()[0] == one.address() {
        (two, one)
    } else {
        (one, two)
    };
    let address = gone.address();
    gone.shutdown().await;
    let now = Peer::start_at(&[address], "now", by_now).await;
    (gateway, now.unwrap(), stays)
}

async fn back_before_its_time(fault: Fault) -> (Gateway, Peer, Peer) {
    one_ejected((fault, Fault::Echo), |_| {}).await
}

#[tokio::test]
async fn what_the_last_one_refuses_goes_to_an_ejected_one_that_can_be_connected_to_again() {
    let (gateway, back, stays) = back_before_its_time(Fault::Refuse).await;
    let (answer, entry) = gateway.outcome(get("/")).await;
    assert_eq!(answer.status, 200);
    let tried = entry.endpoints();
    assert_eq!(tried.first(), Some(&stays.address()));
    assert_eq!(tried.last(), Some(&back.address()));
    assert_eq!(tries(&tried, back.address()), 1);
    // It came on the connection that was opened for no client.
    assert_eq!((back.connections(), back.requests()), (1, 1));
}

/// It may have been an accident, and two endpoints that break off are the most that a request gets.
#[tokio::test]
async fn what_the_last_one_breaks_off_goes_there_once_more_and_then_to_an_ejected_one() {
    let (gateway, back, stays) = back_before_its_time(Fault::ResetAfterRequest).await;
    let (answer, entry) = gateway.outcome(get("/")).await;
    assert_eq!(answer.status, 200);
    let tried = entry.endpoints();
    assert!(tries(&tried, stays.address()) >= 2);
    assert_eq!(tried.last(), Some(&back.address()));
    assert_eq!(tries(&tried, back.address()), 1);
}

/// The one that is ejected cannot be connected to, which takes long to find out.
#[tokio::test]
async fn waiting_for_an_ejected_one_leaves_time_for_the_one_that_there_is() {
    const ENOUGH: Duration = Duration::from_secs(1);
    let limits: [fn(&mut Policy); 2] = [
        |policy| policy.retry.within = ENOUGH,
        |policy| policy.timeouts.request = ENOUGH,
    ];
    for limit in limits {
        let faults = (Fault::ResetAfterRequest, Fault::Ignore);
        let change = |policy: &mut Policy| {
            policy.retry.backoff_base = Duration::from_millis(1);
            policy.retry.backoff_max = Duration::from_secs(60);
            limit(policy);
        };
        let (gateway, _gone, stays) = one_ejected(faults, change).await;
        // What is left is some milliseconds, which a machine may need for itself.
        for round in 0.. {
            stays.from_now_on([Fault::ResetAfterRequest, Fault::Echo]);
            let (answer, entry) = gateway.outcome(get("/")).await;
            if (answer.status, entry.endpoints()) == (200, vec![stays.address(); 2]) {
                break;
            }
            assert!(round < 10, "{entry:?}");
        }
    }
}

/// Its connections are accepted, so that only a request shows that it still fails: one each time,
/// which another endpoint then answers.
#[tokio::test]
async fn an_endpoint_that_fails_its_trial_stays_away_twice_as_long_each_time() {
    const BASE: Duration = Duration::from_millis(100);
    let one = Peer::start(Fault::ResetAfterRequest).await.unwrap();
    let two = Peer::start(Fault::ResetAfterRequest).await.unwrap();
    let gateway = before(&[&one, &two], BASE);
    let mut failed = Instant::now();
    let attempts = attempts_until_ejected(&gateway, &get("/")).await;
    let (bad, good) = if first_tried(&attempts, 5) == one.address() {
        (one, two)
    } else {
        (two, one)
    };
    good.from_now_on(Fault::Echo);
    let failures = bad.requests();
    for trial in 1..=3 {
        let since = failed;
        within("the next trial", async {
            while bad.requests() < failures + trial {
                failed = Instant::now();
                assert_eq!(gateway.ask(get("/")).await.status, 200);
            }
        })
        .await;
        // It is shorter by a fifth at most, and longer by whatever the machine takes.
        let least = BASE * (1 << (trial - 1)) * 4 / 5;
        assert!(since.elapsed() >= least, "trial {trial}");
    }
    assert_eq!(
        gateway.metric("bywash_upstream_readmissions_total", ""),
        0.0
    );
}
