//! What a collector gets of a program that is configured by the variables of OpenTelemetry.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;

use crate::http::{Answer, send_text};
use crate::manifests::{Manifests, route};
use crate::program::{PATIENCE, Program, say_under};
use crate::upstream::Nobody;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// Something that speaks HTTP/1.1: each request's head, in lower case, and its body; an answer without a
/// body where `answers` says so, else none.
fn listen(
    answers: impl Fn(usize) -> bool + Send + 'static,
) -> (SocketAddr, Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, received) = channel();
    thread::spawn(move || {
        for (index, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let Some(request) = read(&stream) else {
                continue;
            };
            if sender.send(request).is_err() {
                return;
            }
            if answers(index) {
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                let _client_gone = stream.write_all(answer.as_bytes());
            }
        }
    });
    (address, received)
}

fn read(stream: &TcpStream) -> Option<(String, Vec<u8>)> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while reader.read_line(&mut head).ok()? > 2 {}
    let head = head.to_ascii_lowercase();
    let length = field(&head, "content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    (!head.is_empty()).then_some((head, body))
}

fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut lines = head.lines();
    lines.find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
}

/// A collector, and what it got.
struct Collector {
    address: SocketAddr,
    received: Receiver<(String, Vec<u8>)>,
}

/// The resource of a batch, and its spans.
type Batch = (BTreeMap<String, String>, Vec<Span>);

impl Collector {
    fn start() -> Self {
        let (address, received) = listen(|_| true);
        Self { address, received }
    }

    fn preparation(&self, more: &str) -> String {
        format!(
            "export OTEL_EXPORTER_OTLP_ENDPOINT=http://{} OTEL_BSP_SCHEDULE_DELAY=20 {more}",
            self.address
        )
    }

    fn next(&self) -> Batch {
        let (head, body) = self.received.recv_timeout(PATIENCE).unwrap();
        assert!(head.starts_with("post /v1/traces http/1.1"), "{head}");
        assert_eq!(field(&head, "content-type"), Some("application/x-protobuf"));
        assert_eq!(field(&head, "x-tenant"), Some("shop"));
        let request = ExportTraceServiceRequest::decode(&*body).unwrap();
        let mut resource = BTreeMap::new();
        let mut spans = Vec::new();
        for of_resource in request.resource_spans {
            resource = attributes(&of_resource.resource.unwrap().attributes);
            for scope in of_resource.scope_spans {
                assert_eq!(scope.scope.unwrap().name, "bywash");
                spans.extend(scope.spans);
            }
        }
        (resource, spans)
    }

    /// The spans of the next request: its own comes last.
    fn request(&self) -> (Span, Vec<Span>) {
        let mut attempts = Vec::new();
        loop {
            for span in self.next().1 {
                match span.kind() {
                    SpanKind::Server => return (span, attempts),
                    _ => attempts.push(span),
                }
            }
        }
    }
}

