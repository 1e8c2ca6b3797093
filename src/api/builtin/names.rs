//! Forms of names (`apimachinery/pkg/api/validate/content` and `pkg/util/validation` of Kubernetes).

use super::Advice;

/// The most bytes of a label of the DNS, and of one name in a qualified name.
const LABEL: usize = 63;

/// The most bytes of a DNS name.
const SUBDOMAIN: usize = 253;

/// The most bytes of a port's name where it stands for a number.
const PORT: usize = 15;

fn holds(condition: bool, advice: Advice) -> Result<(), Advice> {
    if condition { Ok(()) } else { Err(advice) }
}

fn is_inner(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

/// Of any length.
fn is_label(text: &str) -> bool {
    let ends_well = !text.starts_with('-') && !text.ends_with('-');
    !text.is_empty() && ends_well && text.bytes().all(is_inner)
}

fn is_subdomain(text: &str) -> bool {
    text.len() <= SUBDOMAIN && text.split('.').all(is_label)
}

/// A label of the DNS (RFC 1123).
pub(super) fn label(text: &str) -> Result<(), Advice> {
    holds(
        text.len() <= LABEL && is_label(text),
        "at most 63 lower-case letters, digits and '-', a letter or digit first and last",
    )
}

/// A DNS name.
pub(super) fn subdomain(text: &str) -> Result<(), Advice> {
    holds(
        is_subdomain(text),
        "a DNS name such as shop.example: at most 253 lower-case letters, digits, '-' and '.', with a \
         letter or digit first and last in each part",
    )
}

/// A host of an Ingress that holds a `*`.
pub(super) fn wildcard(text: &str) -> Result<(), Advice> {
    let parent = text.strip_prefix("*.");
    holds(
        text.len() <= SUBDOMAIN && parent.is_some_and(is_subdomain),
        "a wildcard such as *.shop.example: '*.' stands once, in front of a DNS name in lower case",
    )
}

/// A host of an Ingress or of its TLS.
pub(super) fn host(text: &str) -> Result<(), Advice> {
    match text.contains('*') {
        true => wildcard(text),
        false => subdomain(text),
    }
}

/// A DNS name of two labels or more; it may end with a dot.
pub(super) fn full_name(text: &str) -> Result<(), Advice> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let labels = || name.split('.');
    holds(
        is_subdomain(name) && labels().count() > 1 && labels().all(|it| it.len() <= LABEL),
        "a DNS name of two parts or more, such as cart.example",
    )
}

/// The name of a port that stands for a number (RFC 6335).
pub(super) fn port_name(text: &str) -> Result<(), Advice> {
    holds(
        text.len() <= PORT
            && is_label(text)
            && text.bytes().any(|it| it.is_ascii_lowercase())
            && !text.contains("--"),
        "the name of a port: at most 15 lower-case letters, digits and single '-', one letter at least, \
         no '-' first or last",
    )
}

/// Of labels, without their prefix: empty is none.
fn is_short(text: &str) -> bool {
    let ends_well = |at: Option<char>| at.is_some_and(|it| it.is_ascii_alphanumeric());
    let inner = |it: u8| it.is_ascii_alphanumeric() || b"-_.".contains(&it);
    text.len() <= LABEL
        && ends_well(text.chars().next())
        && ends_well(text.chars().next_back())
        && text.bytes().all(inner)
}

/// The key of a label and what else has that form: a name, which may have a DNS name in front.
pub(super) fn qualified(text: &str) -> Result<(), Advice> {
    let fits = match text.split_once('/') {
        None => is_short(text),
        Some((prefix, name)) => is_subdomain(prefix) && is_short(name),
    };
    holds(
        fits,
        "at most 63 letters, digits, '-', '_' and '.', a letter or digit first and last, which may have \
         a DNS name and '/' in front",
    )
}

/// The value of a label.
pub(super) fn label_value(text: &str) -> Result<(), Advice> {
    holds(
        text.is_empty() || is_short(text),
        "at most 63 letters, digits, '-', '_' and '.', a letter or digit first and last, or nothing",
    )
}

/// What can be a step of a URL.
pub(super) fn path_segment(text: &str) -> Result<(), Advice> {
    holds(
        !matches!(text, "." | "..") && !text.contains(['/', '%']),
        "a name without '/' and '%'",
    )
}
