//! Host names and the patterns of Ingress rules.
//!
//! <https://kubernetes.io/docs/concepts/services-networking/ingress/#hostname-wildcards>

use std::fmt;
use std::net::Ipv4Addr;

/// A DNS name in lower case, without a trailing dot and without a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hostname(Box<str>);

/// Why a text is not a host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a host name: expected labels of letters, digits, '-' and '_' separated by dots, 253 bytes at most"
)]
pub struct InvalidHostname;

impl Hostname {
    /// Checks and normalizes a name.
    ///
    /// # Errors
    /// When the text is not a sequence of DNS labels. An IP address in brackets is none.
    pub fn try_new(text: &str) -> Result<Self, InvalidHostname> {
        let name = text.strip_suffix('.').unwrap_or(text);
        let label = |l: &str| {
            (1..=63).contains(&l.len())
                && l.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if name.len() > 253 || !name.split('.').all(label) {
            return Err(InvalidHostname);
        }
        Ok(Self(name.to_ascii_lowercase().into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The hosts that a rule is for; the order is the precedence, best first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    /// Exactly this name.
    Exact(Hostname),
    /// Any name of one more label in front of this one: `*.example.com` holds `example.com`.
    Wildcard(Hostname),
    /// Every host.
    Any,
}

impl HostPattern {
    /// Reads the `host` of an Ingress rule; empty means every host.
    ///
    /// # Errors
    /// When the text is neither a host name nor `*.` followed by one. An address is none: the API of
    /// Ingress refuses it.
    pub fn parse(text: &str) -> Result<Self, InvalidHostname> {
        match text.strip_prefix("*.") {
            _ if text.is_empty() => Ok(Self::Any),
            _ if text.parse::<Ipv4Addr>().is_ok() => Err(InvalidHostname),
            Some(parent) => Hostname::try_new(parent).map(Self::Wildcard),
            None => Hostname::try_new(text).map(Self::Exact),
        }
    }

    /// The wildcard that holds this exact name, `*.example.com` for `shop.example.com`.
    pub fn covering_wildcard(&self) -> Option<Self> {
        let Self::Exact(name) = self else { return None };
        let (_, parent) = name.0.split_once('.')?;
        Some(Self::Wildcard(Hostname(parent.into())))
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => name.fmt(f),
            Self::Wildcard(parent) => write!(f, "*.{parent}"),
            Self::Any => f.write_str("*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> HostPattern {
        HostPattern::parse(text).unwrap()
    }

    #[test]
    fn a_name_has_one_form() {
        assert_eq!(pattern("Shop.Example."), pattern("shop.example"));
        assert_eq!(pattern("*.Shop.Example"), pattern("*.shop.example"));
        assert_eq!(pattern("*.shop.example").to_string(), "*.shop.example");
        assert_eq!(pattern(""), HostPattern::Any);
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = "a".repeat(64);
        let longest = [long.as_str(); 4].join(".");
        for text in [
            "*",
            ".",
            "a..b",
            ".a",
            "a..",
            "*.",
            "*.*.a",
            "a.*",
            "a.*.b",
            "*a.b",
            "a:80",
            "a b",
            "[::1]",
            "192.0.2.1",
            "caf\u{e9}.example",
            long.as_str(),
            longest.as_str(),
        ] {
            assert_eq!(HostPattern::parse(text), Err(InvalidHostname), "{text}");
        }
    }

    #[test]
    fn an_exact_host_goes_before_a_wildcard_and_that_before_every_host() {
        assert!(pattern("z.example") < pattern("*.a.example"));
        assert!(pattern("*.z.example") < HostPattern::Any);
    }

    /// <https://kubernetes.io/docs/concepts/services-networking/ingress/#hostname-wildcards>
    #[test]
    fn a_wildcard_covers_one_label() {
        let wildcard = Some(pattern("*.foo.com"));
        assert_eq!(pattern("bar.foo.com").covering_wildcard(), wildcard);
        assert_ne!(pattern("baz.bar.foo.com").covering_wildcard(), wildcard);
        assert_ne!(pattern("foo.com").covering_wildcard(), wildcard);
        assert_eq!(pattern("localhost").covering_wildcard(), None);
        assert_eq!(pattern("*.foo.com").covering_wildcard(), None);
        assert_eq!(HostPattern::Any.covering_wildcard(), None);
    }
}
