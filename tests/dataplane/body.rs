//! The head has been forwarded, and the body breaks: there is no other attempt any more, and the
//! client's message ends visibly, never as if it were whole.

use bywash::failure::Cause;
use bywash::faults::script::{Script, Step, send};
use bywash::faults::{Fault, Peer};

use super::client::{End, get, post, until};
use super::gateway::{Gateway, SHORT, endpoints};

async fn row(fault: Fault, cause: Cause) {
    let peer = endpoints(2, fault).await;
    let gateway = Gateway::with(&[&peer], |policy| policy.timeouts.read = SHORT);
    let answer = gateway.ask(get("/")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text(), "half");
    assert_ne!(answer.end, End::Whole);
    let entry = gateway.logged().await;
    assert_eq!((entry.status, entry.bytes_sent), (200, 4));
    assert_eq!(entry.cause.as_deref(), Some(cause.label()));
    assert_eq!(entry.attempts.len(), 1);
    assert_eq!(peer.requests(), 1);
    // Nothing can be read any more on the upstream's connection either.
    until(&peer, |counts| counts.ended == 1).await;
}

macro_rules! rows {
    ($($name:ident: $fault:ident is $cause:ident,)+) => {
        $(#[tokio::test]
        async fn $name() {
            row(Fault::$fault, Cause::$cause).await;
        })+
    };
}

rows! {
    a_body_shorter_than_announced_is_cut_for_the_client: ShortBody is BodyIncomplete,
    a_chunked_body_without_an_end_is_cut_for_the_client: CutChunks is BodyIncomplete,
    a_malformed_chunk_cuts_the_body_for_the_client: BadChunkSize is BodyBadChunk,
    a_reset_inside_the_body_cuts_it_for_the_client: ResetInBody is BodyReset,
    a_reset_inside_a_body_of_unknown_length_cuts_it_for_the_client: ResetInCloseDelimited is BodyReset,
    silence_inside_the_body_cuts_it_for_the_client: StallInBody is BodyTimeout,
}

/// An answer whose body is malformed from its first byte, which comes with the head.
fn malformed_at_once() -> Script {
    Script::answer("HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n")
}

#[tokio::test]
async fn an_answer_whose_body_fails_with_its_head_is_asked_for_elsewhere() {
    let peer = endpoints(2, Fault::Echo).await;
    peer.once(malformed_at_once());
    let gateway = Gateway::before(&[&peer]);
    let (answer, entry) = gateway.outcome(get("/")).await;
    answer.described();
    assert_eq!(entry.causes(), ["body_bad_chunk", ""]);
    assert_eq!(peer.requests(), 2);
}

/// Without a word the client would take the connection for a stale one, and post again.
#[tokio::test]
async fn a_post_whose_answer_fails_with_its_head_is_502_and_not_sent_again() {
    let peer = endpoints(2, malformed_at_once()).await;
    let gateway = Gateway::before(&[&peer]);
    let (answer, entry) = gateway.outcome(post("/", "body")).await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.proxy_error(), Some("http_response_transfer_coding"));
    assert_eq!(entry.causes(), ["body_bad_chunk"]);
    assert_eq!(peer.requests(), 1);
}

#[tokio::test]
async fn what_came_before_the_break_reaches_the_client_first() {
    let peer = Peer::start(Script::answer(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
    ))
    .await
    .unwrap();
    let gateway = Gateway::before(&[&peer]);
    let answer = gateway.ask(get("/")).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "half"));
    assert_ne!(answer.end, End::Whole);
    let entry = gateway.logged().await;
    assert_eq!(entry.cause.as_deref(), Some("body_bad_chunk"));
}

/// To HTTP/1.0 there are no chunks: only a reset tells a cut body from a whole one.
#[tokio::test]
async fn a_cut_body_of_unknown_length_ends_in_a_reset_for_http_1_0() {
    for fault in [
        Fault::CutChunks,
        Fault::ResetInCloseDelimited,
        Fault::BadChunkSize,
    ] {
        let peer = Peer::start(fault).await.unwrap();
        let gateway = Gateway::before(&[&peer]);
        let mut client = gateway.client().await;
        client
            .send("GET / HTTP/1.0\r\nHost: shop.test\r\n\r\n")
            .await;
        let (_, end) = client.rest().await;
        assert_eq!(end, End::Reset, "{fault}");
    }
}

/// RFC 9112 section 8: this one cannot be told from a whole body.
#[tokio::test]
async fn a_body_that_ends_with_the_connection_is_whole() {
    let script = Script::on_request([
        Step::ReadBody,
        send("HTTP/1.1 200 OK\r\n\r\nall of it"),
        Step::Finish,
    ]);
    let peer = Peer::start(script).await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    let (answer, entry) = gateway.outcome(get("/")).await;
    assert_eq!(
        (answer.text().as_str(), answer.end),
        ("all of it", End::Whole)
    );
    assert_eq!(entry.cause, None);
}

/// The limit between two reads is not one for the whole body.
#[tokio::test]
async fn a_slow_body_outlives_the_limits_of_the_request() {
    let script = Script::on_request([
        Step::ReadBody,
        send("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf"),
        Step::Gate,
        send("rest"),
    ]);
    let peer = Peer::start(script).await.unwrap();
    let gateway = Gateway::with(&[&peer], |policy| {
        policy.timeouts.request = 4 * SHORT;
        policy.retry.per_try = Some(4 * SHORT);
    });
    let mut client = gateway.client().await;
    client.send(get("/")).await;
    assert_eq!(client.head().await.status, 200);
    assert_eq!(client.bytes(4).await, b"half");
    // The time is what is tested here.
    tokio::time::sleep(5 * SHORT).await;
    peer.open(1);
    assert_eq!(client.bytes(4).await, b"rest");
    assert_eq!(gateway.logged().await.cause, None);
}

#[tokio::test]
async fn a_client_that_leaves_inside_the_body_is_499_and_frees_the_upstream() {
    let peer = Peer::start(Fault::Source).await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    let mut client = gateway.client().await;
    client.send(get("/")).await;
    client.head().await;
    client.abort();
    let entry = gateway.logged().await;
    assert_eq!(
        (entry.status, entry.cause.as_deref()),
        (499, Some("client_aborted"))
    );
    assert_eq!(entry.causes(), [""]);
    until(&peer, |counts| counts.ended == 1).await;
}
