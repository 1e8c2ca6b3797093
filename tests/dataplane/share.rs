//! An endpoint that fails fast must not look fast.

use bywash::faults::{Fault, Peer};

use super::client::get;
use super::gateway::Gateway;

/// How many of so many requests reached each peer; every one must be answered 200.
async fn share(peers: &[&Peer], requests: usize) -> Vec<usize> {
    let gateway = Gateway::before(peers);
    let mut client = gateway.client().await;
    for _ in 0..requests {
        assert_eq!(client.ask(get("/")).await.status, 200);
    }
    peers
        .iter()
        .map(|peer| peer.connections().max(peer.requests()))
        .collect()
}

async fn attracts_no_traffic(fault: Fault) {
    let good = [
        Peer::start(Fault::Echo).await.unwrap(),
        Peer::start(Fault::Echo).await.unwrap(),
    ];
    let bad = Peer::start(fault).await.unwrap();
    let shares = share(&[&good[0], &good[1], &bad], 300).await;
    assert!(shares[2] <= 100, "{shares:?}");
}

#[tokio::test]
async fn an_endpoint_that_resets_at_once_gets_at_most_its_even_share() {
    attracts_no_traffic(Fault::ResetAfterRequest).await;
}

#[tokio::test]
async fn an_endpoint_that_answers_503_at_once_gets_at_most_its_even_share() {
    attracts_no_traffic(Fault::Unavailable).await;
}

#[tokio::test]
async fn an_endpoint_that_closes_at_once_gets_at_most_its_even_share() {
    attracts_no_traffic(Fault::AcceptAndClose).await;
}

/// With many requests at once, the one that works on none always has the shortest queue.
#[tokio::test]
async fn an_endpoint_that_resets_at_once_gets_at_most_its_even_share_of_many_at_once() {
    let good = [
        Peer::start(Fault::Echo).await.unwrap(),
        Peer::start(Fault::Echo).await.unwrap(),
    ];
    let bad = Peer::start(Fault::ResetAfterRequest).await.unwrap();
    let gateway = Gateway::before(&[&good[0], &good[1], &bad]);
    let clients = (0..32).map(async |_| {
        let mut client = gateway.client().await;
        for _ in 0..30 {
            assert_eq!(client.ask(get("/")).await.status, 200);
        }
    });
    futures::future::join_all(clients).await;
    let shares = [good[0].requests(), good[1].requests(), bad.requests()];
    assert_eq!(shares[0] + shares[1], 32 * 30);
    assert!(shares[2] <= 32 * 30 / 3, "{shares:?}");
}

#[tokio::test]
async fn endpoints_that_work_all_get_traffic() {
    let peers = [
        Peer::start(Fault::Echo).await.unwrap(),
        Peer::start(Fault::Echo).await.unwrap(),
        Peer::start(Fault::Echo).await.unwrap(),
    ];
    let shares = share(&[&peers[0], &peers[1], &peers[2]], 300).await;
    assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
}
