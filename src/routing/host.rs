//! Host names and the patterns of Ingress rules.
//!
//! <https://kubernetes.io/docs/concepts/services-networking/ingress/#hostname-wildcards>

use std::fmt;

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
    /// When the text is neither a host name nor `*.` followed by one.
    pub fn parse(text: &str) -> Result<Self, InvalidHostname> {
        match text.strip_prefix("*.") {
            _ if text.is_empty() => Ok(Self::Any),
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
