//! The live side of endpoints: connections, statistics, and the choice between them.
//!
//! The snapshot says which addresses an upstream has; this module holds what has been learned about
//! each of them and the connections that are open. State lives longer than a snapshot: it is keyed
//! by upstream and address, so that a changed Ingress neither forgets a slow endpoint nor closes a
//! warm connection ([`registry`]).
//!
//! Connections are pooled per worker and endpoint on `hyper::client::conn` ([`pool`]), not through a
//! ready-made client: whether a request may be sent again depends on whether its bytes left, and
//! only who owns the socket can tell ([`counting`], [`classify`]). The names of the failures are
//! those of [`failure`](crate::failure); they are given here, once.

pub mod balance;
pub mod breaker;
pub mod budget;
pub mod classify;
pub mod connect;
mod connect_time;
pub mod connection;
pub mod count;
pub mod counting;
pub mod cuts;
pub mod ejection;
pub mod endpoint;
pub mod idle_life;
pub mod idling;
pub mod latency;
pub mod live;
pub mod names;
pub mod outlier;
pub mod phantom;
pub mod places;
pub mod pool;
mod probe;
pub mod random;
pub mod readmission;
pub mod registry;
pub mod standing;
pub mod sync;
pub mod tls;
pub mod transport;
mod turned_away;
pub mod upload;
pub mod vanished;
pub mod window;

#[cfg(test)]
mod tests;
