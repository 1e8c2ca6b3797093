//! Uploads, and what clients do to them: a fault in the client's own message is a 4xx and a close,
//! never a 502, never sent again, never held against an endpoint.

use std::time::Duration;

use bywash::faults::script::{Script, Step};
use bywash::faults::{Fault, Peer};

use super::client::{End, get, post, until};
use super::gateway::{Gateway, SHORT, Setup, addresses, endpoints};
use super::strangers::values;

const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n";

/// The attempts that the metrics blame on endpoints.
fn blamed(gateway: &Gateway) -> f64 {
    let all = gateway.metric("bywash_upstream_attempt_failures_total", "");
    let clients = ["\"bad_request\"", "\"client_aborted\""];
    let clients =
        clients.map(|cause| gateway.metric("bywash_upstream_attempt_failures_total", cause));
    all - clients.iter().sum::<f64>()
}

#[tokio::test]
async fn a_malformed_chunk_is_400_and_a_close() {
    let peer = endpoints(2, Fault::Echo).await;
    let gateway = Gateway::before(&[&peer]);
    for chunk in [
        "xyz\r\n",
        "4\r\nbodyXX\r\n",
        "0x4\r\nbody\r\n",
        "4;\n\r\nbody\r\n",
    ] {
        let mut client = gateway.client().await;
        let answer = client.ask(format!("{CHUNKED}4\r\ngood\r\n{chunk}")).await;
        assert_eq!(answer.status, 400, "{chunk:?}");
        assert_eq!(answer.proxy_error(), Some("http_request_error"));
        let (after, _) = client.rest().await;
        assert_eq!(after, b"", "{chunk:?}");
        let entry = gateway.logged().await;
        assert_eq!(entry.cause.as_deref(), Some("bad_request"), "{chunk:?}");
        assert!(entry.attempts.len() <= 1, "{entry:?}");
    }
    assert_eq!(blamed(&gateway), 0.0);
    gateway.ask(get("/")).await.described();
}

#[tokio::test]
async fn an_upload_that_the_client_breaks_off_is_499_and_not_sent_again() {
    let put = "PUT / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 8\r\n\r\nhalf";
    for abort in [true, false] {
        let peer = endpoints(2, Fault::Echo).await;
        let gateway = Gateway::before(&[&peer]);
        let mut client = gateway.client().await;
        client.send(put).await;
        until(&peer, |counts| counts.requests == 1).await;
        match abort {
            true => client.abort(),
            false => drop(client),
        }
        let entry = gateway.logged().await;
        assert_eq!(
            (entry.status, entry.cause.as_deref()),
            (499, Some("client_aborted"))
        );
        until(&peer, |counts| counts.ended == 1).await;
        assert_eq!((peer.connections(), peer.requests()), (1, 1));
        assert_eq!(blamed(&gateway), 0.0);
    }
}

#[tokio::test]
async fn an_upload_that_stalls_is_408_and_the_clients_fault() {
    let peer = endpoints(2, Fault::Echo).await;
    let mut setup = Setup::to(&addresses(&[&peer]), Default::default());
    setup.settings.client_body_timeout = SHORT;
    let gateway = setup.start();
    let mut client = gateway.client().await;
    let answer = client
        .ask("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 8\r\n\r\nhalf")
        .await;
    assert_eq!(answer.status, 408);
    assert_eq!(answer.proxy_error(), Some("http_request_error"));
    client.rest().await;
    assert_eq!(blamed(&gateway), 0.0);
}

/// Longer than a client may pause that is not at fault.
const TIRED: Duration = Duration::from_millis(1500);

const ANNOUNCED: &str = "/ HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 8\r\n\r\n";

/// Many servers close such a connection without a word.
#[tokio::test]
async fn an_upload_that_stalls_until_the_endpoint_gives_up_is_408_and_the_clients_fault() {
    let peer = endpoints(2, Script::on_request([Step::Linger(TIRED)])).await;
    let gateway = Gateway::before(&[&peer]);
    let request = format!("POST {ANNOUNCED}");
    let answers = futures::future::join_all((0..12).map(|_| gateway.ask(&request))).await;
    for answer in answers {
        assert_eq!(answer.status, 408);
        assert_eq!(answer.proxy_error(), Some("http_request_error"));
        let entry = gateway.logged().await;
        assert_eq!(entry.causes(), ["bad_request"]);
    }
    assert_eq!(blamed(&gateway), 0.0);
    assert_eq!(gateway.metric("bywash_upstream_ejections_total", ""), 0.0);
}

#[tokio::test]
async fn an_upload_that_an_endpoint_gave_up_goes_to_the_next_one_all_the_same() {
    let peer = endpoints(2, Fault::Echo).await;
    peer.once(Script::on_request([Step::Linger(TIRED)]));
    let gateway = Gateway::before(&[&peer]);
    let mut client = gateway.client().await;
    client.send(format!("PUT {ANNOUNCED}")).await;
    until(&peer, |counts| counts.requests == 2).await;
    client.send("all of i").await;
    assert_eq!(client.answer("PUT").await.described()["body_bytes"], 8);
    assert_eq!(gateway.logged().await.causes(), ["bad_request", ""]);
    assert_eq!(blamed(&gateway), 0.0);
}

