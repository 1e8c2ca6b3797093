//! What the data plane is told when it starts, and keeps for its life.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use ipnet::IpNet;

/// How worker tasks are spread over threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RuntimeKind {
    /// Each worker is a thread with a runtime of its own; nothing is stolen.
    #[default]
    PerCore,
    /// All workers share one runtime with as many threads.
    Shared,
}

/// The settings of the data plane.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where plain HTTP is accepted; port 0 takes any free one.
    pub http: Option<SocketAddr>,
    /// Where HTTPS is accepted; port 0 takes any free one.
    pub https: Option<SocketAddr>,
    /// How many workers, each with its own listeners and upstream connections.
    pub workers: NonZeroUsize,
    /// How they run.
    pub runtime: RuntimeKind,
    /// The networks of proxies whose `X-Forwarded-*` and `X-Request-ID` count.
    pub trusted_proxies: Vec<IpNet>,
    /// How long a connection may wait for its next request. Longer than that of a load balancer in
    /// front, or its reuse of a connection meets our close.
    pub client_keepalive: Duration,
    /// From the first byte of a request head to its end, and for a TLS handshake.
    pub client_header_timeout: Duration,
    /// Between two reads of a request body.
    pub client_body_timeout: Duration,
    /// Without any progress while a response waits to be written.
    pub client_write_timeout: Duration,
    /// Connections in all; one more is closed at once. The limit on open files may allow fewer.
    pub max_connections: usize,
    /// Connections of one client address (IPv6: of one /64) that is not a trusted proxy.
    pub max_connections_per_address: usize,
    /// Bytes that are kept while there may be further attempts, over all requests: of request bodies,
    /// which are sent once where they exceed them, and of answers that are retried.
    pub replay_memory: u64,
    /// Bytes of answers that are held back until they were found valid, over all requests; what exceeds
    /// them is passed on unseen.
    pub validation_memory: u64,
}

impl Default for Settings {
    /// As documented for the program's flags, without listeners.
    fn default() -> Self {
        Self {
            http: None,
            https: None,
            workers: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            runtime: RuntimeKind::default(),
            trusted_proxies: Vec::new(),
            client_keepalive: Duration::from_secs(75),
            client_header_timeout: Duration::from_secs(10),
            client_body_timeout: Duration::from_secs(60),
            client_write_timeout: Duration::from_secs(60),
            max_connections: 262_144,
            // Behind source NAT (a load balancer, kube-proxy) one address is many clients.
            max_connections_per_address: 65_536,
            replay_memory: 64 * 1024 * 1024,
            validation_memory: 64 * 1024 * 1024,
        }
    }
}
