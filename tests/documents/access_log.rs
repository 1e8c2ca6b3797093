//! The access log is described whole.

use std::time::{Duration, SystemTime};

use bywash::failure::Cause;
use bywash::report::hint::Hint;
use bywash::report::outcome::{Attempt, Followed, Stop};
use bywash::telemetry::access_log::Record;

use super::super::{read, require_generated};

const DOCUMENT: &str = "docs/access-log.md";

#[test]
fn each_reason_why_nothing_followed_is_in_the_table() {
    let mut table = String::from("| reason | what it means |\n|---|---|\n");
    for stop in Stop::ALL {
        table.push_str(&format!("| `{}` | {} |\n", stop.label(), stop.sentence()));
    }
    require_generated(DOCUMENT, &table);
}

#[test]
fn each_field_of_a_line_is_described() {
    let attempts = [Attempt {
        endpoint: Some(([10, 244, 0, 7], 8080).into()),
        pod: Some("cart-0".into()),
        cause: Some(Cause::TlsCertificate),
        status: Some(503),
        started: Duration::from_secs(1),
        connected: Some(Duration::ZERO),
        duration: Duration::ZERO,
        sent: 0,
        received: 0,
        detail: Some("as seen from here".into()),
        hint: Some(Box::new(Hint::UnknownIssuer)),
        next: Followed::Nothing(Stop::Attempts),
        fallback: true,
    }];
    let line = serde_json::to_value(Record {
        time: SystemTime::UNIX_EPOCH,
        id: "",
        client: [192, 0, 2, 7].into(),
        method: "GET",
        host: Some(""),
        path: "/",
        query: Some(""),
        protocol: "HTTP/2",
        tls: Some(""),
        server_name: Some(""),
        status: 503,
        cause: Some(Cause::TlsCertificate),
        bytes_received: 0,
        bytes_sent: 0,
        duration: Duration::ZERO,
        body: Some(Duration::ZERO),
        ingress_namespace: Some(""),
        ingress: Some(""),
        service_namespace: Some(""),
        service: Some(""),
        upstream: Some(""),
        policies: &["shop/patient".into()],
        fallback: true,
        user_agent: Some(""),
        attempts: &attempts,
    });
    let line = line.unwrap();
    let document = read(DOCUMENT);
    let fields = line.as_object().unwrap().keys();
    for field in fields.chain(line["attempts"][0].as_object().unwrap().keys()) {
        let row = |row: &str| row.starts_with("| `") && row.contains(&format!("`{field}`"));
        assert!(document.lines().any(row), "{field} is not described");
    }
}
