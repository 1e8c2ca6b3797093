//! Path rules of an Ingress and their precedence.
//!
//! <https://kubernetes.io/docs/concepts/services-networking/ingress/#path-types>

use std::cmp::Reverse;

/// How a rule's path is compared; `ImplementationSpecific` is [`Prefix`](Self::Prefix) here.
///
/// The order is the precedence among equal paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathKind {
    /// The whole path, byte by byte.
    Exact,
    /// Element by element: `/a` matches `/a`, `/a/` and `/a/b`, but not `/ab`.
    Prefix,
}

/// The path of a rule, in canonical form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathRule {
    kind: PathKind,
    /// For `Prefix` without its trailing slash, so that `/` is the empty text.
    path: Box<str>,
}

impl PathRule {
    /// A rule for a canonical path (see [`canonical`](super::canonical)).
    pub fn new(kind: PathKind, path: &str) -> Self {
        let path = match kind {
            PathKind::Exact => path,
            PathKind::Prefix => path.strip_suffix('/').unwrap_or(path),
        };
        Self {
            kind,
            path: path.into(),
        }
    }

    /// How the path is compared.
    pub fn kind(&self) -> PathKind {
        self.kind
    }

    /// The path as a rule would have it.
    pub fn path(&self) -> &str {
        if self.path.is_empty() {
            "/"
        } else {
            &self.path
        }
    }

    /// The path as it is compared: that of a prefix without its trailing slash.
    pub(super) fn stem(&self) -> &str {
        &self.path
    }

    /// Whether a canonical request path falls under the rule.
    pub fn matches(&self, path: &str) -> bool {
        match self.kind {
            PathKind::Exact => *path == *self.path,
            PathKind::Prefix => path
                .strip_prefix(&*self.path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        }
    }

    /// Exact rules first, then the longest prefix.
    fn precedence(&self) -> (PathKind, Reverse<usize>, &str) {
        (self.kind, Reverse(self.path.len()), &self.path)
    }
}

impl Ord for PathRule {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.precedence().cmp(&other.precedence())
    }
}

impl PartialOrd for PathRule {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PathKind::{Exact, Prefix};

    /// The single-rule rows of
    /// <https://kubernetes.io/docs/concepts/services-networking/ingress/#examples>.
    #[test]
    fn a_path_matches_as_the_table_of_kubernetes_says() {
        for (kind, rule, path, matches) in [
            (Prefix, "/", "/any/path", true),
            (Exact, "/foo", "/foo", true),
            (Exact, "/foo", "/bar", false),
            (Exact, "/foo", "/foo/", false),
            (Exact, "/foo/", "/foo", false),
            (Prefix, "/foo", "/foo", true),
            (Prefix, "/foo", "/foo/", true),
            (Prefix, "/foo/", "/foo", true),
            (Prefix, "/foo/", "/foo/", true),
            (Prefix, "/aaa/bb", "/aaa/bbb", false),
            (Prefix, "/aaa/bbb", "/aaa/bbb", true),
            (Prefix, "/aaa/bbb/", "/aaa/bbb", true),
            (Prefix, "/aaa/bbb", "/aaa/bbb/", true),
            (Prefix, "/aaa/bbb", "/aaa/bbb/ccc", true),
            (Prefix, "/aaa/bbb", "/aaa/bbbxyz", false),
        ] {
            let rule = PathRule::new(kind, rule);
            assert_eq!(rule.matches(path), matches, "{rule:?} {path}");
        }
    }

    #[test]
    fn exact_paths_go_first_and_then_the_longest_prefix() {
        let mut rules = [
            PathRule::new(Prefix, "/"),
            PathRule::new(Prefix, "/aaa"),
            PathRule::new(Exact, "/"),
            PathRule::new(Prefix, "/aaa/bbb"),
        ];
        rules.sort();
        let sorted: Vec<_> = rules
            .iter()
            .map(|rule| (rule.kind(), rule.path()))
            .collect();
        assert_eq!(
            sorted,
            [
                (Exact, "/"),
                (Prefix, "/aaa/bbb"),
                (Prefix, "/aaa"),
                (Prefix, "/"),
            ]
        );
    }

    #[test]
    fn a_trailing_slash_of_a_prefix_makes_no_difference() {
        assert_eq!(PathRule::new(Prefix, "/a/"), PathRule::new(Prefix, "/a"));
        assert_ne!(PathRule::new(Exact, "/a/"), PathRule::new(Exact, "/a"));
    }
}
