//! What holds for every path.

use proptest::prelude::*;
use proptest::sample::select;

use super::{InvalidPath, canonical_path};
use crate::routing::path::{PathKind, PathRule};

/// Text in which everything that matters here is likely.
fn raw() -> impl Strategy<Value = String> {
    let piece = select(vec![
        "/", "/", "/", ".", "..", "%2e", "%2E", "%2f", "%5C", "%", "%4", "%41", "%00", "%25",
        "%7e", "a", "b~", "\\", "é", " ", ";", "//", "%c3%a9", "\u{1}",
    ]);
    prop_oneof![
        3 => prop::collection::vec(piece, 0..12).prop_map(|pieces| format!("/{}", pieces.concat())),
        1 => ".*",
    ]
}

/// A path that is canonical already.
fn canonical() -> impl Strategy<Value = String> {
    let segment = "([a-z~.]{0,3}[a-z_-]|%2F|%5C|%C3%A9|[0-9]{1,3}|)";
    prop::collection::vec(segment, 1..6).prop_map(|segments| format!("/{}", segments.join("/")))
}

/// Another spelling of a canonical path: some characters escaped, and detours over dot segments.
fn spelled(path: &str, choices: &[u8]) -> String {
    let mut choices = choices.iter().copied().cycle();
    let mut out = String::new();
    let mut escape = 0;
    for c in path.chars() {
        let choice = choices.next().unwrap_or_default();
        match c {
            '%' => escape = 3,
            '/' if choice & 1 == 1 => out.push_str("/."),
            '/' if choice & 2 == 2 => out.push_str("/x%2f/%2E."),
            _ => {}
        }
        if escape > 0 {
            escape -= 1;
            out.push(if choice & 1 == 1 {
                c.to_ascii_lowercase()
            } else {
                c
            });
        } else if c != '/' && choice & 1 == 1 {
            let digits = format!("%{:02x}", u32::from(c));
            let upper = choice & 2 == 2;
            out.push_str(&if upper {
                digits.to_ascii_uppercase()
            } else {
                digits
            });
        } else {
            out.push(c);
        }
    }
    out
}

/// RFC 3986 section 5.2.4 as it stands there, with an input and an output buffer.
fn remove_dot_segments(path: &str) -> String {
    let mut input = path.to_owned();
    let mut output = String::new();
    while !input.is_empty() {
        if input.starts_with("/./") || input == "/." {
            input = format!("/{}", input.get(3..).unwrap_or_default());
        } else if input.starts_with("/../") || input == "/.." {
            input = format!("/{}", input.get(4..).unwrap_or_default());
            output.truncate(output.rfind('/').unwrap_or_default());
        } else {
            let end = input[1..].find('/').map_or(input.len(), |at| at + 1);
            output.push_str(&input[..end]);
            input = input[end..].to_owned();
        }
    }
    output
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn a_canonical_path_is_its_own_canonical_form(path in raw()) {
        if let Ok(once) = canonical_path(&path) {
            prop_assert_eq!(canonical_path(&once), Ok(once.clone()));
        }
    }

    #[test]
    fn a_canonical_path_is_a_path_of_a_uri_without_dot_segments(path in raw()) {
        let Ok(canonical) = canonical_path(&path) else { return Ok(()) };
        prop_assert!(canonical.starts_with('/'));
        prop_assert!(canonical.bytes().all(|b| b.is_ascii_graphic() && b != b'\\'));
        prop_assert!(canonical.split('/').all(|segment| segment != "." && segment != ".."));
        for after in canonical.split('%').skip(1) {
            let digits = after.get(..2).unwrap_or_default();
            let byte = u8::from_str_radix(digits, 16);
            prop_assert_eq!(digits.to_ascii_uppercase(), digits);
            prop_assert!(byte.is_ok_and(|b| b != 0 && !b.is_ascii_alphanumeric()), "{}", digits);
            prop_assert!(!["2D", "2E", "5F", "7E"].contains(&digits), "{}", digits);
        }
    }

    #[test]
    fn every_spelling_of_a_path_has_one_reading(
        path in canonical(),
        choices in prop::collection::vec(any::<u8>(), 1..32),
    ) {
        let spelled = spelled(&path, &choices);
        let read = canonical_path(&spelled);
        prop_assert_eq!(read.as_deref(), Ok(path.as_str()), "{}", spelled);
    }

    #[test]
    fn dot_segments_are_removed_as_in_rfc_3986(path in "(/(a|b|\\.|\\.\\.|\\.\\.\\.|))*") {
        match canonical_path(&path) {
            Ok(canonical) => prop_assert_eq!(&*canonical, remove_dot_segments(&path)),
            Err(InvalidPath::Relative) => prop_assert!(path.is_empty()),
            Err(error) => {
                prop_assert_eq!(error, InvalidPath::AboveRoot);
                let mut depth = 0;
                let climbs = path.split('/').skip(1).any(|segment| {
                    depth += match segment { "." => 0, ".." => -1, _ => 1 };
                    depth < 0
                });
                prop_assert!(climbs);
            }
        }
    }

    #[test]
    fn what_is_matched_is_what_is_forwarded(path in raw(), rule in canonical()) {
        let Ok(forwarded) = canonical_path(&path) else { return Ok(()) };
        let rule = PathRule::new(PathKind::Prefix, &rule);
        let upstream_reads = remove_dot_segments(&forwarded);
        prop_assert_eq!(rule.matches(&forwarded), rule.matches(&upstream_reads));
    }
}
