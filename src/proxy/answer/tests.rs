use std::sync::Arc;
use std::time::Instant;

use http::header::ACCEPT;
use serde_json::Value;

use super::*;
use crate::failure::TlsAlert;
use crate::proxy::account::Described;
use crate::proxy::client::{ClientContext, ConnectionState, Shutdown};
use crate::proxy::forwarded::{Peer, TrustedProxies};
use crate::proxy::handler::Observers;
use crate::proxy::pages::PageCache;
use crate::proxy::request_id::RequestId;
use crate::proxy::serving::{LiveRoute, LiveTarget};
use crate::routing::pages::{PageName, PageSet, Template};
use crate::routing::policy::upstream::StatusRange;
use crate::routing::policy::{ErrorPages, PageSource, Policy};
use crate::routing::snapshot::IngressName;
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::failures::Failures;
use crate::telemetry::metrics::{Metrics, RouteLabels};
use crate::telemetry::traces::Traces;

/// Where everything has a name that must not be told.
const SECRETS: [&str; 7] = [
    "10.244.1.7",
    "8080",
    "192.0.2.1",
    "topsecret-ns",
    "topsecret-ingress",
    "topsecret-svc",
    "topsecret",
];

const FORMS: [(&str, &str); 4] = [
    ("text/html", "text/html; charset=utf-8"),
    ("application/json", "application/json"),
    ("application/problem+json", "application/problem+json"),
    ("text/plain", "text/plain; charset=utf-8"),
];

fn route(metrics: &Arc<Metrics>, pages: &[ErrorPages]) -> Arc<LiveRoute> {
    let labels = RouteLabels {
        host: "topsecret.example".into(),
        ingress_namespace: "topsecret-ns".into(),
        ingress: "topsecret-ingress".into(),
        upstream: "topsecret-ns/topsecret-svc:80".into(),
    };
    Arc::new(LiveRoute {
        ingress: IngressName {
            namespace: "topsecret-ns".into(),
            name: "topsecret-ingress".into(),
        },
        target: LiveTarget::Unavailable(Cause::NoEndpoints, None),
        policy: Arc::new(Policy::default()),
        pages: LivePages::new(pages, &mut PageCache::default(), &PageCache::default()),
        fallback: None,
        unaided: None,
        redirects: false,
        metrics: metrics.route(&labels),
    })
}

fn own_pages() -> Vec<ErrorPages> {
    let mut set = PageSet::default();
    let all = "{{ status }} {{ title }} {{ cause }} {{ request_id }} {{ retry_after }}";
    for key in ["4xx.html", "5xx.html", "4xx.txt", "5xx.txt"] {
        let name = PageName::parse(key).unwrap();
        set.insert(name, Template::try_new(name, all).unwrap());
    }
    for key in ["5xx.json", "5xx.problem.json"] {
        let name = PageName::parse(key).unwrap();
        let template = r#"{"own": {{ cause }}, "id": {{ request_id }}}"#;
        set.insert(name, Template::try_new(name, template).unwrap());
    }
    vec![ErrorPages {
        statuses: vec![StatusRange {
            first: 400,
            last: 599,
        }],
        source: PageSource::All,
        pages: Some(Arc::new(set)),
    }]
}

fn asked(method: Method) -> Asked {
    Asked {
        method,
        http1: true,
        proxy_status: ProxyStatus::Cause,
        next_hop: Some(([10, 244, 1, 7], 8080).into()),
        received: Some(200),
        retry_after: None,
        bare: false,
    }
}

/// Head and body of an answer, as text.
fn told(
    cause: Cause,
    asked: &Asked,
    request: &HeaderMap,
    pages: &[ErrorPages],
) -> (HeaderMap, String) {
    let metrics = Metrics::new(1);
    let client = ClientContext {
        peer: Peer::new(([192, 0, 2, 1], 1).into(), &TrustedProxies::new(&[])),
        tls: None,
        worker: 0,
        state: Arc::new(ConnectionState::new(Arc::<Shutdown>::default())),
    };
    let id = RequestId::assign(&mut HeaderMap::new(), false, None);
    let begun = (Instant::now(), Arc::new(client));
    let observers = Arc::new(Observers {
        access_log: AccessLog::off(),
        failures: Failures::off(),
        traces: Traces::off(),
    });
    let described = Described {
        client: [192, 0, 2, 1].into(),
        method: Method::GET,
        host: "topsecret.example".into(),
        target: None,
        version: Version::HTTP_11,
        user_agent: None,
    };
    let counts = (metrics.unrouted(), observers);
    let mut account = Account::open(begun, id, counts, described);
    account.route = Some(route(&metrics, pages));
    let (head, mut body) = failure(cause, asked, request, account).into_parts();
    let content = match &mut body {
        ResponseBody::Own { content, .. } => content.take(),
        ResponseBody::Upstream(_) => panic!("not ours"),
    };
    let text = String::from_utf8(content.unwrap_or_default().to_vec()).unwrap();
    (head.headers, text)
}

fn accepting(accept: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))])
}