#[tokio::test]
async fn clients_at_fault_eject_nobody() {
    let peer = endpoints(2, Fault::Echo).await;
    let gateway = Gateway::before(&[&peer]);
    for _ in 0..20 {
        assert_eq!(gateway.ask(format!("{CHUNKED}xyz\r\n")).await.status, 400);
    }
    assert_eq!(blamed(&gateway), 0.0);
    gateway.ask(get("/")).await.described();
}

#[tokio::test]
async fn a_chunked_upload_with_trailers_arrives_whole() {
    let peer = endpoints(2, Fault::Echo).await;
    let gateway = Gateway::before(&[&peer]);
    let upload = "POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
                  4\r\nbody\r\n0\r\nX-Sum: 42\r\n\r\n";
    let described = gateway.ask(upload).await.described();
    assert_eq!(described["body_bytes"], 4);
    let trailers = described["trailers"].to_string().to_lowercase();
    assert_eq!(trailers, r#"[["x-sum","42"]]"#);
}

#[tokio::test]
async fn trailers_of_a_response_reach_a_client_that_takes_them() {
    let script = Script::answer(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n\
         4\r\nbody\r\n0\r\nx-sum: 42\r\n\r\n",
    );
    let peer = Peer::start(script).await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    let answer = gateway
        .ask("GET / HTTP/1.1\r\nHost: shop.test\r\nTE: trailers\r\nConnection: TE\r\n\r\n")
        .await;
    assert_eq!((answer.text().as_str(), answer.end), ("body", End::Whole));
    assert_eq!(answer.trailers, [("x-sum".to_owned(), "42".to_owned())]);
}

#[tokio::test]
async fn an_expectation_costs_no_upload_when_the_upstream_is_dead() {
    let dead = Peer::start(Fault::Refuse).await.unwrap();
    let gateway = Gateway::before(&[&dead]);
    let answer = gateway
        .ask("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        .await;
    // The first answer is the last one: no 100 asked for the body.
    assert_eq!(answer.status, 502);
    assert_eq!(answer.proxy_error(), Some("connection_refused"));
}

#[tokio::test]
async fn an_expectation_is_met_here_and_not_forwarded() {
    let peer = endpoints(2, Fault::Echo).await;
    let gateway = Gateway::before(&[&peer]);
    let mut client = gateway.client().await;
    let answer = client
        .ask("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        .await;
    assert_eq!(answer.status, 100);
    client.send("body").await;
    let described = client.answer("POST").await.described();
    assert_eq!(described["body_bytes"], 4);
    assert!(values(&described, "expect").is_empty(), "{described}");
}

#[tokio::test]
async fn an_endpoint_that_does_not_take_the_upload_is_504_connection_write_timeout() {
    let peer = Peer::start(Fault::NeverReads).await.unwrap();
    let gateway = Gateway::with(&[&peer], |policy| policy.timeouts.send = SHORT);
    let answer = gateway
        .client()
        .await
        .upload(post("/", &"a".repeat(64 << 20)))
        .await;
    assert_eq!(answer.status, 504);
    assert_eq!(answer.proxy_error(), Some("connection_write_timeout"));
    let entry = gateway.logged().await;
    assert_eq!(entry.causes(), ["send_timeout"]);
    assert_eq!((peer.connections(), peer.requests()), (1, 1));
}

/// The clock of the request starts when its body has been sent.
#[tokio::test]
async fn an_upload_may_take_longer_than_the_request_limit() {
    let peer = endpoints(2, Fault::Echo).await;
    let gateway = Gateway::with(&[&peer], |policy| {
        policy.timeouts.request = 4 * SHORT;
        policy.retry.per_try = Some(4 * SHORT);
    });
    let mut client = gateway.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 8\r\n\r\n")
        .await;
    for _ in 0..4 {
        // The pace of the client is what is tested here.
        tokio::time::sleep(3 * SHORT / 2).await;
        client.send("ab").await;
    }
    assert_eq!(client.answer("POST").await.described()["body_bytes"], 8);
}

#[tokio::test]
async fn the_request_limit_runs_once_the_upload_is_out() {
    let peer = Peer::start(Fault::StallBeforeHead).await.unwrap();
    let gateway = Gateway::with(&[&peer], |policy| policy.timeouts.request = SHORT);
    let (answer, entry) = gateway.outcome(post("/", &"a".repeat(200_000))).await;
    assert_eq!(answer.status, 504);
    assert_eq!(answer.proxy_error(), Some("http_response_timeout"));
    assert!(Duration::from_secs_f64(entry.duration_ms / 1000.0) >= SHORT);
    assert_eq!(entry.bytes_received, 200_000);
}
