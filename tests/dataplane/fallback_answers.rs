//! What the client gets where the fallback Service was asked: whose answer, and what is said of it.

use bywash::failure::Cause;
use bywash::faults::script::{Script, Step, send};
use bywash::faults::{Fault, Peer};
use bywash::routing::policy::{Policy, ProxyStatus};

use super::client::{End, get, until};
use super::fallback::{ASKED, backed, before};
use super::gateway::{SHORT, Setup, addresses, endpoints, nowhere};
use super::upgrade::{UPGRADE, heard, said};

#[tokio::test]
async fn where_every_answer_had_a_listed_status_the_fallback_is_asked() {
    let (own, by) = (
        endpoints(3, Fault::Unavailable).await,
        endpoints(1, Fault::Echo).await,
    );
    let gateway = before(&own, &by);
    let mut client = gateway.client().await;
    for _ in 0..2 {
        let answer = client.ask(get("/")).await;
        assert_eq!(answer.described()["method"], "GET");
        let said = answer.field("proxy-status");
        assert_eq!(said, Some("bywash; details=\"fallback: retried_status\""));
        let entry = gateway.logged().await;
        assert_eq!((entry.causes().len(), entry.at_fallback()), (4, 1));
    }
    // An answer that is not given is read all the same, so that its connection serves again.
    assert_eq!((own.requests(), own.connections()), (6, 3));
}

#[tokio::test]
async fn where_the_fallback_fails_too_the_upstreams_own_answer_passes_unchanged() {
    let (own, by) = (
        endpoints(3, Fault::Unavailable).await,
        endpoints(2, Fault::Refuse).await,
    );
    let gateway = before(&own, &by);
    let (answer, entry) = gateway.outcome(get("/")).await;
    assert_eq!((answer.status, answer.end), (503, End::Whole));
    assert_eq!(
        (answer.text().as_str(), answer.field("x-app")),
        ("busy\n", Some("shop"))
    );
    assert_eq!(
        (answer.field("proxy-status"), entry.fallback),
        (None, false)
    );
    assert_eq!((entry.attempts.len(), entry.at_fallback()), (6, 3));
    assert_eq!(gateway.metric(ASKED, ""), 1.0);
}

/// What an upstream said before it failed is its answer all the same.
#[tokio::test]
async fn an_answer_that_was_followed_by_failures_alone_passes_whoever_gave_it() {
    let busy = "HTTP/1.1 503 No\r\nconnection: close\r\ncontent-length: 5\r\n\r\nbusy\n";
    let busy = Script::on_request([Step::ReadBody, send(busy), Step::Finish]);
    let own = Peer::start([busy.clone(), Fault::ResetAfterRequest.into()]);
    let own = own.await.unwrap();
    let by = endpoints(1, Fault::Refuse).await;
    let setup = backed(&own, &by, |policy| policy.retry.attempts = 2);
    let (answer, entry) = setup.start().outcome(get("/")).await;
    assert_eq!((answer.status, answer.text().as_str()), (503, "busy\n"));
    assert_eq!(entry.causes()[..2], ["retried_status", "connection_reset"]);
    assert_eq!((entry.fallback, entry.at_fallback()), (false, 3));

    let by = Peer::start([busy, Fault::ResetAfterRequest.into()]);
    let by = by.await.unwrap();
    let own = endpoints(1, Fault::Refuse).await;
    let setup = backed(&own, &by, |_| {}).backed_under(|policy| policy.retry.attempts = 2);
    let (answer, entry) = setup.start().outcome(get("/")).await;
    assert_eq!((answer.status, answer.text().as_str()), (503, "busy\n"));
    let said = answer.field("proxy-status");
    assert_eq!(
        said,
        Some("bywash; details=\"fallback: connection_refused\"")
    );
    assert_eq!((entry.fallback, entry.at_fallback()), (true, 2));
}

