//! What an explanation is made of: what was read, and what could not be.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use kube::Resource;

use crate::admin::state::shape::Live;
use crate::api::near::near;
use crate::api::policy::GatewayPolicy;

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) now: Timestamp,
    /// The name of the controller, where it was given; otherwise every one of ours.
    pub(super) controller: Option<String>,
    /// The namespace that is looked at; absent: all.
    pub(super) namespace: Option<String>,
    pub(super) ingresses: Vec<Ingress>,
    /// These and the following are absent where they could not be read.
    pub(super) classes: Option<Vec<IngressClass>>,
    pub(super) services: Option<Vec<Service>>,
    pub(super) slices: Option<Vec<EndpointSlice>>,
    pub(super) policies: Option<Vec<GatewayPolicy>>,
    pub(super) events: Vec<Event>,
    /// What replicas see.
    pub(super) live: Vec<Replica>,
    /// What could not be read: a sentence each.
    pub(super) unread: Vec<String>,
}

/// What one replica sees.
#[derive(Debug)]
pub(super) struct Replica {
    /// The name of its Pod, or where it was asked.
    pub(super) name: String,
    pub(super) live: Live,
}

/// The namespace of an object.
pub(super) fn namespace(object: &impl Resource) -> &str {
    object.meta().namespace.as_deref().unwrap_or_default()
}

/// The name of an object.
pub(super) fn name(object: &impl Resource) -> &str {
    object.meta().name.as_deref().unwrap_or_default()
}

/// A half-sentence about names that come close; empty where none does.
pub(super) fn similar<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    match near(wanted, names).as_slice() {
        [] => String::new(),
        near => format!("; there is {}", near.join(", ")),
    }
}

impl Facts {
    /// The Service, if it was read.
    pub(super) fn service(&self, of: &str, called: &str) -> Option<&Service> {
        let mut services = self.services.iter().flatten();
        services.find(|service| namespace(*service) == of && name(*service) == called)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_come_close_are_told_and_no_others() {
        let names = ["web", "cart", "shop-web"];
        assert_eq!(similar("crat", names), "; there is cart");
        assert_eq!(similar("database", names), "");
    }
}
