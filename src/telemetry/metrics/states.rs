//! What upstreams are like at the moment of a scrape.
//!
//! These are not counted but looked at, by whoever has the upstreams: only then is a gauge right after
//! endpoints came, went or were taken over.

use std::fmt;
use std::sync::OnceLock;

use super::BreakerLimit;

/// One upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamState {
    /// `namespace/service:port`.
    pub label: String,
    /// Its endpoints, each counted once.
    pub endpoints: EndpointCounts,
    /// Those that a request may use.
    pub usable: u64,
    /// Connections that wait for a request.
    pub idle_connections: u64,
    /// The limits that turned requests away of late, where there are limits.
    pub breaker: Option<Vec<BreakerLimit>>,
}

/// How many endpoints are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndpointCounts {
    /// Ready for requests.
    pub ready: u64,
    /// Left out because they failed too often.
    pub ejected: u64,
    /// Down, as their probes say.
    pub down: u64,
    /// Terminating, but still serving.
    pub draining: u64,
}

impl EndpointCounts {
    pub(super) fn by_state(self) -> [(&'static str, u64); 4] {
        let Self {
            ready,
            ejected,
            down,
            draining,
        } = self;
        [
            ("ready", ready),
            ("ejected", ejected),
            ("down", down),
            ("draining", draining),
        ]
    }
}

type Look = Box<dyn Fn() -> Vec<UpstreamState> + Send + Sync>;

/// Whoever has the upstreams.
#[derive(Default)]
pub(super) struct States(OnceLock<Look>);

impl States {
    /// From the first that is given; it holds the upstreams for as long as the process lives.
    pub(super) fn come_from(&self, look: impl Fn() -> Vec<UpstreamState> + Send + Sync + 'static) {
        let _there_is_one_already = self.0.set(Box::new(look));
    }

    pub(super) fn now(&self) -> Vec<UpstreamState> {
        self.0.get().map(|look| look()).unwrap_or_default()
    }
}

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "States({})", self.0.get().is_some())
    }
}