#[test]
fn no_answer_of_any_cause_in_any_form_tells_what_only_the_operator_may_know() {
    for cause in Cause::all() {
        for pages in [Vec::new(), own_pages()] {
            let grpc = HeaderValue::from_static("application/grpc");
            let call = HeaderMap::from_iter([(CONTENT_TYPE, grpc)]);
            let requests = FORMS.map(|(accept, _)| accepting(accept));
            for request in requests.iter().chain([&call]) {
                let (head, body) = told(cause, &asked(Method::GET), request, &pages);
                // An id is drawn, and may look like anything.
                let id = head[X_REQUEST_ID].to_str().unwrap();
                let whole = format!("{head:?} {body}").replace(id, "");
                for secret in SECRETS {
                    assert!(!whole.contains(secret), "{cause:?}: {secret} in {whole}");
                }
                assert!(head.contains_key(X_REQUEST_ID) && head.contains_key(PROXY_STATUS));
                assert_eq!(head[CACHE_CONTROL], "no-store");
            }
        }
    }
}

#[test]
fn every_cause_has_a_page_in_every_form() {
    for cause in Cause::all() {
        for (accept, content_type) in FORMS {
            let (head, body) = told(cause, &asked(Method::GET), &accepting(accept), &[]);
            assert_eq!(head[CONTENT_TYPE], content_type, "{cause:?}");
            assert_eq!(head[CONTENT_LENGTH], body.len().to_string(), "{cause:?}");
            assert_eq!(head[VARY], "accept");
            let id = head[X_REQUEST_ID].to_str().unwrap();
            assert!(body.contains(id), "{cause:?}: {body}");
            if content_type.ends_with("json") {
                let body: Value = serde_json::from_str(&body).unwrap();
                assert_eq!(body["request_id"], id);
            }
        }
    }
}

#[test]
fn the_forms_are_those_of_their_specifications() {
    let json = told(
        Cause::ConnectionRefused,
        &asked(Method::GET),
        &accepting("application/json"),
        &[],
    );
    let json: Value = serde_json::from_str(&json.1).unwrap();
    assert_eq!(json["error"], "bad_gateway");
    let problem = accepting("application/problem+json");
    let problem = told(Cause::ResponseTimeout, &asked(Method::GET), &problem, &[]);
    let problem: Value = serde_json::from_str(&problem.1).unwrap();
    assert_eq!(problem["title"], "Gateway Timeout");
    assert_eq!(problem["status"], 504);
    assert_eq!(problem["detail"], "No response arrived in time.");
    let (head, html) = told(
        Cause::NoEndpoints,
        &asked(Method::GET),
        &accepting("text/html"),
        &[],
    );
    assert!(
        html.starts_with("<!doctype html>") && html.contains("Try again in 5 seconds."),
        "{html}"
    );
    assert_eq!(head[CONTENT_SECURITY_POLICY], NOTHING_FROM_ELSEWHERE);
    assert_eq!(head[RETRY_AFTER], "5");
    for outside in [
        "<script", "http://", "https://", "src=", "href=", "url(", "@import",
    ] {
        assert!(!html.contains(outside), "{outside}");
    }
}

#[test]
fn a_page_of_the_policy_goes_before_the_built_in_one() {
    let request = accepting("application/json");
    let (head, body) = told(Cause::NotHttp, &asked(Method::GET), &request, &own_pages());
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["own"], "The endpoint did not answer with HTTP/1.1.");
    assert!(!head.contains_key(CONTENT_SECURITY_POLICY));
    let (_, body) = told(Cause::NoRoute, &asked(Method::GET), &request, &own_pages());
    assert!(body.contains("\"error\":\"not_found\""), "{body}");
}

#[test]
fn an_answer_to_head_has_the_length_but_not_the_content() {
    for (accept, _) in FORMS {
        let (get, body) = told(Cause::NotHttp, &asked(Method::GET), &accepting(accept), &[]);
        let (head, nothing) = told(
            Cause::NotHttp,
            &asked(Method::HEAD),
            &accepting(accept),
            &[],
        );
        assert_eq!(get[CONTENT_LENGTH], head[CONTENT_LENGTH]);
        assert_eq!(get[CONTENT_LENGTH], body.len().to_string());
        assert_eq!(nothing, "");
    }
}

#[test]
fn machines_are_told_what_is_known_of_the_error_and_nothing_where_that_is_off() {
    let field = |cause, asked: &Asked| {
        let (head, _) = told(cause, asked, &HeaderMap::new(), &[]);
        head.get(PROXY_STATUS)
            .map(|it| it.to_str().unwrap().to_owned())
    };
    let mut asked = asked(Method::GET);
    assert_eq!(
        field(Cause::InvalidJson, &asked).unwrap(),
        "bywash; error=http_protocol_error; received-status=200"
    );
    asked.received = None;
    assert_eq!(
        field(Cause::TlsAlert(TlsAlert(40)), &asked).unwrap(),
        "bywash; error=tls_alert_received; alert-id=40; alert-message=\"handshake_failure\""
    );
    assert_eq!(
        field(Cause::ConnectionRefused, &asked).unwrap(),
        "bywash; error=connection_refused"
    );
    asked.proxy_status = ProxyStatus::Off;
    assert_eq!(field(Cause::ConnectionRefused, &asked), None);
}