/// It cannot be kept while the fallback is asked, which is no reason not to ask it.
#[tokio::test]
async fn an_error_that_is_too_long_to_be_kept_is_followed_by_the_fallback_too() {
    let long = "long".repeat(20_000);
    let length = long.len();
    let busy = format!("HTTP/1.1 503 Busy\r\ncontent-length: {length}\r\n\r\n{long}");
    let own = endpoints(2, Script::answer(busy)).await;
    let by = endpoints(1, Fault::Echo).await;
    let (answer, entry) = before(&own, &by).outcome(get("/")).await;
    assert_eq!((answer.status, entry.fallback), (200, true));
    let by = endpoints(1, Fault::Refuse).await;
    let (answer, entry) = before(&own, &by).outcome(get("/")).await;
    assert_eq!((answer.status, entry.fallback), (503, false));
}

#[tokio::test]
async fn where_the_fallback_fails_too_the_cause_is_the_upstreams_own() {
    let (own, by) = (
        endpoints(2, Fault::Garbage).await,
        endpoints(2, Fault::Refuse).await,
    );
    let gateway = backed(&own, &by, |policy| policy.proxy_status = ProxyStatus::Full).start();
    let (answer, entry) = gateway.outcome(get("/")).await;
    assert_eq!(
        (answer.status, entry.cause.as_deref()),
        (502, Some("not_http"))
    );
    let said = answer.field("proxy-status").unwrap();
    assert!(
        said.contains("error=http_protocol_error; next-hop="),
        "{said}"
    );
    let hop = entry.endpoints()[1];
    assert!(said.contains(&format!("next-hop=\"{hop}\"")), "{said}");
    assert_eq!((entry.attempts.len(), entry.at_fallback()), (5, 3));
}

#[tokio::test]
async fn whatever_the_fallback_answers_is_the_answer() {
    let own = endpoints(2, Fault::Refuse).await;
    for (status, script) in [
        (503, Script::from(Fault::Unavailable)),
        (
            404,
            Script::answer(
                "HTTP/1.1 404 No\r\nproxy-status: cdn; error=dns_error\r\ncontent-length: 3\r\n\r\nno\n",
            ),
        ),
    ] {
        let by = endpoints(1, script).await;
        let (answer, entry) = before(&own, &by).outcome(get("/")).await;
        assert_eq!(
            (answer.status, entry.fallback, entry.cause),
            (status, true, None)
        );
        let said: Vec<&str> = answer
            .fields
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("proxy-status"))
            .map(|(_, value)| &**value)
            .collect();
        // Those of proxies nearer to the origin go before.
        assert_eq!(
            said.last(),
            Some(&"bywash; details=\"fallback: connection_refused\"")
        );
        assert_eq!(said.len(), if status == 404 { 2 } else { 1 });
    }
}

/// Of a request that may be what breaks endpoints one more is enough.
#[tokio::test]
async fn a_request_on_which_two_endpoints_broke_off_breaks_at_most_one_of_the_fallback() {
    let (own, by) = (
        endpoints(2, Fault::ResetAfterRequest).await,
        endpoints(3, Fault::CloseAfterRequest).await,
    );
    let (answer, entry) = before(&own, &by).outcome(get("/")).await;
    assert_eq!(
        (answer.status, entry.cause.as_deref()),
        (502, Some("connection_reset"))
    );
    assert_eq!((own.requests(), by.requests()), (2, 1));
}

#[tokio::test]
async fn the_fallback_has_attempts_of_its_own_under_its_own_policy() {
    let (own, by) = (
        endpoints(2, Fault::Refuse).await,
        endpoints(2, Fault::Echo).await,
    );
    by.once(Fault::StallBeforeHead);
    let setup = backed(&own, &by, |policy| policy.retry.attempts = 1);
    let gateway = setup
        .backed_under(|policy| policy.retry.per_try = Some(4 * SHORT))
        .start();
    let (answer, entry) = gateway.outcome(get("/")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        entry.causes(),
        ["connection_refused", "response_timeout", ""]
    );
    assert_eq!(entry.at_fallback(), 2);
}

