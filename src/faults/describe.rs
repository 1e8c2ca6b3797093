//! The working backend: says what reached it.

use serde_json::json;

use super::request::{Head, Rest};
use super::websocket;

/// An answer that describes the request; its body is one line of JSON.
pub(super) fn answer(backend: &str, head: &Head, rest: &Rest) -> String {
    let body = json!({
        "backend": backend,
        "method": head.method,
        "target": head.target,
        "version": head.version,
        "headers": head.fields,
        "body_bytes": rest.body_bytes,
        "trailers": rest.trailers,
    });
    let body = format!("{body}\n");
    let length = body.len();
    let close = if head.closes() {
        "connection: close\r\n"
    } else {
        ""
    };
    let body = if head.method == "HEAD" { "" } else { &body };
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{close}\r\n{body}"
    )
}

/// The answer to a request for an upgrade, which is granted whatever it names.
pub(super) fn upgrade(head: &Head) -> Option<String> {
    let protocol = head.field("upgrade")?;
    let asked = head.field("connection")?.to_ascii_lowercase();
    let agreed = match websocket::is_asked_for(head) {
        true => websocket::agreed(head),
        false => String::new(),
    };
    asked.contains("upgrade").then(|| {
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: {protocol}\r\n{agreed}\r\n"
        )
    })
}
