//! What is in flight when the process ends is nobody else's failure.

use bywash::faults::{Fault, Peer};
use bywash::proxy::RuntimeKind;
use bywash::routing::policy::Policy;

use super::client::{get, until};
use super::gateway::{Gateway, Setup};

async fn before(fault: Fault, runtime: RuntimeKind) -> (Peer, Gateway) {
    let peer = Peer::start(fault).await.unwrap();
    let mut setup = Setup::to(peer.addresses(), Policy::default());
    setup.settings.runtime = runtime;
    setup.settings.workers = 2.try_into().unwrap();
    (peer, setup.start())
}

#[tokio::test]
async fn a_request_that_is_cut_off_at_the_end_is_not_one_that_its_client_left() {
    for runtime in [RuntimeKind::PerCore, RuntimeKind::Shared] {
        let (peer, gateway) = before(Fault::StallBeforeHead, runtime).await;
        let mut client = gateway.client().await;
        client.send(get("/")).await;
        until(&peer, |counts| counts.requests == 1).await;
        gateway.cut_off().await;
        let entry = gateway.logged().await;
        let ended = (entry.status, entry.cause.as_deref());
        assert_eq!(ended, (503, Some("cut_off")), "{runtime:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_off_keeps_its_status() {
    let (_peer, gateway) = before(Fault::StallInBody, RuntimeKind::PerCore).await;
    let mut client = gateway.client().await;
    client.send(get("/")).await;
    assert_eq!(client.head().await.status, 200);
    gateway.cut_off().await;
    let entry = gateway.logged().await;
    assert_eq!(
        (entry.status, entry.cause.as_deref()),
        (200, Some("cut_off"))
    );
}
