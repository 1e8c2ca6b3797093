//! The spans of a request that has ended, by the semantic conventions for HTTP
//! (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>).

use std::net::IpAddr;
use std::time::SystemTime;

use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks, SpanProcessor};

use crate::report::outcome::{Attempt, Followed, Outcome};

use super::context::Position;
use super::{Open, Traced, Traces};

/// What an outcome does not tell of a request.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Who sent it.
    pub client: IpAddr,
    /// `1.1`, `2`.
    pub version: &'static str,
    /// Whether over TLS.
    pub tls: bool,
    /// `User-Agent`, where it is printable.
    pub user_agent: Option<&'a str>,
}

impl Traces {
    /// Leaves the spans of a request that has ended; `outcome` may be without its attempts.
    pub fn end(&self, traced: Traced, outcome: &Outcome, attempts: &[Attempt], seen: Seen<'_>) {
        let Some(open) = self.0.as_deref() else {
            return;
        };
        for (index, attempt) in attempts.iter().enumerate() {
            if attempt.endpoint.is_some() {
                open.leave(of_attempt((traced, index), outcome, attempt));
            }
        }
        open.leave(of_request(traced, outcome, seen));
    }
}

/// A span before it gets what all have.
struct Draft {
    position: Position,
    parent: Option<u64>,
    remote: bool,
    kind: SpanKind,
    name: String,
    start: SystemTime,
    end: SystemTime,
    attributes: Vec<KeyValue>,
    failed: bool,
}

impl Open {
    fn leave(&self, draft: Draft) {
        self.metrics.spans().made();
        let Position { trace, span, .. } = draft.position;
        self.processor.on_end(SpanData {
            span_context: SpanContext::new(
                TraceId::from(trace),
                SpanId::from(span),
                TraceFlags::SAMPLED,
                false,
                TraceState::NONE,
            ),
            parent_span_id: draft.parent.map_or(SpanId::INVALID, SpanId::from),
            parent_span_is_remote: draft.remote,
            span_kind: draft.kind,
            name: draft.name.into(),
            start_time: draft.start,
            end_time: draft.end,
            attributes: draft.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: match draft.failed {
                true => Status::error(""),
                false => Status::Unset,
            },
            instrumentation_scope: self.scope.clone(),
        });
    }
}

fn of_request(traced: Traced, outcome: &Outcome, seen: Seen<'_>) -> Draft {
    let mut attributes = Vec::with_capacity(16);
    let mut add = |name, value: Value| attributes.push(KeyValue::new(name, value));
    add_method(&outcome.method, &mut add);
    add("url.path", text(&outcome.path));
    add("url.scheme", if seen.tls { "https" } else { "http" }.into());
    if !outcome.host.is_empty() {
        add("server.address", text(&outcome.host));
    }
    add("client.address", seen.client.to_string().into());
    add("network.protocol.version", seen.version.into());
    if let Some(agent) = seen.user_agent {
        add("user_agent.original", text(agent));
    }
    if outcome.status > 0 {
        add(
            "http.response.status_code",
            i64::from(outcome.status).into(),
        );
    }
    if let Some(cause) = outcome.cause {
        add("error.type", cause.label().into());
    } else if outcome.status >= 500 {
        add("error.type", outcome.status.to_string().into());
    }
    if let Some(ingress) = &outcome.ingress {
        add("k8s.namespace.name", text(&ingress.namespace));
        add("bywash.ingress", text(&ingress.name));
    }
    if let Some(upstream) = &outcome.upstream {
        add("bywash.upstream", upstream.to_string().into());
    }
    if outcome.fallback {
        add("bywash.fallback", true.into());
    }
    add("bywash.request_id", text(&outcome.request_id));
    let method = known_method(&outcome.method).unwrap_or("HTTP");
    let name = match &outcome.ingress {
        Some(ingress) => format!("{method} {}/{}", ingress.namespace, ingress.name),
        None => method.to_owned(),
    };
    Draft {
        position: traced.position,
        parent: traced.parent,
        remote: traced.parent.is_some(),
        kind: SpanKind::Server,
        name,
        start: outcome.time,
        end: outcome.time + outcome.duration,
        attributes,
        // What is the client's fault is none of the server's; an answer may break off after a good status.
        failed: outcome.status >= 500 || outcome.has_failed(),
    }
}