#[tokio::test]
async fn the_time_for_a_request_is_the_routes_whoever_answers() {
    let (own, by) = (
        endpoints(1, Fault::StallBeforeHead).await,
        endpoints(1, Fault::StallBeforeHead).await,
    );
    let gateway = backed(&own, &by, |policy| policy.timeouts.request = SHORT).start();
    let (answer, entry) = gateway.outcome(get("/")).await;
    assert_eq!(
        (answer.status, entry.cause.as_deref()),
        (504, Some("deadline_exceeded"))
    );
    assert_eq!((entry.attempts.len(), by.connections()), (1, 0));

    let gateway = backed(&own, &by, |policy| {
        policy.timeouts.request = SHORT * 6;
        policy.retry.per_try = Some(SHORT);
        policy.retry.attempts = 1;
    });
    let (answer, entry) = gateway.start().outcome(get("/")).await;
    assert_eq!(
        (answer.status, entry.cause.as_deref()),
        (504, Some("response_timeout"))
    );
    assert_eq!(entry.causes(), ["response_timeout", "deadline_exceeded"]);
}

#[tokio::test]
async fn without_a_budget_for_retries_the_fallback_is_asked_at_once() {
    let (own, by) = (
        endpoints(2, Fault::CloseAfterRequest).await,
        endpoints(1, Fault::Echo).await,
    );
    let gateway = backed(&own, &by, |policy| {
        policy.retry.budget.percent = 0;
        policy.retry.budget.min_per_second = 0;
    });
    let (answer, entry) = gateway.start().outcome(get("/")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(entry.causes(), ["connection_closed", ""]);
}

#[tokio::test]
async fn how_much_is_said_of_it_is_up_to_the_policy() {
    let (own, by) = (
        endpoints(2, Fault::Refuse).await,
        endpoints(1, Fault::Echo).await,
    );
    let gateway = backed(&own, &by, |policy| policy.proxy_status = ProxyStatus::Off).start();
    let (answer, entry) = gateway.outcome(get("/")).await;
    assert_eq!((answer.field("proxy-status"), entry.fallback), (None, true));
    let gateway = backed(&own, &by, |policy| policy.proxy_status = ProxyStatus::Full).start();
    let expected = format!(
        "bywash; next-hop=\"{}\"; details=\"fallback: the connection was refused\"",
        by.address()
    );
    let (answer, _) = gateway.outcome(get("/")).await;
    assert_eq!(answer.field("proxy-status"), Some(&*expected));
}

#[tokio::test]
async fn what_is_passed_on_without_help_gets_none_from_the_fallback() {
    let (own, by) = (
        endpoints(2, Fault::Refuse).await,
        endpoints(1, Fault::Echo).await,
    );
    let bypass = |policy: &mut Policy| {
        let path = bywash::routing::path::PathKind::Prefix;
        policy.bypass = vec![bywash::routing::path::PathRule::new(path, "/health")];
    };
    let gateway = backed(&own, &by, bypass).start();
    assert_eq!(gateway.ask(get("/health")).await.status, 502);
    assert_eq!(by.connections(), 0);
    assert_eq!(gateway.ask(get("/")).await.status, 200);
    let mut policy = Policy::default();
    bypass(&mut policy);
    let target = nowhere(Cause::UnknownUpstream);
    let gateway = Setup::routed_backed(target, policy, &addresses(&[&by])).start();
    assert_eq!(gateway.ask(get("/health")).await.status, 503);
}

#[tokio::test]
async fn a_clients_own_fault_is_answered_as_such_and_the_fallback_is_not_asked() {
    let (own, by) = (
        endpoints(2, Fault::Echo).await,
        endpoints(1, Fault::Echo).await,
    );
    let gateway = before(&own, &by);
    let chunks = "PUT / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n";
    let (answer, entry) = gateway.outcome(chunks).await;
    assert_eq!((answer.status, entry.fallback), (400, false));
    assert_eq!(by.connections(), 0);
}

#[tokio::test]
async fn an_upgrade_goes_to_the_fallback_too() {
    let (own, by) = (
        endpoints(2, Fault::Refuse).await,
        endpoints(1, Fault::Echo).await,
    );
    let gateway = before(&own, &by);
    let mut client = gateway.client().await;
    client.send(UPGRADE).await;
    let head = client.head().await;
    assert_eq!(head.status, 101);
    assert!(head.field("proxy-status").unwrap().contains("fallback"));
    client.send(said("hello")).await;
    let back = heard("hello");
    assert_eq!(client.bytes(back.len()).await, back);
    drop(client);
    until(&by, |counts| counts.ended == 1).await;
    assert!(gateway.logged().await.fallback);
}
