//! The connection stands, but no valid response head comes.
//!
//! Each row is checked thrice: where every endpoint fails, the client learns the cause and at most
//! two endpoints have seen the request; where only the first one fails, a GET is healed if the row
//! allows it; a POST reaches one endpoint, once.

use bywash::failure::{Cause, RetryClass};
use bywash::faults::Fault;
use bywash::faults::script::{Script, Step, send};

use super::client::{End, get, post, until};
use super::gateway::{Gateway, SHORT, endpoints};

async fn row(fault: Fault, cause: Cause) {
    let attempts = match cause.retry_class() {
        RetryClass::Never => 1,
        RetryClass::Idempotent | RetryClass::Unsent => 2,
    };
    every_endpoint_fails(fault, cause, attempts).await;
    the_first_endpoint_fails(fault, cause, attempts).await;
    a_post_is_sent_once(fault, cause).await;
}

async fn every_endpoint_fails(fault: Fault, cause: Cause, attempts: usize) {
    let peer = endpoints(4, fault).await;
    let gateway = Gateway::before(&[&peer]);
    let (answer, entry) = gateway.outcome(get("/")).await;
    assert_eq!(
        (answer.status, answer.end),
        (cause.status().as_u16(), End::Whole)
    );
    assert_eq!(answer.proxy_error(), Some(cause.proxy_error()));
    assert_eq!(entry.cause.as_deref(), Some(cause.label()));
    assert_eq!(entry.causes(), vec![cause.label(); attempts]);
    assert_eq!(peer.requests(), attempts);
    let endpoints = entry.endpoints();
    assert!(
        attempts == 1 || endpoints[0] != endpoints[1],
        "{endpoints:?}"
    );
    let leaked = ["ok\n", "half", "lorem", "x-a", "127.0.0.1"];
    let answered = format!("{:?} {}", answer.fields, answer.text());
    assert!(
        !leaked.iter().any(|bytes| answered.contains(bytes)),
        "{answered}"
    );
}

async fn the_first_endpoint_fails(fault: Fault, cause: Cause, attempts: usize) {
    let peer = endpoints(2, Fault::Echo).await;
    peer.once(fault);
    let gateway = Gateway::before(&[&peer]);
    let (answer, entry) = gateway.outcome(get("/")).await;
    assert_eq!(peer.requests(), attempts);
    if attempts == 1 {
        assert_eq!(answer.status, cause.status().as_u16());
        return;
    }
    answer.described();
    assert_eq!(entry.cause, None);
    assert_eq!(entry.causes(), [cause.label(), ""]);
}

async fn a_post_is_sent_once(fault: Fault, cause: Cause) {
    let peer = endpoints(2, Fault::Echo).await;
    peer.once(fault);
    let gateway = Gateway::before(&[&peer]);
    let (answer, entry) = gateway.outcome(post("/", "body")).await;
    assert_eq!(answer.status, cause.status().as_u16());
    assert_eq!(entry.causes(), [cause.label()]);
    assert_eq!((peer.connections(), peer.requests()), (1, 1));
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
    a_close_after_the_request_is_connection_terminated: CloseAfterRequest is ConnectionClosed,
    a_reset_after_the_request_is_connection_terminated: ResetAfterRequest is ConnectionReset,
    a_close_inside_the_head_is_http_response_incomplete: CutHead is HeadIncomplete,
    a_reset_inside_the_head_is_connection_terminated: ResetInHead is ConnectionReset,
    garbage_is_http_protocol_error: Garbage is NotHttp,
    a_wrong_version_is_http_protocol_error: WrongVersion is NotHttp,
    tls_on_a_plain_port_is_http_protocol_error: TlsBytes is NotHttp,
    http2_on_a_plain_port_is_http_protocol_error: Http2Bytes is NotHttp,
    a_bad_status_line_is_http_protocol_error: BadStatusLine is BadStatusLine,
    a_folded_header_is_http_protocol_error: FoldedHeader is BadHeader,
    a_nul_in_a_header_is_http_protocol_error: NulHeader is BadHeader,
    a_bad_header_name_is_http_protocol_error: BadHeaderName is BadHeader,
    two_lengths_are_http_protocol_error: DifferingLengths is BadHeader,
    a_huge_head_is_http_response_header_section_size: HugeHead is HeadTooLarge,
    too_many_headers_are_http_response_header_section_size: ManyHeaders is HeadTooLarge,
    a_coding_other_than_chunked_is_http_response_transfer_coding: GzipCoding is BadTransferCoding,
    an_unasked_101_is_http_upgrade_failed: UnaskedUpgrade is UpgradeFailed,
}