fn of_attempt((traced, index): (Traced, usize), outcome: &Outcome, attempt: &Attempt) -> Draft {
    let mut attributes = Vec::with_capacity(12);
    let mut add = |name, value: Value| attributes.push(KeyValue::new(name, value));
    add_method(&outcome.method, &mut add);
    add("url.path", text(&outcome.path));
    if let Some(endpoint) = attempt.endpoint {
        let address = endpoint.ip().to_string();
        add("server.address", address.clone().into());
        add("server.port", i64::from(endpoint.port()).into());
        add("network.peer.address", address.into());
        add("network.peer.port", i64::from(endpoint.port()).into());
    }
    if let Some(pod) = &attempt.pod {
        add("k8s.pod.name", text(pod));
    }
    if index > 0 {
        let count = i64::try_from(index).unwrap_or(i64::MAX);
        add("http.request.resend_count", count.into());
    }
    if let Some(status) = attempt.status {
        add("http.response.status_code", i64::from(status).into());
    }
    let status = attempt.status.filter(|status| *status >= 400);
    if let Some(cause) = attempt.cause {
        add("error.type", cause.label().into());
    } else if let Some(status) = status {
        add("error.type", status.to_string().into());
    }
    if let Followed::Nothing(stop) = attempt.next {
        add("bywash.no_retry_because", stop.label().into());
    }
    if attempt.fallback {
        add("bywash.fallback", true.into());
    }
    let start = outcome.time + attempt.started;
    Draft {
        position: traced.attempt(index),
        parent: Some(traced.position.span),
        remote: false,
        kind: SpanKind::Client,
        name: known_method(&outcome.method).unwrap_or("HTTP").to_owned(),
        start,
        end: start + attempt.duration,
        attributes,
        failed: attempt.cause.is_some() || status.is_some(),
    }
}

/// The methods of RFC 9110 section 9 and RFC 5789. Any other is a value that strangers choose: the conventions
/// keep it out of what spans are grouped by.
fn known_method(method: &str) -> Option<&'static str> {
    const KNOWN: [&str; 9] = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
    ];
    KNOWN.into_iter().find(|known| *known == method)
}

fn add_method(method: &str, add: &mut impl FnMut(&'static str, Value)) {
    match known_method(method) {
        Some(known) => add("http.request.method", known.into()),
        None => {
            add("http.request.method", "_OTHER".into());
            add("http.request.method_original", text(method));
        }
    }
}

fn text(text: &str) -> Value {
    text.to_owned().into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn drafts(method: &str) -> [Draft; 2] {
        let traced = Traced {
            position: Position {
                trace: 7,
                span: 9,
                sampled: true,
            },
            parent: None,
            seed: 1,
        };
        let outcome = Outcome {
            request_id: "01J".into(),
            time: SystemTime::UNIX_EPOCH,
            method: method.into(),
            host: "shop.example".into(),
            path: "/".into(),
            ingress: None,
            upstream: None,
            status: 200,
            cause: None,
            fallback: false,
            bytes_received: 0,
            bytes_sent: 0,
            attempts: Vec::new(),
            duration: Duration::ZERO,
        };
        let seen = Seen {
            client: [192, 0, 2, 7].into(),
            version: "1.1",
            tls: false,
            user_agent: None,
        };
        let attempt = Attempt::default();
        [
            of_request(traced, &outcome, seen),
            of_attempt((traced, 0), &outcome, &attempt),
        ]
    }

    fn attribute(draft: &Draft, name: &str) -> Option<String> {
        let mut found = draft.attributes.iter();
        let found = found.find(|it| it.key.as_str() == name)?;
        Some(found.value.to_string())
    }

    #[test]
    fn a_method_that_is_none_of_https_own_names_no_span() {
        for (method, named, original, name) in [
            ("PATCH", "PATCH", None, "PATCH"),
            ("PROPFIND", "_OTHER", Some("PROPFIND"), "HTTP"),
            ("get", "_OTHER", Some("get"), "HTTP"),
        ] {
            for draft in drafts(method) {
                let told = attribute(&draft, "http.request.method");
                assert_eq!(told.as_deref(), Some(named));
                let told = attribute(&draft, "http.request.method_original");
                assert_eq!(told.as_deref(), original);
                assert_eq!(draft.name.split(' ').next(), Some(name));
            }
        }
    }
}
