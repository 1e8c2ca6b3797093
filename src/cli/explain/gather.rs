//! Reading what an explanation is made of, with the rights of whoever asks.

use jiff::Timestamp;

use crate::stores::reader::{Reader, Unread};

use super::facts::Facts;
use super::target::Kind;

/// Reads a namespace, or all.
///
/// # Errors
/// When what was asked for itself cannot be read.
pub(super) async fn read(
    reader: &Reader,
    kind: Kind,
    namespace: Option<&str>,
) -> Result<Facts, Unread> {
    let (ingresses, classes, services, slices, policies, events) = tokio::join!(
        reader.list(namespace),
        reader.list_all(),
        reader.list(namespace),
        reader.list(namespace),
        reader.list(namespace),
        reader.events(namespace, "Ingress"),
    );
    let mut facts = Facts {
        now: Timestamp::now(),
        ..Facts::default()
    };
    match kind {
        Kind::Ingress => {
            facts.ingresses = ingresses?;
            facts.policies = facts.take(policies, "what their conditions say is missing");
        }
        Kind::Policy => {
            facts.policies = Some(policies?);
            let ingresses = facts.take(ingresses, "the rules that they lead to are missing");
            facts.ingresses = ingresses.unwrap_or_default();
        }
    }
    facts.classes = facts.take(classes, "every Ingress is taken for Bywash's");
    facts.services = facts.take(services, "ports and endpoints are missing");
    facts.slices = facts.take(slices, "endpoints are missing");
    facts.events = facts
        .take(events, "what they tell is missing")
        .unwrap_or_default();
    Ok(facts)
}

impl Facts {
    /// What was read; what was not is said, with what follows.
    fn take<T>(&mut self, read: Result<T, Unread>, otherwise: &str) -> Option<T> {
        match read {
            Ok(read) => Some(read),
            Err(error) => {
                let why = crate::cli::sentence(&error);
                self.unread.push(format!("{why}: {otherwise}"));
                None
            }
        }
    }
}
