//! Row by row: what hyper does with a malformed message, and what we add.

use std::collections::BTreeMap;
use std::sync::mpsc;

use super::*;
use crate::telemetry::access_log::{self, Format, Query};

/// The status of the only answer to these bytes, after which the connection ends.
async fn status_of(server: &Server, bytes: &str) -> u16 {
    let answer = exchange(server.http, bytes).await;
    assert_eq!(
        answer.matches("HTTP/1.1 ").count(),
        1,
        "{bytes:?}: {answer}"
    );
    answer["HTTP/1.1 ".len()..][..3].parse().unwrap()
}

fn head(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\n{lines}\r\n")
}

fn post(lines: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nhost: a\r\n{lines}\r\n{body}")
}

#[tokio::test]
async fn a_well_formed_request_is_answered() {
    let server = start(&settings());
    let close = head("host: a\r\nconnection: close\r\n");
    assert_eq!(status_of(&server, &close).await, 200);
    let chunked = post(
        "transfer-encoding: chunked\r\nconnection: close\r\n",
        "3\r\nabc\r\n0\r\n\r\n",
    );
    assert!(exchange(server.http, &chunked).await.ends_with("/ 3"));
    let old = exchange(server.http, "GET / HTTP/1.0\r\n\r\n").await;
    assert!(old.ends_with("/ 0"), "{old}");
}

#[tokio::test]
async fn a_request_without_exactly_one_valid_host_is_a_400() {
    let server = start(&settings());
    for lines in [
        "",
        "host: a\r\nhost: a\r\n",
        "host: a\r\nhost: b\r\n",
        "host: a/b@c\r\n",
        "host: a b\r\n",
        "host:\r\n",
    ] {
        assert_eq!(status_of(&server, &head(lines)).await, 400, "{lines:?}");
    }
}

