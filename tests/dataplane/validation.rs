//! Answers that say they are JSON.

use bywash::faults::script::{Script, Step, send};
use bywash::faults::{Fault, Peer};
use bywash::routing::path::{PathKind, PathRule};
use bywash::routing::policy::Policy;
use bywash::routing::policy::upstream::Algorithm;

use super::client::{End, get, post};
use super::gateway::{Gateway, Setup, addresses};

/// Answers with this body, as JSON.
fn json(body: &str) -> Script {
    let length = body.len();
    Script::answer(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    ))
}

/// The same in two chunks.
fn chunked(body: &str) -> Script {
    let (first, second) = body.split_at(body.len() / 2);
    Script::answer(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n\
         {:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\nx-sum: 7\r\n\r\n",
        first.len(),
        second.len(),
    ))
}

async fn peer(script: impl Into<Script>) -> Peer {
    Peer::start(script.into()).await.unwrap()
}

fn validating(most: usize) -> impl Fn(&mut Policy) {
    move |policy| policy.response_validation.json = Some(most)
}

/// Each endpoint is asked first in its turn.
fn in_turn(policy: &mut Policy) {
    validating(1024)(policy);
    policy.upstream_mut().load_balancing.algorithm = Algorithm::RoundRobin;
}

const MALFORMED: &str = "{\"cart\": <b>oops</b>}";

#[tokio::test]
async fn json_that_is_none_is_a_502_that_says_so_and_shows_nothing_of_it() {
    let peer = peer(json(MALFORMED)).await;
    let gateway = Gateway::with(&[&peer], validating(1024));
    let (answer, entry) = gateway.outcome(post("/", "order")).await;
    assert_eq!(answer.status, 502);
    assert_eq!(
        answer.field("proxy-status"),
        Some("bywash; error=http_protocol_error; received-status=200")
    );
    assert!(!answer.text().contains("oops"), "{}", answer.text());
    assert_eq!(entry.cause.as_deref(), Some("invalid_json"));
    assert_eq!(entry.causes(), ["invalid_json"]);
    assert_eq!(entry.attempts[0].status, Some(200));
}

#[tokio::test]
async fn another_endpoint_may_answer_better() {
    let (bad, good) = (peer(json(MALFORMED)).await, peer(json("[1]")).await);
    let gateway = Gateway::with(&[&bad, &good], in_turn);
    for _ in 0..8 {
        let (answer, entry) = gateway.outcome(get("/")).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "[1]"));
        assert!(matches!(entry.causes()[..], [""] | ["invalid_json", ""]));
    }
    assert!(bad.requests() > 0);
}

#[tokio::test]
async fn no_more_than_two_endpoints_are_asked_and_none_is_left_out() {
    let peers = [json(MALFORMED), json(MALFORMED), json(MALFORMED)];
    let mut started = Vec::new();
    for script in peers {
        started.push(peer(script).await);
    }
    let gateway = Gateway::with(&started.iter().collect::<Vec<_>>(), validating(1024));
    for _ in 0..8 {
        let (answer, entry) = gateway.outcome(get("/")).await;
        assert_eq!((answer.status, entry.attempts.len()), (502, 2));
    }
    assert_eq!(gateway.metric("bywash_upstream_ejections_total", ""), 0.0);
}

#[tokio::test]
async fn without_the_section_nothing_is_looked_at() {
    let peer = peer(json(MALFORMED)).await;
    let answer = Gateway::before(&[&peer]).ask(get("/")).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, MALFORMED));
}

#[tokio::test]
async fn valid_json_passes_byte_for_byte_and_its_connection_is_used_again() {
    let text = "\u{feff} {\"a\": [1, 2.5e3, \"\\u00e9\"]}\n";
    for script in [json(text), chunked(text)] {
        let peer = peer(script).await;
        let gateway = Gateway::with(&[&peer], validating(1024));
        let mut client = gateway.client().await;
        for _ in 0..3 {
            let answer = client.ask(get("/")).await;
            assert_eq!((answer.status, answer.end), (200, End::Whole));
            assert_eq!(answer.text(), text);
            assert_eq!(gateway.logged().await.bytes_sent, text.len() as u64);
        }
        assert_eq!(peer.connections(), 1);
    }
}

