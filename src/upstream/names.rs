//! Upstreams that are a DNS name (`ExternalName`).
//!
//! The name is resolved by a task of the control runtime for as long as the upstream is served, at
//! the pace of its records' time to live; requests read the last result, and wait for the first one.
//! A name that stops resolving keeps its last addresses; one that never did fails requests with the
//! resolver's reason.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};
use hickory_resolver::net::NetError;
use tokio::sync::SetOnce;

use crate::dns::Resolver;
use crate::failure::Cause;

use super::balance::set::EndpointSet;

/// The shortest time between two look-ups of a name that resolves.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// The longest.
const MAX_INTERVAL: Duration = Duration::from_secs(300);

/// Before a failed look-up is repeated.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// What is known of a name.
#[derive(Debug)]
pub(super) struct Resolution {
    last: ArcSwap<Result<EndpointSet, Cause>>,
    looked_up: SetOnce<()>,
}

impl Resolution {
    /// Nothing, while the first look-up is under way.
    pub(super) fn unknown() -> Self {
        Self {
            last: ArcSwap::from_pointee(Err(Cause::DnsTimeout)),
            looked_up: SetOnce::new(),
        }
    }

    pub(super) fn load(&self) -> Guard<Arc<Result<EndpointSet, Cause>>> {
        self.last.load()
    }

    pub(super) fn store(&self, result: Arc<Result<EndpointSet, Cause>>) {
        self.last.store(result);
        // Only the first result is waited for.
        let _ = self.looked_up.set(());
    }

    pub(super) fn is_known(&self) -> bool {
        self.looked_up.initialized()
    }

    /// Waits for the first result.
    pub(super) async fn known(&self) {
        self.looked_up.wait().await;
    }
}

/// Looks a name up, again and again, until `take` says that nobody wants the result any more.
pub(super) async fn keep_resolved(
    resolver: Arc<Resolver>,
    (name, port): (Arc<str>, u16),
    take: impl Fn(Result<Vec<SocketAddr>, Cause>) -> bool,
) {
    loop {
        let (result, pause) = match resolve(&resolver, &name, port).await {
            Ok((addresses, ttl)) => (Ok(addresses), ttl.clamp(MIN_INTERVAL, MAX_INTERVAL)),
            Err(cause) => (Err(cause), RETRY_INTERVAL),
        };
        if !take(result) {
            return;
        }
        tokio::time::sleep(pause).await;
    }
}

async fn resolve(
    resolver: &Resolver,
    name: &str,
    port: u16,
) -> Result<(Vec<SocketAddr>, Duration), Cause> {
    match resolver.look_up(name).await {
        Ok(found) => {
            let ttl = found
                .valid_until()
                .saturating_duration_since(Instant::now());
            let mut addresses: Vec<_> = found.iter().map(|ip| SocketAddr::new(ip, port)).collect();
            addresses.sort_unstable();
            addresses.dedup();
            Ok((addresses, ttl))
        }
        Err(NetError::Timeout) => Err(Cause::DnsTimeout),
        Err(_) => Err(Cause::DnsError),
    }
}
