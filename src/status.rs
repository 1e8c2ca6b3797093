//! What objects are told about themselves: the addresses of Ingresses, and what is wrong with
//! anything.
//!
//! Two halves. What is wanted is computed purely, from objects and findings (`wanted`). A writer
//! compares it with what is there, and writes the difference: as leader only, through one bucket of
//! tokens, the newest need first, and again after a while when it did not work ([`cluster`]).
//! Without a cluster the same goes into files ([`directory`]).
//!
//! Nothing here ever changes what is served, and trouble never takes an address away: where there is
//! no answer to which addresses are published, Ingresses keep those that they have.

pub mod cluster;
pub mod directory;
mod policy;
mod queue;
mod wanted;

use std::net::IpAddr;
use std::str::FromStr;

use crate::report::policy::PolicyReport;
use crate::report::{Finding, ObjectRef};

/// What there is to say, as of one reconciliation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The Ingresses of our class.
    pub ingresses: Vec<ObjectRef>,
    /// What became of each GatewayPolicy.
    pub policies: Vec<PolicyReport>,
    /// Defects of objects.
    pub findings: Vec<Finding>,
}

/// Which addresses Ingresses get.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Publish {
    /// None: their addresses are left alone.
    #[default]
    Nothing,
    /// These.
    Addresses(Vec<PublishAddress>),
    /// Those of a Service.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// An address as an operator writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishAddress {
    /// An IP address.
    Ip(IpAddr),
    /// A DNS name, in lower case.
    Name(String),
}

/// Neither an IP address nor a DNS name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither an IP address nor a host name")]
pub struct InvalidAddress(String);

impl FromStr for PublishAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(ip) = text.parse() {
            return Ok(Self::Ip(ip));
        }
        let name = text.to_ascii_lowercase();
        let label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|c| c.is_ascii_alphanumeric() || c == b'-')
        };
        // What ends in a number is a misspelt address (RFC 3696 section 2: no such top-level domain).
        let numeric = name
            .rsplit('.')
            .next()
            .is_some_and(|last| last.bytes().all(|c| c.is_ascii_digit()));
        if name.len() <= 253 && !numeric && name.split('.').all(label) {
            Ok(Self::Name(name))
        } else {
            Err(InvalidAddress(text.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_ip_addresses_or_host_names_and_nothing_else() {
        assert_eq!(
            "192.0.2.1".parse(),
            Ok(PublishAddress::Ip([192, 0, 2, 1].into()))
        );
        assert_eq!(
            "2001:db8::1".parse(),
            Ok(PublishAddress::Ip("2001:db8::1".parse().unwrap()))
        );
        assert_eq!(
            "LB.example.com".parse(),
            Ok(PublishAddress::Name("lb.example.com".into()))
        );
        for wrong in [
            "",
            "192.0.2",
            "192.0.2.256",
            "-a.example",
            "a..b",
            "http://a",
            "a:80",
        ] {
            assert!(wrong.parse::<PublishAddress>().is_err(), "{wrong}");
        }
    }
}
