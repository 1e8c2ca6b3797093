//! What of a spec can be read: said to whoever wrote something else, where no API server refused it.
//!
//! What a section holds is looked at by translation. Here it is asked only whether it is of its form at
//! all, so that reading it cannot fail.

use std::sync::LazyLock;

use serde_json::Value;

use crate::api::crd;
use crate::api::policy::QUOTE_ON;

use super::{Fault, Found, Patterns, taken, walk, words};

/// Of the spec.
static SPEC: LazyLock<Value> = LazyLock::new(|| {
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
    let mut definition = crd::definition();
    let spec = definition.pointer_mut(spec).map(Value::take);
    spec.unwrap_or_default()
});

/// A field of the spec as it is taken.
///
/// # Errors
/// If something in it is not of its form: a sentence about the first such thing, with what to write instead.
pub(in crate::api) fn read(field: &str, written: &Value) -> Result<Value, String> {
    let schema = &SPEC["properties"][field];
    let taken = taken(schema, written);
    let mut first = None;
    walk(schema, &taken, &Patterns::default(), &mut |found| {
        if first.is_none() && !is_of_form(&found) {
            first = Some(not_of_form(&found));
        }
    });
    first.map_or(Ok(taken), Err)
}

/// The fields of a spec that are not known: a sentence each.
pub(in crate::api) fn unknown(spec: &Value) -> Vec<String> {
    let mut sentences = Vec::new();
    walk(&SPEC, spec, &Patterns::default(), &mut |found| {
        if let Fault::Unknown(name) = found.fault {
            sentences.push(not_known(&found, name));
        }
    });
    sentences
}

/// Whether it can be read all the same.
fn is_of_form(found: &Found<'_>) -> bool {
    match found.fault {
        Fault::Kind | Fault::Missing(_) => false,
        // No field holds more.
        Fault::Range => {
            let number = found.written.as_i64();
            number.is_some_and(|it| i32::try_from(it).is_ok())
        }
        Fault::Pattern | Fault::Length | Fault::Items | Fault::Twice | Fault::Unknown(_) => true,
    }
}

fn not_of_form(found: &Found<'_>) -> String {
    let field = words::field(found.pointer);
    let subject = if field.is_empty() { "it" } else { &field };
    let wanted = words::wanted(found.schema);
    match found.fault {
        Fault::Missing(_) => format!("{subject} is missing: write {wanted}"),
        _ => {
            let written = words::written(found.written);
            format!("{subject} is {written}: write {wanted}")
        }
    }
}

