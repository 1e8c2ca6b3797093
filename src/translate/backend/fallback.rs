//! What stands in for a backend: a Service that a policy names, in the policy's namespace.

use k8s_openapi::api::networking::v1::IngressBackend;

use crate::report::ObjectRef;
use crate::routing::snapshot::Fallback;

use super::super::findings::Findings;
use super::super::policy::{FallbackReference, Policies, Resolved, Unresolved};
use super::Backends;

impl Backends<'_> {
    /// Whether there is what a policy names to stand in.
    pub(in crate::translate) fn stands_in(
        &self,
        reference: &FallbackReference,
    ) -> Result<(), Unresolved> {
        let FallbackReference { namespace, service } = reference;
        match self.port(namespace, service) {
            Ok(_) => Ok(()),
            Err((code, _, why)) => {
                let why = format!("fallback: {why}; nothing stands in");
                Err(Unresolved { code, why })
            }
        }
    }

    /// What stands in for a backend of an Ingress: nothing stands in for itself, nor does what is under
    /// maintenance.
    pub(in crate::translate) fn fallback(
        &mut self,
        (ingress, backend): (&ObjectRef, &IngressBackend),
        resolved: &Resolved,
        policies: &mut Policies<'_>,
        findings: &mut Findings,
    ) -> Option<Fallback> {
        let FallbackReference { namespace, service } = resolved.fallback.as_ref()?;
        let port = self.port(namespace, service).ok()?;
        if let Some(own) = &backend.service
            && (&ingress.namespace, &own.name) == (namespace, &service.name)
            && let Ok(own) = self.port(&ingress.namespace, own)
            && own.number == port.number
        {
            return None;
        }
        let own = policies.of_service(namespace, &service.name);
        if own.policy.maintenance.is_some() {
            return None;
        }
        let upstream = match self.upstream(namespace, service, (&own, false), findings) {
            Ok(upstream) => upstream,
            Err((code, _, why)) => {
                findings.add(ingress, code, format!("nothing stands in: {why}"));
                return None;
            }
        };
        let fallback = Fallback {
            upstream,
            policy: own.policy,
        };
        policies.lead_elsewhere(&fallback);
        Some(fallback)
    }
}
