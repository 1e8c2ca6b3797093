//! What is to be explained, as kubectl takes it: `ingress/shop`, `ingress shop`, or all of a kind.

/// A kind that can be explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ingress,
    Policy,
}

/// What is to be explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) kind: Kind,
    /// Absent: all of the kind.
    pub(super) name: Option<String>,
}

/// What was typed is none of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidTarget {
    #[error("{0:?} cannot be explained; write ingress/NAME or gatewaypolicy/NAME")]
    Kind(String),
    #[error("{0:?} names no object; write ingress/NAME or gatewaypolicy/NAME")]
    Name(String),
    #[error("{0:?} has a name already; leave {1:?} out")]
    Twice(String, String),
}

impl Kind {
    /// With its short forms, and with its group, as kubectl takes them.
    fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let kind = match text.split_once('.') {
            Some((kind, "networking.k8s.io" | "v1.networking.k8s.io" | "bywash.dev")) => kind,
            Some(_) => return None,
            None => &text,
        };
        match kind {
            "ingress" | "ingresses" | "ing" => Some(Self::Ingress),
            "gatewaypolicy" | "gatewaypolicies" | "gwp" => Some(Self::Policy),
            _ => None,
        }
    }

    /// As Kubernetes spells it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "Ingress",
            Self::Policy => "GatewayPolicy",
        }
    }
}

impl Target {
    /// Reads the words that were typed; none means all Ingresses.
    pub(super) fn parse(words: &[String]) -> Result<Self, InvalidTarget> {
        let Some(first) = words.first() else {
            return Ok(Self {
                kind: Kind::Ingress,
                name: None,
            });
        };
        let (kind, name) = match first.split_once('/') {
            Some((kind, name)) => (kind, Some(name)),
            None => (first.as_str(), None),
        };
        let kind = Kind::parse(kind).ok_or_else(|| InvalidTarget::Kind(first.clone()))?;
        let name = match (name, words.get(1)) {
            (Some(_), Some(second)) => {
                return Err(InvalidTarget::Twice(first.clone(), second.clone()));
            }
            (Some(name), None) => Some(name.to_owned()),
            (None, second) => second.cloned(),
        };
        if name
            .as_deref()
            .is_some_and(|name| name.is_empty() || name.contains('/'))
        {
            return Err(InvalidTarget::Name(words.join(" ")));
        }
        Ok(Self { kind, name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Target, InvalidTarget> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        Target::parse(&words)
    }

    #[test]
    fn a_target_is_written_as_for_kubectl() {
        for (text, kind, name) in [
            ("", Kind::Ingress, None),
            ("ing", Kind::Ingress, None),
            ("ingress/shop", Kind::Ingress, Some("shop")),
            ("ingress shop", Kind::Ingress, Some("shop")),
            (
                "Ingresses.networking.k8s.io/shop",
                Kind::Ingress,
                Some("shop"),
            ),
            ("gwp/shop", Kind::Policy, Some("shop")),
            (
                "gatewaypolicies.bywash.dev shop",
                Kind::Policy,
                Some("shop"),
            ),
        ] {
            let name = name.map(str::to_owned);
            assert_eq!(parse(text), Ok(Target { kind, name }), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_explained_is_refused_with_what_can() {
        for text in ["shop", "pod/shop", "ingress/", "ingress/a/b", "ingress/a b"] {
            let refused = parse(text).unwrap_err().to_string();
            assert!(refused.contains("ingress/"), "{refused}");
        }
    }
}
