//! The canonical path: what is matched is what is forwarded.
//!
//! A gateway that matches one reading of a path and forwards another lets a client reach what no
//! rule allows. So there is one reading (RFC 3986 section 6.2.2): dot segments are removed, also
//! those written with percent-encoded dots; escapes of unreserved characters are decoded, the others
//! get upper-case digits. What no URI may hold as it is (spaces, control characters, anything but
//! ASCII) is escaped, so that a rule written `/café` is the one that clients ask for. An encoded slash
//! or backslash stays encoded, double slashes stay, the query is not touched. A NUL, a backslash, a
//! broken escape or a path that climbs above the root is refused.

use std::borrow::Cow;

#[cfg(test)]
mod properties;

/// Why a path has no canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPath {
    /// It does not begin with a slash.
    #[error("a path begins with '/'")]
    Relative,
    /// A byte that never belongs there: NUL, or a backslash, encoded NUL included.
    #[error("a path holds no NUL and no backslash")]
    Forbidden,
    /// `%` without two hexadecimal digits.
    #[error("'%' must be followed by two hexadecimal digits")]
    Escape,
    /// More `..` than segments before them.
    #[error("the path climbs above the root")]
    AboveRoot,
}

/// The canonical form of a path (without query); borrowed when it is canonical already.
///
/// # Errors
/// When the path has none.
pub fn canonical_path(path: &str) -> Result<Cow<'_, str>, InvalidPath> {
    if !path.starts_with('/') {
        return Err(InvalidPath::Relative);
    }
    let decoded = normalize_escapes(path)?;
    if !has_dot_segment(&decoded) {
        return Ok(decoded);
    }
    remove_dot_segments(&decoded).map(Cow::Owned)
}

fn has_dot_segment(path: &str) -> bool {
    path.contains("/.") && path.split('/').any(|s| s == "." || s == "..")
}

fn normalize_escapes(path: &str) -> Result<Cow<'_, str>, InvalidPath> {
    if path.bytes().any(|b| b == 0 || b == b'\\') {
        return Err(InvalidPath::Forbidden);
    }
    if path.bytes().all(|b| b != b'%' && b.is_ascii_graphic()) {
        return Ok(Cow::Borrowed(path));
    }
    let mut out = String::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'%' => {
                let (digits, after) = after.split_at_checked(2).ok_or(InvalidPath::Escape)?;
                rest = after;
                match escaped(digits).ok_or(InvalidPath::Escape)? {
                    0 => return Err(InvalidPath::Forbidden),
                    byte if is_unreserved(byte) => out.push(char::from(byte)),
                    byte => push_escape(&mut out, byte),
                }
            }
            byte if byte.is_ascii_graphic() => out.push(char::from(byte)),
            byte => push_escape(&mut out, byte),
        }
    }
    Ok(if out == path {
        Cow::Borrowed(path)
    } else {
        Cow::Owned(out)
    })
}

/// The byte that two hexadecimal digits stand for.
fn escaped(digits: &[u8]) -> Option<u8> {
    let digit = |b: u8| {
        char::from(b)
            .to_digit(16)
            .and_then(|it| u8::try_from(it).ok())
    };
    match *digits {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn push_escape(out: &mut String, byte: u8) {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    out.push('%');
    out.push(DIGITS[usize::from(byte >> 4)]);
    out.push(DIGITS[usize::from(byte & 15)]);
}

/// RFC 3986 section 5.2.4, but refusing to climb above the root.
fn remove_dot_segments(path: &str) -> Result<String, InvalidPath> {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => {
                kept.pop().ok_or(InvalidPath::AboveRoot)?;
            }
            other => {
                kept.push(other);
                continue;
            }
        }
        if last {
            kept.push("");
        }
    }
    Ok(kept
        .iter()
        .fold(String::with_capacity(path.len()), |out, segment| {
            out + "/" + segment
        }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(path: &str) -> Result<String, InvalidPath> {
        canonical_path(path).map(Cow::into_owned)
    }

    #[test]
    fn dot_segments_are_removed_in_every_spelling() {
        assert_eq!(canonical("/a/./b/../c").as_deref(), Ok("/a/c"));
        assert_eq!(canonical("/a/%2e%2E/b").as_deref(), Ok("/b"));
        assert_eq!(canonical("/a/.%2e").as_deref(), Ok("/"));
        assert_eq!(canonical("/a/b/.").as_deref(), Ok("/a/b/"));
        assert_eq!(canonical("/.well-known/x").as_deref(), Ok("/.well-known/x"));
    }

    #[test]
    fn unreserved_characters_are_decoded_and_other_escapes_get_upper_case() {
        assert_eq!(canonical("/%61%7e%2d").as_deref(), Ok("/a~-"));
        assert_eq!(canonical("/caf%c3%a9").as_deref(), Ok("/caf%C3%A9"));
    }

    #[test]
    fn what_no_uri_may_hold_is_escaped() {
        assert_eq!(canonical("/café").as_deref(), Ok("/caf%C3%A9"));
        assert_eq!(canonical("/a b\t").as_deref(), Ok("/a%20b%09"));
        assert_eq!(canonical("/a%20b").as_deref(), Ok("/a%20b"));
        assert_eq!(canonical("/a|b{c}").as_deref(), Ok("/a|b{c}"));
    }

    #[test]
    fn encoded_slashes_and_backslashes_stay_encoded_and_double_slashes_stay() {
        assert_eq!(canonical("/a%2fb%5cc").as_deref(), Ok("/a%2Fb%5Cc"));
        assert_eq!(canonical("/a//b").as_deref(), Ok("/a//b"));
        assert_eq!(canonical("//").as_deref(), Ok("//"));
    }

    #[test]
    fn what_has_no_safe_reading_is_refused() {
        assert_eq!(canonical("/../a"), Err(InvalidPath::AboveRoot));
        assert_eq!(canonical("/a/%2e%2e/.."), Err(InvalidPath::AboveRoot));
        assert_eq!(canonical("/%00"), Err(InvalidPath::Forbidden));
        assert_eq!(canonical("/a\\b"), Err(InvalidPath::Forbidden));
        assert_eq!(canonical("/%zz"), Err(InvalidPath::Escape));
        assert_eq!(canonical("/%4"), Err(InvalidPath::Escape));
        assert_eq!(canonical("/%é"), Err(InvalidPath::Escape));
        assert_eq!(canonical("*"), Err(InvalidPath::Relative));
    }
}
