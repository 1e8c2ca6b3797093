//! An endpoint may answer before it has read the upload (RFC 9112 section 9.5): that answer is the
//! client's, however the endpoint then ends the connection.

use bywash::faults::{Fault, Peer};

use super::client::{Answer, post};
use super::gateway::{Gateway, endpoints};
use super::log::Entry;

async fn rejected(fault: Fault, bytes: usize) -> (Answer, Entry, usize) {
    let peer = endpoints(2, fault).await;
    let gateway = Gateway::before(&[&peer]);
    let mut client = gateway.client().await;
    let upload = post("/", &"a".repeat(bytes));
    let answer = client.upload(upload).await;
    (answer, gateway.logged().await, peer.requests())
}

async fn row(fault: Fault) {
    for bytes in [10, 100_000, 4 << 20] {
        let (answer, entry, requests) = rejected(fault, bytes).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (413, "too big\n"),
            "{bytes}"
        );
        assert_eq!(answer.proxy_error(), None);
        assert_eq!(
            (entry.cause, entry.attempts.len(), requests),
            (None, 1, 1),
            "{bytes}"
        );
    }
}

#[tokio::test]
async fn an_early_answer_before_a_close_passes_unchanged() {
    row(Fault::RejectAndFinish).await;
}

#[tokio::test]
async fn an_early_answer_before_a_reset_passes_unchanged() {
    row(Fault::RejectAndReset).await;
}

#[tokio::test]
async fn an_early_answer_of_an_endpoint_that_reads_on_passes_unchanged() {
    row(Fault::RejectAndRead).await;
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let peer = Peer::start(Fault::RejectAndRead).await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    let mut client = gateway.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 8\r\n\r\nhalf")
        .await;
    let answer = client.answer("POST").await;
    assert_eq!((answer.status, answer.text().as_str()), (413, "too big\n"));
}
