//! The versions that Kubernetes gives objects.

use std::cmp::Ordering;

/// Whether a `resourceVersion` is this one or a later one: versions are numbers without a bound that grow
/// (<https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions>); those that
/// are not can only be the same.
pub fn is_at_least(known: &str, wanted: &str) -> bool {
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(known) || !is_number(wanted) {
        return known == wanted;
    }
    let by_length = known.len().cmp(&wanted.len());
    by_length.then_with(|| known.cmp(wanted)) != Ordering::Less
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_version_is_as_good_as_the_one_asked_for() {
        for (known, wanted, met) in [
            ("7", "7", true),
            ("10", "9", true),
            ("9", "10", false),
            ("99999999999999999999999", "100000000000000000000000", false),
            ("a", "b", false),
            ("a", "a", true),
        ] {
            assert_eq!(is_at_least(known, wanted), met, "{known} {wanted}");
        }
    }
}
