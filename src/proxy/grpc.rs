//! What gRPC says in heads: the caller's time, and how a call failed
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Whether a request is a gRPC call.
pub(super) fn is_call(headers: &HeaderMap) -> bool {
    let content = headers.get(header::CONTENT_TYPE);
    content.is_some_and(|content| content.as_bytes().starts_with(b"application/grpc"))
}

/// Says in a response head without a body ("Trailers-Only") how a call failed, by what would be its
/// status in HTTP.
pub(super) fn fail(fields: &mut HeaderMap, status: u16, message: &str) {
    let code = match status {
        504 => "4",              // DEADLINE_EXCEEDED
        404 => "12",             // UNIMPLEMENTED
        400 | 500 => "13",       // INTERNAL
        429 | 502 | 503 => "14", // UNAVAILABLE
        _ => "2",                // UNKNOWN
    };
    fields.insert(GRPC_STATUS, HeaderValue::from_static(code));
    if let Ok(message) = HeaderValue::try_from(percent_encoded(message)) {
        fields.insert(GRPC_MESSAGE, message);
    }
}

/// Everything but what is printable in ASCII, and `%` itself.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// The time that the caller allows; absent where this is no gRPC call, or one without such a time.
pub(super) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    if !is_call(headers) {
        return None;
    }
    let value = headers.get(GRPC_TIMEOUT)?;
    let (unit, digits) = value.as_bytes().split_last()?;
    // At most eight digits, so that hours fit easily.
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &str, timeout_value: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, content.parse().unwrap());
        headers.insert(GRPC_TIMEOUT, timeout_value.parse().unwrap());
        timeout(&headers)
    }

    #[test]
    fn the_callers_time_is_a_number_and_a_unit() {
        for (text, time) in [
            ("2H", Duration::from_secs(7200)),
            ("3M", Duration::from_secs(180)),
            ("99999999S", Duration::from_secs(99_999_999)),
            ("250m", Duration::from_millis(250)),
            ("10u", Duration::from_micros(10)),
            ("7n", Duration::from_nanos(7)),
        ] {
            assert_eq!(read("application/grpc+proto", text), Some(time), "{text}");
        }
    }

    #[test]
    fn a_call_fails_with_a_status_of_grpc_and_a_message() {
        let code = |status| {
            let mut fields = HeaderMap::new();
            fail(&mut fields, status, "50 % – no");
            assert_eq!(fields[GRPC_MESSAGE], "50 %25 %E2%80%93 no");
            fields[GRPC_STATUS].to_str().unwrap().to_owned()
        };
        assert_eq!([502, 503, 504].map(code), ["14", "14", "4"]);
        assert_eq!([404, 500, 501].map(code), ["12", "13", "2"]);
    }

    #[test]
    fn what_is_no_time_of_a_grpc_call_is_none() {
        for text in ["", "S", "5", "5s", "-5S", "5.5S", "123456789S", "5 S"] {
            assert_eq!(read("application/grpc", text), None, "{text:?}");
        }
        assert_eq!(read("application/json", "5S"), None);
    }
}
