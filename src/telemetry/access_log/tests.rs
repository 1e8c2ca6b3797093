use std::sync::mpsc::{Sender, channel};

use super::*;
use crate::report::outcome::{Followed, Stop};

struct Lines(Sender<Vec<u8>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(format: Format, query: Query, record: &Record<'_>) -> String {
    let (sender, lines) = channel();
    let metrics = Metrics::new(1);
    let settings = Settings {
        format,
        query,
        sample: 1.0,
    };
    let (log, writer) = AccessLog::start(settings, 1, &metrics, Lines(sender)).unwrap();
    log.record(0, record);
    assert!(writer.finish(Duration::from_secs(10)));
    String::from_utf8(lines.recv().unwrap()).unwrap()
}

fn record<'a>(policies: &'a [Box<str>], attempts: &'a [Attempt]) -> Record<'a> {
    Record {
        time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
        id: "01J0",
        client: [192, 0, 2, 7].into(),
        method: "GET",
        host: Some("shop.example"),
        path: "/cart\"\n",
        query: Some("token=secret"),
        protocol: "HTTP/1.1",
        tls: None,
        server_name: None,
        status: 502,
        cause: Some(Cause::ConnectionRefused),
        bytes_received: 0,
        bytes_sent: 33,
        duration: Duration::from_micros(1500),
        body: None,
        ingress_namespace: Some("shop"),
        ingress: Some("cart"),
        service_namespace: Some("shop"),
        service: Some("cart"),
        upstream: Some("shop/cart:80"),
        policies,
        fallback: false,
        user_agent: None,
        attempts,
    }
}

#[test]
fn a_json_line_names_the_cause_and_each_attempt() {
    let attempts = [Attempt {
        endpoint: Some(([10, 244, 0, 7], 8080).into()),
        pod: Some("cart-0".into()),
        cause: Some(Cause::ConnectionRefused),
        duration: Duration::from_micros(250),
        next: Followed::Nothing(Stop::NoEndpoint),
        ..Attempt::default()
    }];
    let line = logged(
        Format::Json,
        Query::Hidden,
        &record(&["shop/patient".into()], &attempts),
    );
    assert_eq!(line.matches('\n').count(), 1);
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    let expected = serde_json::json!({
        "time": "2023-11-14T22:13:20.123Z",
        "id": "01J0",
        "client": "192.0.2.7",
        "method": "GET",
        "host": "shop.example",
        "path": "/cart\"\n",
        "protocol": "HTTP/1.1",
        "status": 502,
        "cause": "connection_refused",
        "bytes_received": 0,
        "bytes_sent": 33,
        "duration_ms": 1.5,
        "ingress_namespace": "shop",
        "ingress": "cart",
        "service_namespace": "shop",
        "service": "cart",
        "upstream": "shop/cart:80",
        "policies": ["shop/patient"],
        "attempts": [
            {
                "endpoint": "10.244.0.7:8080", "pod": "cart-0", "cause": "connection_refused",
                "duration_ms": 0.25, "bytes_sent": 0, "bytes_received": 0, "next": "nothing",
                "reason": "no_endpoint",
            },
        ],
    });
    assert_eq!(line, expected);
}

#[test]
fn the_query_is_logged_only_when_asked_for() {
    let hidden = logged(Format::Json, Query::Hidden, &record(&[], &[]));
    assert!(!hidden.contains("secret"), "{hidden}");
    let shown = logged(Format::Json, Query::Shown, &record(&[], &[]));
    assert!(shown.contains(r#""query":"token=secret""#), "{shown}");
}

#[test]
fn a_line_of_the_common_log_format_cannot_be_forged() {
    let line = logged(Format::Clf, Query::Shown, &record(&[], &[]));
    assert_eq!(
        line,
        "192.0.2.7 - - [14/Nov/2023:22:13:20 +0000] \
         \"GET /cart\\x22\\x0a?token=secret HTTP/1.1\" 502 33\n"
    );
}

#[test]
fn a_head_that_could_not_be_read_has_no_request_line() {
    let unread = Record {
        method: "",
        path: "",
        query: None,
        status: 431,
        bytes_sent: 0,
        ..record(&[], &[])
    };
    let line = logged(Format::Clf, Query::Shown, &unread);
    assert!(line.ends_with(" +0000] \"-\" 431 -\n"), "{line}");
}

#[test]
fn a_log_that_is_off_takes_nothing() {
    assert!(!AccessLog::off().is_on());
    AccessLog::off().record(0, &record(&[], &[]));
}

#[test]
fn requests_that_went_well_are_logged_as_often_as_was_asked_for() {
    let samples = |sample, draw| {
        let settings = Settings {
            format: Format::Json,
            query: Query::Hidden,
            sample,
        };
        let (log, _writer) = AccessLog::start(settings, 1, &Metrics::new(1), io::sink()).unwrap();
        log.samples(|| draw)
    };
    assert!(samples(1.0, 0.999_999) && samples(0.25, 0.249));
    assert!(!samples(0.25, 0.25) && !samples(0.0, 0.0));
}