/// Of one attempt: a timeout is no sign of poison, so that all attempts may be used.
#[tokio::test]
async fn silence_is_504_http_response_timeout_after_three_attempts() {
    for fault in [Fault::StallBeforeHead, Fault::StallInHead] {
        let peer = endpoints(4, fault).await;
        let gateway = Gateway::with(&[&peer], |policy| policy.retry.per_try = Some(SHORT));
        let (answer, entry) = gateway.outcome(get("/")).await;
        assert_eq!((answer.status, answer.end), (504, End::Whole));
        assert_eq!(answer.proxy_error(), Some("http_response_timeout"));
        assert_eq!(entry.causes(), ["response_timeout"; 3]);
        assert_eq!(peer.requests(), 3);
    }
}

#[tokio::test]
async fn an_endpoint_that_is_silent_for_too_long_is_left_for_the_next_one() {
    let peer = endpoints(2, Fault::Echo).await;
    peer.once(Fault::StallBeforeHead);
    let gateway = Gateway::with(&[&peer], |policy| policy.retry.per_try = Some(4 * SHORT));
    let (answer, entry) = gateway.outcome(get("/")).await;
    answer.described();
    assert_eq!(entry.causes(), ["response_timeout", ""]);
    // The connection given up is closed, which tells the endpoint that nobody waits any more.
    until(&peer, |counts| counts.ended >= 1).await;
}

#[tokio::test]
async fn a_post_that_met_silence_is_not_sent_again() {
    let peer = endpoints(2, Fault::StallBeforeHead).await;
    let gateway = Gateway::with(&[&peer], |policy| policy.retry.per_try = Some(SHORT));
    let (answer, entry) = gateway.outcome(post("/", "body")).await;
    assert_eq!(answer.status, 504);
    assert_eq!(entry.causes(), ["response_timeout"]);
    assert_eq!(peer.requests(), 1);
}

#[tokio::test]
async fn the_whole_time_of_a_request_spent_is_504_without_another_attempt() {
    let peer = endpoints(2, Fault::StallBeforeHead).await;
    let gateway = Gateway::with(&[&peer], |policy| policy.timeouts.request = SHORT);
    let (answer, entry) = gateway.outcome(get("/")).await;
    assert_eq!(answer.status, 504);
    assert_eq!(answer.proxy_error(), Some("http_response_timeout"));
    assert_eq!(entry.causes(), ["deadline_exceeded"]);
    assert_eq!(peer.requests(), 1);
}

/// RFC 9112 section 6.3: the coding overrides the length, which is not forwarded.
#[tokio::test]
async fn chunks_and_a_length_pass_as_chunks() {
    let peer = endpoints(1, Fault::CodingAndLength).await;
    let gateway = Gateway::before(&[&peer]);
    let (answer, entry) = gateway.outcome(get("/")).await;
    assert_eq!(
        (answer.status, answer.text().as_str(), answer.end),
        (200, "ok\n", End::Whole)
    );
    assert_ne!(answer.field("content-length"), Some("30"));
    assert_eq!(entry.causes(), [""]);
}

#[tokio::test]
async fn informational_responses_are_dropped_before_the_answer() {
    let peer = endpoints(1, Fault::Informational).await;
    let gateway = Gateway::before(&[&peer]);
    let (answer, entry) = gateway.outcome(get("/")).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok\n"));
    assert_eq!(answer.field("link"), None);
    assert_eq!(entry.causes(), [""]);
}

/// An endpoint that never comes to its answer keeps nobody busy.
#[tokio::test]
async fn informational_responses_have_an_end() {
    let flood = "HTTP/1.1 102 Processing\r\n\r\n".repeat(20_000);
    let peer = endpoints(1, Script::on_request([send(flood), Step::Freeze])).await;
    let gateway = Gateway::before(&[&peer]);
    let (answer, entry) = gateway.outcome(get("/")).await;
    assert_eq!(answer.status, 502);
    assert_eq!(
        answer.proxy_error(),
        Some("http_response_header_section_size")
    );
    assert_eq!(entry.causes(), ["head_too_large"]);
}
