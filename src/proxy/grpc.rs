//! What gRPC says in a request head
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).

use std::time::Duration;

use http::{HeaderMap, HeaderName, header};

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The time that the caller allows; absent where this is no gRPC call, or one without such a time.
pub(super) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(GRPC_TIMEOUT)?;
    let content = headers.get(header::CONTENT_TYPE)?.as_bytes();
    if !content.starts_with(b"application/grpc") {
        return None;
    }
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
    fn what_is_no_time_of_a_grpc_call_is_none() {
        for text in ["", "S", "5", "5s", "-5S", "5.5S", "123456789S", "5 S"] {
            assert_eq!(read("application/grpc", text), None, "{text:?}");
        }
        assert_eq!(read("application/json", "5S"), None);
    }
}
