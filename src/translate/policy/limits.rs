//! Which upstreams with limits a policy has a part in: its status says when requests are turned away.

use crate::report::ObjectRef;
use crate::routing::host::HostPattern;
use crate::routing::snapshot::{Fallback, Target};

use super::Policies;

impl Policies<'_> {
    /// Takes where a route leads, which these policies have a part in.
    pub(in crate::translate) fn lead(
        &mut self,
        (ingress, host, service): (&ObjectRef, &HostPattern, Option<&str>),
        target: &Target,
    ) {
        let Target::Upstream(id) = target else {
            return;
        };
        if id.policy.circuit_breaker.is_some() {
            for index in self.chosen(ingress, host, service).into_values() {
                self.all[index].limited.insert(id.clone());
            }
        }
    }

    /// Takes what stands in for it, in which the policy of its own Service has a part, and the class.
    pub(in crate::translate) fn lead_elsewhere(
        &mut self,
        Fallback {
            upstream,
            policy: _,
        }: &Fallback,
    ) {
        let service = &upstream.service;
        if upstream.policy.circuit_breaker.is_some() {
            for index in self.standing_in(&service.namespace, &service.name) {
                self.all[index].limited.insert(upstream.clone());
            }
        }
    }
}
