//! Upstreams that are a name, as a part of the registry.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::dns::Resolver;
use crate::failure::Cause;
use crate::routing::snapshot::UpstreamId;
use crate::upstream::balance::pin::EndpointPin;
use crate::upstream::balance::set::{EndpointSet, Member};
use crate::upstream::live::{Endpoints, NamedUpstream, Shared};
use crate::upstream::names::{Resolution, keep_resolved};

use super::{Registry, State};

impl State {
    /// Whether these addresses are those of an upstream that is served.
    fn serves(&self, upstream: &NamedUpstream) -> bool {
        let live = self.upstreams.get(&upstream.id);
        live.is_some_and(|(_, live)| match &live.endpoints {
            Endpoints::Named(named) => std::ptr::eq(&**named, upstream),
            Endpoints::Known(_) => false,
        })
    }
}

impl Registry {
    /// An upstream at the addresses of a name, which is being resolved.
    pub(super) fn named(
        self: &Arc<Self>,
        state: &mut State,
        (id, shared): (&UpstreamId, &Arc<Shared>),
        target: (Arc<str>, u16),
    ) -> Arc<NamedUpstream> {
        let named = Arc::new(NamedUpstream {
            id: id.clone(),
            shared: Arc::clone(shared),
            resolved: Resolution::unknown(),
        });
        let Some(resolver) = resolver(state) else {
            named.resolved.store(Arc::new(Err(Cause::DnsError)));
            return named;
        };
        let (registry, upstream) = (Arc::downgrade(self), Arc::downgrade(&named));
        let take = move |result: Result<Vec<SocketAddr>, Cause>| {
            let (Some(registry), Some(upstream)) = (registry.upgrade(), upstream.upgrade()) else {
                return false;
            };
            match result {
                Ok(addresses) => registry.resolved(&upstream, &addresses),
                Err(cause) => {
                    upstream.not_resolved(cause);
                    true
                }
            }
        };
        tokio::spawn(keep_resolved(resolver, target, take));
        named
    }

    /// Takes the addresses that a name resolved to; whether the upstream is still served.
    pub(super) fn resolved(
        self: &Arc<Self>,
        upstream: &NamedUpstream,
        addresses: &[SocketAddr],
    ) -> bool {
        let mut state = self.lock();
        let served = self.now_resolved(&mut state, upstream, addresses);
        state.retire_unnamed(&upstream.id.group());
        served
    }

    /// The endpoints of an upstream are those at these addresses that are not down; whether it is
    /// still served.
    pub(super) fn now_resolved(
        self: &Arc<Self>,
        state: &mut State,
        upstream: &NamedUpstream,
        addresses: &[SocketAddr],
    ) -> bool {
        let named = (&upstream.id, &*upstream.shared);
        let served = state.serves(upstream);
        let down = if served {
            self.probe(state, named, addresses.iter().copied())
        } else {
            HashSet::new()
        };
        let joined = state.has_endpoints(&upstream.id).then(Instant::now);
        let ready = addresses.iter().filter(|it| !down.contains(it));
        let ready = ready.map(|address| Member {
            endpoint: self.endpoint(state, named, (*address, joined)),
            weight: 1,
            zone: None,
            pin: EndpointPin::new(&upstream.id.service, *address, None),
            pod: None,
        });
        let slow_start = upstream.id.policy.slow_start.window;
        let set = EndpointSet::new(ready.collect(), Vec::new(), slow_start);
        upstream.resolved.store(Arc::new(Ok(set)));
        served
    }
}

/// Made when first needed: most installations never resolve a name.
fn resolver(state: &mut State) -> Option<Arc<Resolver>> {
    if state.resolver.is_none() {
        match Resolver::of_system() {
            Ok(resolver) => state.resolver = Some(Arc::new(resolver)),
            Err(error) => tracing::warn!(%error, "names of external Services cannot be resolved"),
        }
    }
    state.resolver.clone()
}
