//! The canonical path: what is matched is what is forwarded.
//!
//! A gateway that matches one reading of a path and forwards another lets a client reach what no
//! rule allows. So there is one reading (RFC 3986 section 6.2.2): dot segments are removed, also
//! those written with percent-encoded dots; escapes of unreserved characters are decoded, the others
//! get upper-case digits. An encoded slash or backslash stays encoded, double slashes stay, the
//! query is not touched. A NUL, a backslash, a broken escape or a path that climbs above the root is
//! refused.

use std::borrow::Cow;

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
    if !path.contains('%') {
        return Ok(Cow::Borrowed(path));
    }
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let digits = after
            .get(..2)
            .filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let digits = digits.ok_or(InvalidPath::Escape)?;
        let byte = u8::from_str_radix(digits, 16).map_err(|_| InvalidPath::Escape)?;
        match byte {
            0 => return Err(InvalidPath::Forbidden),
            b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            _ => {
                out.push('%');
                out.push_str(&digits.to_ascii_uppercase());
            }
        }
        rest = &after[2..];
    }
    out.push_str(rest);
    Ok(if out == path {
        Cow::Borrowed(path)
    } else {
        Cow::Owned(out)
    })
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
