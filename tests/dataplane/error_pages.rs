//! What clients are shown instead of an answer.

use std::sync::Arc;

use bywash::faults::script::Script;
use bywash::faults::{Fault, Peer};
use bywash::routing::pages::{PageName, PageSet, Template};
use bywash::routing::path::{PathKind, PathRule};
use bywash::routing::policy::upstream::{CircuitBreaker, StatusRange};
use bywash::routing::policy::{ErrorPages, PageSource, Policy};

use super::client::{Answer, End, get, post};
use super::gateway::{Gateway, SHORT, Setup, addresses};

/// `source`'s errors from 500 are shown by these pages.
fn pages(source: PageSource, pages: &[(&str, &str)]) -> Vec<ErrorPages> {
    let mut set = PageSet::default();
    for (key, source) in pages {
        let name = PageName::parse(key).unwrap();
        set.insert(name, Template::try_new(name, source).unwrap());
    }
    vec![ErrorPages {
        statuses: vec![StatusRange {
            first: 500,
            last: 599,
        }],
        source,
        pages: Some(Arc::new(set)),
    }]
}

const TEXT: (&str, &str) = ("5xx.txt", "{{ status }}: {{ cause }} {{ request_id }}\n");

async fn peer(script: impl Into<Script>) -> Peer {
    Peer::start(script.into()).await.unwrap()
}

fn asking(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: shop.test\r\n{fields}\r\n\r\n")
}

#[track_caller]
fn is_shown(answer: &Answer, status: u16, text: &str) {
    assert_eq!((answer.status, answer.end), (status, End::Whole));
    let id = answer.field("x-request-id").unwrap();
    assert_eq!(answer.text(), format!("{status}: {text} {id}\n"));
}

#[tokio::test]
async fn an_error_is_shown_in_the_form_that_the_client_prefers() {
    let gateway = Gateway::before(&[&peer(Fault::Refuse).await]);
    for (accept, content_type) in [
        ("text/html,*/*;q=0.8", "text/html; charset=utf-8"),
        ("application/json", "application/json"),
        ("application/problem+json", "application/problem+json"),
        ("*/*", "text/plain; charset=utf-8"),
    ] {
        let request = asking("/", &format!("Accept: {accept}"));
        let (answer, entry) = gateway.outcome(request).await;
        assert_eq!(answer.status, 502);
        assert_eq!(answer.field("content-type"), Some(content_type));
        assert_eq!(answer.field("vary"), Some("accept"));
        assert_eq!(answer.field("cache-control"), Some("no-store"));
        assert!(answer.text().contains(&entry.id), "{}", answer.text());
        assert_eq!(answer.proxy_error(), Some("connection_refused"));
    }
}

#[tokio::test]
async fn an_error_of_the_application_passes_byte_for_byte() {
    let peer = peer(Fault::Unavailable).await;
    let plain = Gateway::before(&[&peer]);
    let paged = Gateway::with(&[&peer], |policy| {
        policy.error_pages = pages(PageSource::Gateway, &[TEXT]);
    });
    for request in [post("/", "order"), get("/")] {
        let (without, with) = (plain.ask(&request).await, paged.ask(&request).await);
        assert_eq!((with.status, with.text().as_str()), (503, "busy\n"));
        assert_eq!(with.field("x-app"), Some("shop"));
        assert_eq!(with.field("vary"), None);
        let names = |answer: &Answer| {
            answer
                .fields
                .iter()
                .map(|it| it.0.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&without), names(&with));
    }
}

#[tokio::test]
async fn an_error_of_the_application_is_shown_as_a_page_where_that_is_asked_for() {
    let script = Script::answer(
        "HTTP/1.1 503 No\r\nx-app: shop\r\nset-cookie: a=1\r\ncontent-language: tlh\r\n\
         content-type: text/x-own\r\nvary: x-tenant\r\ncontent-length: 5\r\n\r\nbusy\n",
    );
    let peer = peer(script).await;
    let gateway = Gateway::with(&[&peer], |policy| {
        policy.error_pages = pages(PageSource::Upstream, &[TEXT]);
    });
    // The second one is not tried again, the first one is.
    for request in [get("/"), post("/", "order")] {
        let answer = gateway.ask(request).await;
        is_shown(&answer, 503, "The application answered with this error.");
        assert_eq!(answer.field("x-app"), Some("shop"));
        assert_eq!(answer.field("set-cookie"), Some("a=1"));
        assert_eq!(answer.field("content-language"), None);
        assert_eq!(
            answer.field("content-type"),
            Some("text/plain; charset=utf-8")
        );
        assert_eq!(answer.field("proxy-status"), None);
        let vary = answer.fields.iter().filter(|it| it.0 == "vary").count();
        assert_eq!(vary, 2);
    }
    let refused = Gateway::with(&[&self::peer(Fault::Refuse).await], |policy| {
        policy.error_pages = pages(PageSource::Upstream, &[TEXT]);
    });
    let built_in = refused.ask(get("/")).await.text();
    assert!(built_in.starts_with("502 Bad Gateway\n"), "{built_in}");
}

