//! What stands on the objects when this replica begins to lead.

use crate::api::status::Condition;
use crate::diagnose::judge::seed::Seeds;
use crate::report::{Kind, ObjectRef};

use super::Place;

/// The policies of which it is said that every replica serves them, with the generation.
pub(super) fn programmed(place: &Place) -> Vec<(ObjectRef, i64)> {
    let policies = place.source.policies().into_iter();
    let programmed = policies.filter_map(|policy| {
        let conditions = policy.status.as_ref()?.conditions.as_deref()?;
        let is_so = |it: &&Condition| it.type_ == "Programmed" && it.status == "True";
        let generation = conditions.iter().find(is_so)?.observed_generation?;
        Some((object(Kind::GatewayPolicy, &policy.metadata), generation))
    });
    programmed.collect()
}

/// What stands on the objects now.
pub(super) fn seeds(place: &Place) -> Seeds {
    let mut seeds = Seeds::default();
    for policy in place.source.policies() {
        if let Some(status) = &policy.status {
            let object = object(Kind::GatewayPolicy, &policy.metadata);
            seeds.policy(&object, status, &place.installation);
        }
    }
    for ingress in place.source.ingresses() {
        let balancer = ingress
            .status
            .as_ref()
            .and_then(|it| it.load_balancer.as_ref());
        let points = balancer.iter().flat_map(|it| it.ingress.iter().flatten());
        let mut ports = points.flat_map(|it| it.ports.iter().flatten());
        if let Some(error) = ports.find_map(|it| it.error.as_ref()) {
            seeds.ingress(&object(Kind::Ingress, &ingress.metadata), error);
        }
    }
    seeds
}

fn object(kind: Kind, metadata: &kube::api::ObjectMeta) -> ObjectRef {
    ObjectRef {
        kind,
        namespace: metadata.namespace.as_deref().unwrap_or_default().into(),
        name: metadata.name.as_deref().unwrap_or_default().into(),
    }
}
