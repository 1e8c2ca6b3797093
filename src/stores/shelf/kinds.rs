//! The kinds that are watched: where each is kept, and which of its changes matter.

use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Shelf, Shelves, Watched};
use crate::api::policy::GatewayPolicy;
use crate::report::Kind;

macro_rules! watched {
    ($($kind:ident in $field:ident,)+) => {$(
        impl Watched for $kind {
            const KIND: Kind = Kind::$kind;

            fn shelf(shelves: &mut Shelves) -> &mut Shelf<Self> {
                &mut shelves.$field
            }
        }
    )+};
}

/// The status of an Ingress is what we write ourselves, once for each: no reason to translate anew.
impl Watched for Ingress {
    const KIND: Kind = Kind::Ingress;

    fn shelf(shelves: &mut Shelves) -> &mut Shelf<Self> {
        &mut shelves.ingresses
    }

    fn is_alike(&self, other: &Self) -> bool {
        let lasting = |meta: &ObjectMeta| ObjectMeta {
            resource_version: None,
            managed_fields: None,
            ..meta.clone()
        };
        self.spec == other.spec && lasting(&self.metadata) == lasting(&other.metadata)
    }
}

/// As with Ingresses; whatever an author changes counts in the generation.
impl Watched for GatewayPolicy {
    const KIND: Kind = Kind::GatewayPolicy;

    fn shelf(shelves: &mut Shelves) -> &mut Shelf<Self> {
        &mut shelves.policies
    }

    fn is_alike(&self, other: &Self) -> bool {
        self.spec == other.spec
            && self.metadata.generation == other.metadata.generation
            && self.metadata.uid == other.metadata.uid
    }
}

watched! {
    IngressClass in classes,
    Service in services,
    EndpointSlice in slices,
    Secret in secrets,
    ConfigMap in config_maps,
}