#[tokio::test]
async fn a_target_that_is_no_path_is_refused() {
    let server = start(&settings());
    for (line, status) in [
        ("GET a:80", 400),
        ("GET foo", 400),
        ("GET *", 400),
        ("OPTIONS *", 400),
        ("CONNECT a:80", 405),
        ("GET http://user@a/", 400),
        ("GET ftp://a/", 400),
        ("GET /../x", 400),
        ("GET /%00", 400),
        ("GET /%zz", 400),
        ("GET /a\\b", 400),
        ("GET /<", 400),
        ("GET /\u{1}", 400),
    ] {
        let request = format!("{line} HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(status_of(&server, &request).await, status, "{line:?}");
    }
}

#[tokio::test]
async fn a_transfer_coding_other_than_one_chunked_is_refused() {
    let server = start(&settings());
    for (lines, status) in [
        ("transfer-encoding: gzip, chunked\r\n", 501),
        ("transfer-encoding: chunked, chunked\r\n", 501),
        (
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            501,
        ),
        ("transfer-encoding: xchunked\r\n", 400),
        ("transfer-encoding: chunked, identity\r\n", 400),
        ("transfer-encoding: identity\r\n", 400),
        ("transfer-encoding:\u{b}chunked\r\n", 400),
    ] {
        let request = post(lines, "0\r\n\r\n");
        assert_eq!(status_of(&server, &request).await, status, "{lines:?}");
    }
    let old = "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(status_of(&server, old).await, 400);
}

#[tokio::test]
async fn contradicting_lengths_are_a_400() {
    let server = start(&settings());
    for lines in [
        "content-length: 1\r\ncontent-length: 2\r\n",
        "content-length: 1, 1\r\n",
        "content-length: +1\r\n",
        "content-length: -1\r\n",
        "content-length: 0x1\r\n",
        "content-length: 18446744073709551616\r\n",
        "content-length:\r\n",
    ] {
        assert_eq!(
            status_of(&server, &post(lines, "x")).await,
            400,
            "{lines:?}"
        );
    }
}

/// RFC 9112 section 6.3: chunked wins; then the connection ends, so that nothing can follow.
#[tokio::test]
async fn chunked_with_a_length_is_read_as_chunked_and_the_connection_ends() {
    let server = start(&settings());
    for lines in [
        "transfer-encoding: chunked\r\ncontent-length: 3\r\n",
        "content-length: 3\r\ntransfer-encoding: chunked\r\n",
    ] {
        let smuggled = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
        let answer = exchange(server.http, &post(lines, smuggled)).await;
        assert!(answer.ends_with("/ 0"), "{answer}");
    }
}

#[tokio::test]
async fn malformed_field_lines_are_a_400() {
    let server = start(&settings());
    for lines in [
        "host: a\r\nx : 1\r\n",
        "host: a\r\nx: 1\r\n folded\r\n",
        " host: a\r\n",
        "host: a\r\nx: a\0b\r\n",
        "host: a\r\nx: a\rb\r\n",
        "host: a\r\n: 1\r\n",
        "host: a\r\nx(y): 1\r\n",
        "host: a\r\nno colon\r\n",
    ] {
        assert_eq!(status_of(&server, &head(lines)).await, 400, "{lines:?}");
    }
}

#[tokio::test]
async fn malformed_chunks_are_the_clients_fault() {
    let server = start(&settings());
    for body in [
        "0x1\r\na\r\n0\r\n\r\n",
        "1\na\r\n0\r\n\r\n",
        "1\r\naX0\r\n\r\n",
        "1;ext\n\r\na\r\n0\r\n\r\n",
        "-1\r\na\r\n0\r\n\r\n",
        "fffffffffffffffff\r\na\r\n0\r\n\r\n",
        "zz\r\n",
    ] {
        let request = post("transfer-encoding: chunked\r\n", body);
        assert_eq!(status_of(&server, &request).await, 400, "{body:?}");
    }
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused() {
    let server = start(&settings());
    let many = "x: 1\r\n".repeat(101);
    assert_eq!(
        status_of(&server, &head(&format!("host: a\r\n{many}"))).await,
        431
    );
    let large = format!("host: a\r\nx: {}\r\n", "x".repeat(40 * 1024));
    assert_eq!(status_of(&server, &head(&large)).await, 431);
    let long = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "x".repeat(70_000));
    let status = status_of(&server, &long).await;
    assert!(matches!(status, 414 | 431), "{status}");
}

#[tokio::test]
async fn an_unknown_expectation_is_a_417_and_a_known_one_is_met() {
    let mut server = start(&settings());
    assert_eq!(status_of(&server, &post("expect: x\r\n", "")).await, 417);
    let mut client = Client::connect(server.http).await;
    client
        .send(&post("expect: 100-continue\r\ncontent-length: 2\r\n", ""))
        .await;
    client.read_until("HTTP/1.1 100 Continue\r\n\r\n").await;
    client.send("ok").await;
    client.read_until("/ 2").await;
    assert_eq!(server.next_seen().await, "/");
}

#[tokio::test]
async fn bytes_that_are_not_http_are_a_400_or_nothing() {
    let mut server = start(&settings());
    for bytes in [
        "\x16\x03\x01\x02\x00\x01\x00\x01",
        "GET / HTTP/3.0\r\n\r\n",
        "\0\0\0\0",
    ] {
        let answer = exchange(server.http, bytes).await;
        let is_refused = answer.is_empty() || answer.starts_with("HTTP/1.1 400 ");
        assert!(is_refused, "{bytes:?}: {answer}");
    }
    assert!(server.seen.try_recv().is_err());
}

#[tokio::test]
async fn an_answer_reaches_a_client_that_is_still_sending() {
    let server = start(&settings());
    let size = 200 * 1024;
    let mut client = Client::connect(server.http).await;
    let request = format!("POST /unread HTTP/1.1\r\nhost: a\r\ncontent-length: {size}\r\n\r\n");
    client.send(&request).await;
    let block = "x".repeat(1024);
    for _ in 0..size / block.len() {
        client.send(&block).await;
    }
    let (answer, end) = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    end.unwrap();
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = start(&settings());
    let first = "GET /1 HTTP/1.1\r\nhost: a\r\n\r\n";
    let last = "GET /2 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answers = exchange(server.http, &format!("{first}{last}")).await;
    let (one, two) = (answers.find("/1 0"), answers.find("/2 0"));
    assert!(one.is_some() && one < two, "{answers}");
}

#[tokio::test]
async fn what_is_refused_before_it_is_a_request_is_counted() {
    let server = start(&Settings {
        client_header_timeout: Duration::from_millis(200),
        ..settings()
    });
    let _unrouted = server.metrics.unrouted(); // what is served holds it
    exchange(server.http, "nonsense\r\n\r\n").await;
    exchange(server.http, &head(&"x: 1\r\n".repeat(101))).await;
    exchange(server.http, "GET / HT").await;
    timeout(PATIENCE, server.plane.emptied()).await.unwrap();
    let metrics = timeout(PATIENCE, async {
        loop {
            let metrics = server.metrics.encode().unwrap();
            let failures = metrics
                .lines()
                .filter(|l| l.starts_with("bywash_request_failures"));
            if failures.into_iter().any(|line| line.ends_with(" 3")) {
                break metrics;
            }
            tokio::task::yield_now().await;
        }
    });
    let metrics = metrics.await.unwrap();
    for status in ["400", "431", "408"] {
        let counted = metrics
            .lines()
            .any(|line| line.starts_with("bywash_requests_total") && line.contains(status));
        assert!(counted, "{status}: {metrics}");
    }
}

/// Sends on what is written.
struct Lines(mpsc::Sender<Vec<u8>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The statuses of so many lines, by their ids.
fn logged(lines: &mpsc::Receiver<Vec<u8>>, count: usize) -> BTreeMap<String, u64> {
    let mut text = String::new();
    while text.matches('\n').count() < count {
        let more = lines.recv_timeout(PATIENCE).unwrap();
        text.push_str(&String::from_utf8(more).unwrap());
    }
    let lines = text.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["cause"], "bad_request", "{line}");
        assert_eq!(line["client"], "127.0.0.1", "{line}");
        let id = line["id"].as_str().unwrap();
        (id.to_owned(), line["status"].as_u64().unwrap())
    });
    lines.collect()
}

