//! While an answer and its upload pass at once, each side's fault stays its own.

use std::net::SocketAddr;

use bywash::faults::script::{Script, Step, send};
use bywash::faults::{Fault, Peer};
use bywash::routing::policy::Policy;
use futures::future::select;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::client::{End, get, until};
use super::gateway::{Gateway, SHORT, Setup, addresses};

const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Answers half before it reads the upload, and half after.
async fn interleaving() -> Peer {
    let script = Script::on_request([
        send("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf"),
        Step::ReadBody,
        send("rest"),
    ]);
    Peer::start(script).await.unwrap()
}

#[tokio::test]
async fn a_malformed_upload_that_cuts_the_answer_is_the_clients_fault() {
    let peer = interleaving().await;
    let gateway = Gateway::before(&[&peer]);
    let mut client = gateway.client().await;
    client.send(format!("{CHUNKED}4\r\ngood\r\n")).await;
    assert_eq!(client.head().await.status, 200);
    assert_eq!(client.bytes(4).await, b"half");
    client.send("xyz\r\n").await;
    assert_ne!(client.rest().await.1, End::Whole);
    let entry = gateway.logged().await;
    assert_eq!(entry.cause.as_deref(), Some("bad_request"));
    assert_eq!((entry.bytes_received, entry.bytes_sent), (4, 4));
}

#[tokio::test]
async fn an_endpoint_that_waits_for_the_client_is_not_silent() {
    let peer = interleaving().await;
    let gateway = Gateway::with(&[&peer], |policy| policy.timeouts.read = SHORT);
    let mut client = gateway.client().await;
    client.send(format!("{CHUNKED}4\r\nhalf\r\n")).await;
    assert_eq!(client.head().await.status, 200);
    assert_eq!(client.bytes(4).await, b"half");
    // The pace of the client is what is tested here.
    tokio::time::sleep(2 * SHORT).await;
    client.send("0\r\n\r\n").await;
    assert_eq!(client.bytes(4).await, b"rest");
    assert_eq!(gateway.logged().await.cause, None);
}

#[tokio::test]
async fn a_client_that_stops_sending_while_it_is_answered_is_at_fault() {
    let peer = interleaving().await;
    let mut policy = Policy::default();
    policy.timeouts.read = SHORT / 2;
    let mut setup = Setup::to(&addresses(&[&peer]), policy);
    setup.settings.client_body_timeout = SHORT;
    let gateway = setup.start();
    let mut client = gateway.client().await;
    client.send(format!("{CHUNKED}4\r\nhalf\r\n")).await;
    assert_eq!(client.head().await.status, 200);
    assert_ne!(client.rest().await.1, End::Whole);
    let entry = gateway.logged().await;
    assert_eq!(entry.cause.as_deref(), Some("bad_request"));
    until(&peer, |counts| counts.ended == 1).await;
}

/// The pause was the client's, so that the endpoint looks no slower for it: not even slower than
/// one that is slow itself.
#[tokio::test]
async fn a_slow_upload_does_not_make_its_endpoint_look_slow() {
    let fast = Peer::start(Fault::Echo).await.unwrap();
    let slow = Peer::start(Fault::Echo).await.unwrap();
    slow.once(Script::on_request([Step::Gate, Step::Echo]));
    let gateway = Gateway::before(&[&fast, &slow]);
    while slow.requests() == 0 {
        let mut client = gateway.client().await;
        client.send(get("/")).await;
        tokio::select! {
            answer = client.answer("GET") => drop(answer.described()),
            _ = until(&slow, |counts| counts.waiting == 1) => {
                tokio::time::sleep(SHORT).await;
                slow.open(1);
                client.answer("GET").await.described();
            }
        }
    }
    while fast.requests() == 0 {
        gateway.ask(get("/")).await.described();
    }
    let before = fast.requests();
    let mut client = gateway.client().await;
    client.send(format!("{CHUNKED}4\r\nhalf\r\n")).await;
    until(&fast, |counts| counts.requests == before + 1).await;
    tokio::time::sleep(4 * SHORT).await;
    client.send("0\r\n\r\n").await;
    client.answer("POST").await.described();
    for _ in 0..10 {
        gateway.ask(get("/")).await.described();
    }
    assert!(fast.requests() >= before + 6, "{:?}", fast.counts());
}

/// Sends without end, to one client, until that takes nothing for a while.
async fn impatient() -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _request = stream.read(&mut [0; 4096]).await.unwrap();
        let mut block = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n".to_vec();
        while let Ok(Ok(())) = timeout(6 * SHORT, stream.write_all(&block)).await {
            block = vec![0; 64 * 1024];
        }
    });
    (address, serving)
}

#[tokio::test]
async fn an_endpoint_that_gives_up_a_client_which_takes_nothing_is_not_ejected() {
    let (one, two) = (impatient().await, impatient().await);
    let mut policy = Policy::default();
    policy.upstream_mut().outlier_detection.consecutive_failures = 1;
    let gateway = Setup::to(&[one.0, two.0], policy).start();
    let mut client = gateway.client().await;
    client.send(get("/")).await;
    client.head().await;
    let (gave_up, _) = select(one.1, two.1).await.factor_first();
    gave_up.unwrap();
    assert_ne!(client.rest().await.1, End::Whole);
    assert_eq!(
        gateway.logged().await.cause.as_deref(),
        Some("body_incomplete")
    );
    assert_eq!(gateway.metric("bywash_upstream_ejections_total", ""), 0.0);
}