#[tokio::test]
async fn the_connection_of_an_error_that_is_not_shown_is_used_again() {
    let peer = peer(Fault::Unavailable).await;
    let gateway = Gateway::with(&[&peer], |policy| {
        policy.error_pages = pages(PageSource::All, &[TEXT]);
        // Kept ones serve it, however long ago they were used.
        policy.retry.non_idempotent = true;
        policy.upstream_mut().circuit_breaker = Some(CircuitBreaker {
            max_connections: 1,
            ..CircuitBreaker::default()
        });
    });
    for _ in 0..5 {
        let answer = gateway.ask(post("/", "order")).await;
        is_shown(&answer, 503, "The application answered with this error.");
    }
    assert_eq!((peer.connections(), peer.requests()), (1, 5));
}

#[tokio::test]
async fn pages_may_be_for_whoever_made_the_error() {
    let (busy, refused) = (peer(Fault::Unavailable).await, peer(Fault::Refuse).await);
    for (peer, status, text) in [
        (&busy, 503, "The application answered with this error."),
        (&refused, 502, "The connection was refused."),
    ] {
        let gateway = Gateway::with(&[peer], |policy| {
            policy.error_pages = pages(PageSource::All, &[TEXT]);
        });
        is_shown(&gateway.ask(get("/")).await, status, text);
    }
}

#[tokio::test]
async fn an_answer_to_head_has_the_length_of_the_page_and_no_content() {
    for fault in [Fault::Unavailable, Fault::Refuse] {
        let script = match fault {
            Fault::Refuse => Script::from(fault),
            _ => Script::answer("HTTP/1.1 503 No\r\ncontent-length: 5000\r\n\r\n"),
        };
        let peer = peer(script).await;
        let gateway = Gateway::with(&[&peer], |policy| {
            policy.error_pages = pages(PageSource::All, &[("5xx.txt", "17 bytes exactly\n")]);
        });
        let mut client = gateway.client().await;
        let answer = client
            .ask("HEAD / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
            .await;
        assert_eq!(answer.field("content-length"), Some("17"), "{answer:?}");
        // The connection is as it should be.
        let again = client
            .ask("HEAD / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
            .await;
        assert_eq!(again.field("content-length"), Some("17"));
    }
}

#[tokio::test]
async fn a_grpc_call_fails_as_one() {
    let call = "POST /shop.Cart/Get HTTP/1.1\r\nHost: shop.test\r\nContent-Type: application/grpc\r\n\
                Content-Length: 5\r\n\r\n\0\0\0\0\0";
    for (fault, code, status) in [
        (Fault::Refuse, "14", 502),
        (Fault::StallBeforeHead, "4", 504),
    ] {
        let peer = peer(fault).await;
        let gateway = Gateway::with(&[&peer], |policy| {
            policy.timeouts.request = SHORT;
            policy.error_pages = pages(PageSource::All, &[TEXT]);
        });
        let answer = gateway.ask(call).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, ""));
        assert_eq!(answer.field("grpc-status"), Some(code));
        assert!(answer.field("grpc-message").is_some());
        assert_eq!(answer.field("content-type"), Some("application/grpc"));
        assert!(answer.proxy_error().is_some());
        assert_eq!(gateway.logged().await.status, status);
    }
    let busy = peer(Fault::Unavailable).await;
    let gateway = Gateway::with(&[&busy], |policy| {
        policy.error_pages = pages(PageSource::All, &[TEXT]);
    });
    assert_eq!(gateway.ask(call).await.text(), "busy\n");
}

#[tokio::test]
async fn what_is_passed_on_without_help_is_shown_no_page() {
    let bypass = vec![PathRule::new(PathKind::Prefix, "/health")];
    for (fault, text) in [(Fault::Unavailable, "busy\n"), (Fault::Refuse, "")] {
        let peer = peer(fault).await;
        let gateway = Gateway::with(&[&peer], |policy| {
            policy.error_pages = pages(PageSource::All, &[TEXT]);
            policy.bypass = bypass.clone();
        });
        assert_eq!(gateway.ask(get("/health")).await.text(), text);
    }
}

#[tokio::test]
async fn a_changed_page_is_shown_from_then_on() {
    let peer = peer(Fault::Refuse).await;
    let with = |text| {
        let policy = Policy {
            error_pages: pages(PageSource::Gateway, &[("502.txt", text)]),
            ..Policy::default()
        };
        Setup::to(&addresses(&[&peer]), policy)
    };
    let gateway = with("before").start();
    assert_eq!(gateway.ask(get("/")).await.text(), "before");
    gateway.serve(with("after").snapshot);
    assert_eq!(gateway.ask(get("/")).await.text(), "after");
}

#[tokio::test]
async fn a_page_that_does_not_work_with_what_it_is_given_gives_way_to_the_built_in_one() {
    let peer = peer(Fault::Refuse).await;
    let page =
        "{% if request_id != '01J00000000000000000000000' %}{{ 'a' * 999999999 }}{% endif %}";
    let gateway = Gateway::with(&[&peer], |policy| {
        policy.error_pages = pages(PageSource::Gateway, &[("502.txt", page)]);
    });
    let text = gateway.ask(get("/")).await.text();
    assert!(text.starts_with("502 Bad Gateway\n"), "{text}");
}