fn attributes(list: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |pair: &KeyValue| match pair.value.clone().unwrap().value.unwrap() {
        any_value::Value::StringValue(text) => text,
        any_value::Value::IntValue(number) => number.to_string(),
        any_value::Value::BoolValue(yes) => yes.to_string(),
        other => panic!("{other:?}"),
    };
    list.iter()
        .map(|pair| (pair.key.clone(), text(pair)))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn ask(program: &Program, host: &str, flags: &str) -> Answer {
    let request = format!(
        "GET /cart?token=secret HTTP/1.1\r\nHost: {host}\r\nTraceparent: 00-{TRACE}-{PARENT}-{flags}\r\n\
         Tracestate: vendor=1\r\nConnection: close\r\n\r\n"
    );
    send_text(program.http, &request).answer()
}

const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS=x-tenant=shop";

#[test]
fn a_request_is_one_span_and_each_attempt_one_below_it_as_its_upstream_knows_it() {
    let collector = Collector::start();
    let (upstream, heads) = listen(|index| index > 0);
    let manifests = Manifests::routing("shop.example", upstream);
    let preparation = collector.preparation(&format!(
        "{HEADERS} OTEL_SERVICE_NAME=edge OTEL_RESOURCE_ATTRIBUTES=deployment.environment=test"
    ));
    let program = Program::standalone_under(&preparation, manifests.path());
    let answer = ask(&program, "shop.example", "01");
    assert_eq!(answer.status, 200);

    let (request, attempts) = collector.request();
    assert_eq!(hex(&request.trace_id), TRACE);
    assert_eq!(hex(&request.parent_span_id), PARENT);
    let told = attributes(&request.attributes);
    let id = field(&answer.head, "x-request-id").unwrap();
    for (name, value) in [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("url.path", "/cart"),
        ("url.scheme", "http"),
        ("server.address", "shop.example"),
        ("client.address", "127.0.0.1"),
        ("network.protocol.version", "1.1"),
        ("k8s.namespace.name", "shop"),
        ("bywash.ingress", "shop"),
        ("bywash.upstream", "shop/shop:80"),
    ] {
        assert_eq!(told.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert_eq!(told["bywash.request_id"].to_ascii_lowercase(), id);
    assert!(!told.contains_key("error.type") && !told.contains_key("url.query"));
    assert!(!told.values().any(|value| value.contains("secret")));

    assert_eq!(attempts.len(), 2, "{attempts:?}");
    for attempt in &attempts {
        assert_eq!(attempt.kind(), SpanKind::Client);
        assert_eq!(hex(&attempt.trace_id), TRACE);
        assert_eq!(attempt.parent_span_id, request.span_id);
        assert!(attempt.start_time_unix_nano >= request.start_time_unix_nano);
        assert!(attempt.start_time_unix_nano <= attempt.end_time_unix_nano);
        assert!(attempt.end_time_unix_nano <= request.end_time_unix_nano);
        let (head, _) = heads.recv_timeout(PATIENCE).unwrap();
        let expected = format!("00-{TRACE}-{}-01", hex(&attempt.span_id));
        assert_eq!(field(&head, "traceparent"), Some(&*expected));
        assert_eq!(field(&head, "tracestate"), Some("vendor=1"));
        let told = attributes(&attempt.attributes);
        assert_eq!(told["network.peer.address"], "127.0.0.1");
        assert_eq!(told["server.port"], upstream.port().to_string());
    }
    assert!(attempts[0].end_time_unix_nano <= attempts[1].start_time_unix_nano);
    let (first, second) = (
        attributes(&attempts[0].attributes),
        attributes(&attempts[1].attributes),
    );
    assert_eq!(first["error.type"], "connection_closed");
    assert!(!first.contains_key("http.request.resend_count"));
    assert_eq!(second["http.request.resend_count"], "1");
    assert_eq!(second["http.response.status_code"], "200");
    assert!(!second.contains_key("error.type"));
    program.counted(r#"bywash_trace_spans_sent_total{result="exported"} 3"#);
    program.counted("bywash_trace_spans_made_total 3");
}

#[test]
fn a_failure_has_its_cause_as_the_type_of_its_error() {
    let collector = Collector::start();
    let nobody = Nobody::listens();
    let manifests = Manifests::empty();
    manifests.write("gone.yaml", &route("gone", "gone.example", nobody.address));
    let program = Program::standalone_under(&collector.preparation(HEADERS), manifests.path());
    assert_eq!(ask(&program, "gone.example", "01").status, 502);
    let (request, attempts) = collector.request();
    let told = attributes(&request.attributes);
    assert_eq!(told["error.type"], "connection_refused");
    assert_eq!(told["http.response.status_code"], "502");
    assert_eq!(request.status.unwrap().code, 2);
    assert!(!attempts.is_empty());
    for attempt in attempts {
        assert_eq!(
            attributes(&attempt.attributes)["error.type"],
            "connection_refused"
        );
    }
}

/// Its status was good, and is not what the client got.
#[test]
fn a_response_that_breaks_off_is_an_error_of_both_spans() {
    let collector = Collector::start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            if read(&stream).is_some() {
                let half = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf";
                stream.write_all(half.as_bytes()).unwrap();
            }
        }
    });
    let manifests = Manifests::routing("shop.example", upstream);
    let program = Program::standalone_under(&collector.preparation(HEADERS), manifests.path());
    assert_eq!(ask(&program, "shop.example", "01").status, 200);
    let (request, attempts) = collector.request();
    for span in attempts.into_iter().chain([request]) {
        let told = attributes(&span.attributes);
        assert_eq!(told["error.type"], "body_incomplete");
        assert_eq!(told["http.response.status_code"], "200");
        assert_eq!(span.status.unwrap().code, 2);
    }
}

#[test]
fn what_its_sender_does_not_record_is_not_recorded_here_and_the_upstream_is_told() {
    let collector = Collector::start();
    let (upstream, heads) = listen(|_| true);
    let manifests = Manifests::routing("shop.example", upstream);
    let program = Program::standalone_under(&collector.preparation(HEADERS), manifests.path());
    assert_eq!(ask(&program, "shop.example", "00").status, 200);
    let (head, _) = heads.recv_timeout(PATIENCE).unwrap();
    let parent = field(&head, "traceparent").unwrap();
    assert!(
        parent.starts_with(&format!("00-{TRACE}-")) && parent.ends_with("-00"),
        "{parent}"
    );
    assert_eq!(ask(&program, "shop.example", "01").status, 200);
    let (request, _) = collector.request();
    assert_eq!(hex(&request.parent_span_id), PARENT);
    program.counted("bywash_trace_spans_made_total 2");
}

#[test]
fn without_an_endpoint_fields_pass_and_what_cannot_be_a_trace_does_not() {
    let (upstream, heads) = listen(|_| true);
    let manifests = Manifests::routing("shop.example", upstream);
    let program = Program::standalone(manifests.path(), &[]);
    for (flags, passes) in [("01", true), ("zz", false)] {
        assert_eq!(ask(&program, "shop.example", flags).status, 200);
        let (head, _) = heads.recv_timeout(PATIENCE).unwrap();
        let parent = format!("00-{TRACE}-{PARENT}-{flags}");
        assert_eq!(field(&head, "traceparent"), passes.then_some(&*parent));
        assert_eq!(field(&head, "tracestate"), passes.then_some("vendor=1"));
    }
    program.counted("bywash_trace_spans_made_total 0");
}

#[test]
fn the_last_spans_are_sent_before_the_program_ends() {
    let collector = Collector::start();
    let (upstream, _heads) = listen(|_| true);
    let manifests = Manifests::routing("shop.example", upstream);
    let preparation = collector.preparation(&format!(
        "{HEADERS} OTEL_BSP_SCHEDULE_DELAY=600000 OTEL_RESOURCE_ATTRIBUTES=service.name=edge"
    ));
    let program = Program::standalone_under(&preparation, manifests.path());
    assert_eq!(ask(&program, "shop.example", "01").status, 200);
    program.counted("bywash_trace_spans_made_total 2");
    program.signal("TERM");
    assert_eq!(program.ended().code(), Some(0));
    let (resource, spans) = collector.next();
    assert_eq!(spans.len(), 2);
    assert_eq!(resource["service.name"], "edge");
}

#[test]
fn a_protocol_that_is_not_spoken_is_told_at_once() {
    let said = say_under(
        "export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317 OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
        &["standalone", "/"],
    );
    assert_eq!(said.code, Some(2));
    assert!(
        said.stderr.contains("OTEL_EXPORTER_OTLP_PROTOCOL=grpc"),
        "{said:?}"
    );
    assert!(said.stderr.contains("http/protobuf"), "{said:?}");
}

#[test]
fn what_is_asked_for_and_not_offered_is_told_at_once() {
    for asked in [
        "OTEL_EXPORTER_OTLP_COMPRESSION=gzip",
        "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY=/key.pem",
        "OTEL_EXPORTER_OTLP_CERTIFICATE=/nonexistent.pem",
        "OTEL_TRACES_EXPORTER=zipkin",
    ] {
        let said = say_under(
            &format!("export OTEL_EXPORTER_OTLP_ENDPOINT=https://127.0.0.1:4318 {asked}"),
            &["standalone", "/"],
        );
        assert_eq!(said.code, Some(2), "{said:?}");
        assert!(said.stderr.contains(asked), "{said:?}");
    }
}