#[tokio::test]
async fn what_is_refused_before_it_is_a_request_has_the_fields_of_every_error_and_a_line_in_the_log()
 {
    let settings = Settings {
        client_header_timeout: Duration::from_millis(200),
        ..settings()
    };
    let log = access_log::Settings {
        format: Format::Json,
        query: Query::Hidden,
        sample: 0.0,
    };
    let (sender, lines) = mpsc::channel();
    let (log, _writer) = AccessLog::start(log, 2, &Metrics::new(2), Lines(sender)).unwrap();
    let server = start_logging(&settings, log);
    let mut told = BTreeMap::new();
    for (bytes, status, phrase) in [
        (head("host: a\r\nBad Name: 1\r\n"), 400, "Bad Request"),
        (
            head(&"x: 1\r\n".repeat(101)),
            431,
            "Request Header Fields Too Large",
        ),
        (
            head(&format!("x: {}\r\n", "x".repeat(40 * 1024))),
            431,
            "Request Header Fields Too Large",
        ),
        ("GET / HT".to_owned(), 408, "Request Timeout"),
    ] {
        let answer = exchange(server.http, &bytes).await;
        let field = |name: &str| {
            let mut lines = answer.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        };
        let start = format!("HTTP/1.1 {status} {phrase}\r\n");
        assert!(answer.starts_with(&start), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
        let expected = format!(
            "bywash; error=http_request_error; status-code={status}; status-phrase=\"{phrase}\""
        );
        assert_eq!(field("proxy-status"), Some(&*expected));
        assert_eq!(field("connection"), Some("close"));
        assert_eq!(field("content-length"), Some("0"));
        assert!(
            field("date").is_some_and(|it| it.ends_with(" GMT")),
            "{answer}"
        );
        told.insert(field("x-request-id").unwrap().to_owned(), status);
    }
    assert_eq!(logged(&lines, 4), told);
}
