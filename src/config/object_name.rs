//! `namespace/name` of an object.

use std::fmt;
use std::str::FromStr;

/// A namespaced object, of a kind that the flag tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespacedName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Not the name of a namespaced object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the name of an object; write NAMESPACE/NAME, for example ingress/bywash")]
pub struct InvalidName;

impl FromStr for NamespacedName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (namespace, name) = text.split_once('/').ok_or(InvalidName)?;
        if !is_dns_name(namespace) || !is_dns_name(name) {
            return Err(InvalidName);
        }
        Ok(Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }
}

impl fmt::Display for NamespacedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A DNS subdomain name
/// (<https://kubernetes.io/docs/concepts/overview/working-with-objects/names/>).
pub(super) fn is_dns_name(text: &str) -> bool {
    let ends_well = |label: &str| !label.starts_with('-') && !label.ends_with('-');
    text.len() <= 253
        && text.split('.').all(|label| {
            !label.is_empty()
                && ends_well(label)
                && label
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        })
}