fn not_known(found: &Found<'_>, name: &str) -> String {
    let field = words::field(found.pointer);
    let known = words::known(found.schema);
    match words::meant(name, &known) {
        _ if words::is_bare_on(name, &known) => {
            format!("{field} is not known and has no effect: {QUOTE_ON}")
        }
        Some(meant) => {
            format!("{field} is not known and has no effect: write {meant}, or remove it")
        }
        None if known.is_empty() => format!("{field} is not known and has no effect: remove it"),
        None => {
            let known = known.join(", ");
            format!("{field} is not known and has no effect: remove it; known there: {known}")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_of_its_form_is_told_with_what_to_write() {
        let cases = [
            (
                "timeouts",
                json!({"request": 5}),
                "request is the number 5: write a duration such as 500ms, 10s or 1h30m",
            ),
            (
                "timeouts",
                json!("5s"),
                "it is the text '5s': write an object with fields of connect, read, request, send, tunnel",
            ),
            (
                "retry",
                json!({"budget": {"percent": "20"}}),
                "budget.percent is the text '20': write a number from 0 to 100",
            ),
            (
                "retry",
                json!({"bufferBytes": 1.5}),
                "bufferBytes is the number 1.5: write a quantity of bytes such as 65536, 64Ki or 1Mi",
            ),
            (
                "retry",
                json!({"on": ["reset", 502]}),
                "on[1] is the number 502: write a text in quotes that matches ^(connect-failure|reset|refused-stream|timeout|invalid-response|http-(429|5[0-9][0-9]))$",
            ),
            (
                "loadBalancing",
                json!({"algorithm": "Roundrobin"}),
                "algorithm is the text 'Roundrobin': write one of PeakEwma, RoundRobin, LeastRequest, Random, ConsistentHash",
            ),
            ("healthCheck", json!({"tcp": true}), "tcp is true: write {}"),
            (
                "fallback",
                json!({"service": {"name": "web"}}),
                "service.port is missing: write an object with fields of name, number",
            ),
            (
                "bypass",
                json!([{"path": "/a"}, "/b"]),
                "[1] is the text '/b': write an object with fields of path",
            ),
            (
                "panicThreshold",
                json!(4_294_967_296_i64),
                "it is the number 4294967296: write a number from 0 to 100",
            ),
            (
                "tlsRedirect",
                json!([]),
                "it is a list: write true or false",
            ),
            (
                "proxyStatus",
                json!(false),
                "it is false: write one of \"Off\" (in quotation marks), Cause, Full",
            ),
        ];
        for (section, written, expected) in cases {
            assert_eq!(read(section, &written), Err(expected.to_owned()));
        }
    }

    #[test]
    fn what_is_of_its_form_has_no_fault_whatever_it_holds() {
        let cases = [
            ("timeouts", json!({"request": "no duration", "send": null})),
            (
                "retry",
                json!({"attempts": 99, "bufferBytes": 65536, "elsewhere": 1}),
            ),
            ("healthCheck", json!({"tcp": {}})),
            ("bypass", json!(vec![json!({"path": ""}); 100])),
        ];
        for (section, written) in cases {
            assert!(read(section, &written).is_ok(), "{section}");
        }
    }

    #[test]
    fn what_is_read_is_what_the_api_server_would_have_stored() {
        let written = json!({"attempts": 3.0, "within": null, "budget": {"percent": 20.0}});
        let stored = json!({"attempts": 3, "budget": {"percent": 20}});
        assert_eq!(read("retry", &written), Ok(stored));
    }

    /// A rule is about it, and CEL takes only integers for integers.
    #[test]
    fn the_number_of_a_port_is_written_without_a_fraction() {
        let to = |number: Value| {
            let port = json!({"number": number});
            json!({"service": {"name": "web", "port": port}})
        };
        assert!(read("fallback", &to(json!(3))).is_ok());
        assert!(read("fallback", &to(json!(3.0))).is_err());
    }

    #[test]
    fn a_threshold_may_be_written_with_a_fraction_of_nothing() {
        let written = json!({"tcp": {}, "healthyThreshold": 3.0});
        let stored = json!({"tcp": {}, "healthyThreshold": 3});
        assert_eq!(read("healthCheck", &written), Ok(stored));
    }

    #[test]
    fn a_long_text_is_not_repeated_as_a_whole() {
        let told = read("timeouts", &json!("x".repeat(1000))).unwrap_err();
        assert!(told.len() < 200, "{told}");
    }

    #[test]
    fn an_unknown_field_is_told_with_the_one_that_is_meant_or_those_that_there_are() {
        let spec = json!({
            "retries": {"attempts": 2},
            "retry": {"true": ["reset"]},
            "timeouts": {"requests": "5s"},
            "bypass": [{"path": "/health", "pathType": "Prefix"}],
            "healthCheck": {"tcp": {"port": 80}},
            "slowStart": {"quux": 1, "window": "5s"},
        });
        let told = unknown(&spec);
        let expected = [
            "bypass[0].pathType is not known and has no effect: write path, or remove it",
            "healthCheck.tcp.port is not known and has no effect: remove it",
            "retries is not known and has no effect: write retry, or remove it",
            "retry.true is not known and has no effect: write \"on\" in quotation marks, since many YAML readers, kubectl's among them, take the bare word for true",
            "slowStart.quux is not known and has no effect: remove it; known there: window",
            "timeouts.requests is not known and has no effect: write request, or remove it",
        ];
        assert_eq!(told, expected);
    }
}