#[tokio::test]
async fn what_is_longer_than_the_policy_holds_back_passes_unseen() {
    let body = format!("{}{MALFORMED}", " ".repeat(100_000));
    for script in [json(&body), chunked(&body)] {
        let peer = peer(script).await;
        let gateway = Gateway::with(&[&peer], validating(body.len() - 1));
        let answer = gateway.ask(get("/")).await;
        assert_eq!((answer.status, answer.end), (200, End::Whole));
        assert_eq!(answer.text(), body);
        let exactly = Gateway::with(&[&peer], validating(body.len()));
        assert_eq!(exactly.ask(get("/")).await.status, 502);
    }
}

#[tokio::test]
async fn what_there_is_no_memory_for_passes_unseen() {
    for script in [json(MALFORMED), chunked(MALFORMED)] {
        let peer = peer(script).await;
        let mut policy = Policy::default();
        validating(1024)(&mut policy);
        let mut setup = Setup::to(&addresses(&[&peer]), policy);
        setup.settings.validation_memory = 4;
        let gateway = setup.start();
        for _ in 0..2 {
            let answer = gateway.ask(get("/")).await;
            assert_eq!((answer.status, answer.text().as_str()), (200, MALFORMED));
        }
    }
}

/// Sends half of its JSON.
fn cut() -> Script {
    let half =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{\"a\"";
    Script::on_request([Step::ReadBody, send(half), Step::Finish])
}

#[tokio::test]
async fn json_that_breaks_off_while_it_is_held_back_is_asked_for_elsewhere_unless_by_post() {
    let [bad, good] = [peer(cut()).await, peer(json("{\"a\": 1}")).await];
    let gateway = Gateway::with(&[&bad, &good], in_turn);
    for _ in 0..8 {
        let answer = gateway.ask(get("/")).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "{\"a\": 1}"));
    }
    assert!(bad.requests() > 0);
    let gateway = Gateway::with(&[&bad], validating(1024));
    let before = bad.requests();
    assert_eq!(gateway.ask(post("/", "order")).await.status, 502);
    assert_eq!(bad.requests(), before + 1);
}

#[tokio::test]
async fn json_that_breaks_off_is_a_502_and_not_half_an_answer() {
    let peer = peer(cut()).await;
    let gateway = Gateway::with(&[&peer], validating(1024));
    let (answer, entry) = gateway.outcome(get("/")).await;
    assert_eq!((answer.status, answer.end), (502, End::Whole));
    assert_eq!(entry.cause.as_deref(), Some("body_incomplete"));
}

#[tokio::test]
async fn an_answer_that_is_no_json_or_has_no_body_is_not_looked_at() {
    let described = peer(Fault::Unavailable).await;
    let gateway = Gateway::with(&[&described], validating(1024));
    assert_eq!(gateway.ask(post("/", "order")).await.text(), "busy\n");
    let script = Script::answer(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5\r\n\r\n",
    );
    let head = peer(script).await;
    let gateway = Gateway::with(&[&head], validating(1024));
    let answer = gateway
        .ask("HEAD / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        .await;
    assert_eq!(
        (answer.status, answer.field("content-length")),
        (200, Some("5"))
    );
}

#[tokio::test]
async fn what_is_passed_on_without_help_is_not_looked_at() {
    let peer = peer(json(MALFORMED)).await;
    let gateway = Gateway::with(&[&peer], |policy| {
        validating(1024)(policy);
        policy.bypass = vec![PathRule::new(PathKind::Prefix, "/health")];
    });
    assert_eq!(gateway.ask(get("/health")).await.text(), MALFORMED);
    assert_eq!(gateway.ask(get("/")).await.status, 502);
}
