//! Upstreams that are a DNS name (`ExternalName`).
//!
//! The name is resolved by a task of the control runtime for as long as the upstream is served, at
//! the pace of its records' time to live; requests read the last result. A name that stops
//! resolving keeps its last addresses; one that never did fails requests with the resolver's reason.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::net::NetError;

use crate::failure::Cause;

/// The shortest time between two look-ups of a name that resolves.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// The longest.
const MAX_INTERVAL: Duration = Duration::from_secs(300);

/// Before a failed look-up is repeated.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Looks a name up, again and again, until `take` says that nobody wants the result any more.
pub(super) async fn keep_resolved(
    resolver: Arc<TokioResolver>,
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
    resolver: &TokioResolver,
    name: &str,
    port: u16,
) -> Result<(Vec<SocketAddr>, Duration), Cause> {
    match resolver.lookup_ip(name).await {
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
