//! `examples/from-nginx`: each directive of its `nginx.conf` happens.
//!
//! The program runs over a copy of the manifests, in which scripted servers have taken the place of
//! the addresses, and times that nobody would wait for are shorter.

use std::fs;

use bywash::faults::Fault;
use bywash::faults::script::{Script, Step, send};
use serde_json::Value;

use crate::http::{get, send as ask, send_text};
use crate::program::Program;

use example::{Example, HOST, by, logged, post, until};

mod example;

fn status(code: u16) -> Script {
    Script::answer(format!(
        "HTTP/1.1 {code} No\r\ncontent-length: 3\r\n\r\nno\n"
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_value_is_in_force_as_it_is_written() {
    let example = Example::with(Fault::Echo, &[]).await;
    let program = example.run();
    assert_eq!(by(&get(program.http, HOST, "/")), "first");
    let path = ".status/gatewaypolicy.default.shop.yaml";
    let path = example.manifests.path().join(path);
    let deadline = std::time::Instant::now() + crate::program::PATIENCE;
    let said = loop {
        let said = fs::read_to_string(&path).unwrap_or_default();
        if said.contains("reason: Ready") {
            break said;
        }
        assert!(std::time::Instant::now() < deadline, "{said}");
        std::thread::yield_now();
    };
    let said: Value = serde_saphyr::from_str(&said).unwrap();
    assert_eq!(said["findings"], Value::Array(Vec::new()));
    let sections = said["status"]["ancestors"][0]["sections"].as_array();
    let values = |name: &str| {
        let section = sections.unwrap().iter().find(|it| it["name"] == name);
        section.unwrap()["values"].as_str().unwrap().to_owned()
    };
    for (section, expected) in [
        ("timeouts", "connect=10s send=30s read=30s"),
        (
            "retry",
            "on=connect-failure,reset,timeout,invalid-response,http-500,http-502,http-503 \
             attempts=3 perTryTimeout=30s within=10s",
        ),
        ("outlierDetection", "consecutiveFailures=3"),
        ("outlierDetection", "statuses=500,502,503"),
        ("outlierDetection", "ejection.base=30s ejection.max=30s"),
        ("connectionPool", "maxIdlePerEndpoint=32"),
        ("fallback", "service=default/shop-backup:http"),
        (
            "errorPages",
            "statuses=502-504 source=Gateway configMap=default/shop-pages",
        ),
        ("bypass", "/health"),
    ] {
        let values = values(section);
        assert!(values.contains(expected), "{section}: {values}");
    }
}

/// `backup`
#[tokio::test(flavor = "multi_thread")]
async fn while_the_first_server_works_the_backup_gets_nothing() {
    let example = Example::with(Fault::Echo, &[]).await;
    let program = example.run();
    for _ in 0..20 {
        assert_eq!(by(&get(program.http, HOST, "/")), "first");
    }
    assert_eq!(example.requests(), (20, 0));
}

/// `max_fails=3`, and that a request which was sent is not passed on if it is a POST.
#[tokio::test(flavor = "multi_thread")]
async fn after_three_failures_the_first_server_is_not_tried_any_more() {
    let example = Example::with(Fault::CloseAfterRequest, &[]).await;
    let program = example.run();
    for failures in 1..=3 {
        assert_eq!(post(&program, "/").status, 502);
        assert_eq!(example.requests(), (failures, 0));
    }
    for answers in 1..=5 {
        assert_eq!(by(&post(&program, "/")), "backup");
        assert_eq!(example.requests(), (3, answers));
    }
}

/// `fail_timeout=30s`
#[tokio::test(flavor = "multi_thread")]
async fn when_its_time_is_over_the_first_server_is_used_again() {
    let shorter = ("base: 30s, max: 30s", "base: 100ms, max: 100ms");
    let example = Example::with(Fault::CloseAfterRequest, &[shorter]).await;
    let program = example.run();
    assert_eq!(by(&get(program.http, HOST, "/")), "backup");
    assert_eq!(example.first.requests(), 3);
    example.first.from_now_on(Fault::Echo);
    let deadline = std::time::Instant::now() + crate::program::PATIENCE;
    while by(&get(program.http, HOST, "/")) != "first" {
        assert!(std::time::Instant::now() < deadline);
    }
    for _ in 0..10 {
        assert_eq!(by(&get(program.http, HOST, "/")), "first");
    }
}

/// `keepalive 32`: of two workers each keeps so many.
#[tokio::test(flavor = "multi_thread")]
async fn connections_are_kept_and_at_most_so_many() {
    const ALL: usize = 100;
    const KEPT: usize = 2 * 32;
    let answer = send("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n");
    let script = Script::on_request([Step::ReadBody, Step::Gate, answer]);
    let longer = (
        "maxIdlePerEndpoint: 32",
        "maxIdlePerEndpoint: 32\n    idleTimeout: 60s",
    );
    let example = Example::with(script, &[longer]).await;
    let program = example.run();
    example.first.open(10);
    for _ in 0..10 {
        assert_eq!(get(program.http, HOST, "/").status, 200);
    }
    // One for each worker.
    assert!(example.first.connections() <= 2);
    let asked: Vec<_> = (0..ALL).map(|_| ask(program.http, HOST, "/")).collect();
    until(&example.first, |counts| counts.waiting == ALL).await;
    example.first.open(ALL);
    for asked in asked {
        assert_eq!(asked.answer().status, 200);
    }
    let counts = until(&example.first, |it| it.connections - it.ended <= KEPT).await;
    assert!(counts.ended >= ALL - KEPT, "{counts:?}");
}

/// `proxy_connect_timeout`, `proxy_send_timeout`, `proxy_read_timeout`
#[tokio::test(flavor = "multi_thread")]
async fn what_takes_too_long_is_given_up() {
    let connect = Example::with(Fault::Ignore, &[("connect: 10s", "connect: 100ms")]).await;
    let (program, stdout) = connect.run_logging();
    assert_eq!(by(&get(program.http, HOST, "/")), "backup");
    let log = logged(program, stdout);
    assert_eq!(log[0]["attempts"][0]["cause"], "connect_timeout");

    let send = Example::with(Fault::NeverReads, &[("send: 30s", "send: 100ms")]).await;
    let (program, stdout) = send.run_logging();
    let body = "a".repeat(16 << 20);
    let length = body.len();
    let upload = format!(
        "POST / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let pending = crate::http::upload(program.http, upload);
    program.counted_when("bywash_request_failures_total", "send_timeout");
    drop(pending);
    let log = logged(program, stdout);
    assert_eq!(
        (&log[0]["cause"], &log[0]["status"]),
        (&"send_timeout".into(), &504.into())
    );
    assert_eq!(send.backup.connections(), 0);

    let until_head = ("perTryTimeout: 30s", "perTryTimeout: 100ms");
    let head = Example::with(Fault::StallBeforeHead, &[until_head]).await;
    let program = head.run();
    assert_eq!(by(&get(program.http, HOST, "/")), "backup");

    let read = Example::with(Fault::StallInBody, &[("read: 30s", "read: 100ms")]).await;
    let (program, stdout) = read.run_logging();
    assert_eq!(get(program.http, HOST, "/").body, "half");
    assert_eq!(logged(program, stdout)[0]["cause"], "body_timeout");
}

/// `proxy_next_upstream error timeout invalid_header http_500 http_502 http_503`
#[tokio::test(flavor = "multi_thread")]
async fn each_listed_failure_is_passed_on_and_no_other_status() {
    for fault in [
        Fault::Refuse,
        Fault::AcceptAndClose,
        Fault::AcceptAndReset,
        Fault::CloseAfterRequest,
        Fault::ResetAfterRequest,
        Fault::CutHead,
        Fault::Garbage,
        Fault::BadStatusLine,
    ] {
        let example = Example::with(fault, &[]).await;
        let program = example.run();
        assert_eq!(by(&get(program.http, HOST, "/")), "backup", "{fault}");
    }
    for code in [500, 502, 503, 504, 404, 501] {
        let example = Example::with(status(code), &[]).await;
        let program = example.run();
        let answer = get(program.http, HOST, "/");
        match code {
            500 | 502 | 503 => assert_eq!(by(&answer), "backup", "{code}"),
            _ => assert_eq!((answer.status, answer.body.as_str()), (code, "no\n")),
        }
    }
}

/// What was never sent is passed on whatever it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_post_that_was_never_sent_is_passed_on_to_the_backup() {
    let example = Example::with(Fault::Refuse, &[]).await;
    let program = example.run();
    let answer = post(&program, "/");
    assert_eq!(by(&answer), "backup");
    let described: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(described["body_bytes"], 8);
}

/// `proxy_next_upstream_tries 3`
#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_tried_three_times_before_the_backup_gets_it() {
    let example = Example::with(status(500), &[]).await;
    let program = example.run();
    assert_eq!(by(&get(program.http, HOST, "/")), "backup");
    assert_eq!(example.requests(), (3, 1));
}

/// `proxy_next_upstream_timeout 10s`
#[tokio::test(flavor = "multi_thread")]
async fn no_attempt_begins_when_the_time_for_them_is_over() {
    let shorter = [
        ("perTryTimeout: 30s", "perTryTimeout: 200ms"),
        ("within: 10s", "within: 300ms"),
    ];
    let example = Example::with(Fault::StallBeforeHead, &shorter).await;
    let program = example.run();
    assert_eq!(by(&get(program.http, HOST, "/")), "backup");
    let (first, backup) = example.requests();
    assert!(first < 3 && backup == 1, "{first}");
}

/// `location = /health { access_log off; proxy_next_upstream off; }`
#[tokio::test(flavor = "multi_thread")]
async fn health_is_neither_logged_nor_tried_again() {
    let example = Example::with(Fault::CloseAfterRequest, &[]).await;
    let (program, stdout) = example.run_logging();
    assert_eq!(get(program.http, HOST, "/health").status, 502);
    assert_eq!(example.requests(), (1, 0));
    assert_eq!(by(&get(program.http, HOST, "/healthy")), "backup");
    let log = logged(program, stdout);
    let paths: Vec<&Value> = log.iter().map(|line| &line["path"]).collect();
    assert_eq!(paths, ["/healthy"]);
    assert_eq!(log[0]["fallback"], true);
}

/// `error_page 502 503 504 /50x.html`, and `internal`
#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_the_gateway_is_shown_as_the_page_and_one_of_the_server_is_not() {
    let accepting = |program: &Program, accept: &str, (method, path): (&str, &str)| {
        let text = format!(
            "{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
        );
        send_text(program.http, &text).answer()
    };
    let asking = |program: &Program, method: &str, path: &str| {
        accepting(program, "text/html", (method, path))
    };
    let example = Example::with(Fault::CloseAfterRequest, &[]).await;
    let program = example.run();
    // As curl asks.
    let answer = accepting(&program, "*/*", ("POST", "/"));
    assert_eq!(answer.status, 502);
    let page = &answer.body;
    assert!(
        page.contains("<h1>The shop is closed for a moment</h1>"),
        "{page}"
    );
    let plain = accepting(&program, "text/plain", ("POST", "/")).body;
    assert!(plain.starts_with("502 Bad Gateway\n"), "{plain}");
    // No path leads to it: the servers are asked.
    let before = example.requests();
    asking(&program, "POST", "/5xx.html");
    assert_eq!(example.requests(), (before.0 + 1, before.1));

    let example = Example::with(status(504), &[]).await;
    let program = example.run();
    assert_eq!(asking(&program, "GET", "/").body, "no\n");
}

/// `proxy_set_header`
#[tokio::test(flavor = "multi_thread")]
async fn a_server_learns_what_the_client_asked_and_who_it_is() {
    let example = Example::with(Fault::Echo, &[]).await;
    let program = example.run();
    let answer = get(program.http, HOST, "/");
    assert_eq!(by(&answer), "first");
    let headers = answer.body.to_lowercase();
    for field in [
        r#"["host","shop.example"]"#,
        r#"["x-real-ip","127.0.0.1"]"#,
        r#"["x-forwarded-for","127.0.0.1"]"#,
        r#"["x-forwarded-proto","http"]"#,
    ] {
        assert!(headers.contains(field), "{field} in {headers}");
    }
    let described: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(described["version"], "HTTP/1.1");
}
