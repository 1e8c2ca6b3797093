//! The backends of the demonstration: what each address of `examples/demo/backends.yaml` does.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use crate::cli::Failure;
use crate::faults::script::{Plan, Script};
use crate::faults::{Fault, Peer};

/// The port of every backend.
const PORT: u16 = 8080;

/// The networks tried in turn: the second number of 127.x.y.z. The first one is that of the
/// manifests; another one is taken when a demonstration runs already.
const NETWORKS: std::ops::RangeInclusive<u8> = 81..=120;

/// A Service of the demonstration.
pub(super) struct Backend {
    pub(super) name: &'static str,
    pub(super) behaviour: Behaviour,
    endpoints: u8,
}

/// What the endpoints of a Service do.
#[derive(Clone, Copy)]
pub(super) enum Behaviour {
    /// All the same.
    All(Fault),
    /// Every second request meets the fault, wherever it goes.
    EverySecond(Fault),
    /// The first endpoint has the fault.
    First(Fault),
}

const fn backend(name: &'static str, behaviour: Behaviour, endpoints: u8) -> Backend {
    Backend {
        name,
        behaviour,
        endpoints,
    }
}

use Behaviour::{All, EverySecond, First};

/// The third number of an address is the place here, from 1; the fourth one the endpoint.
pub(super) const BACKENDS: &[Backend] = &[
    backend("works", All(Fault::Echo), 2),
    backend("refuse", All(Fault::Refuse), 3),
    backend("refuse-one", First(Fault::Refuse), 2),
    backend("reset", All(Fault::ResetAfterRequest), 2),
    backend("reset-once", EverySecond(Fault::ResetAfterRequest), 2),
    backend("close", All(Fault::CloseAfterRequest), 2),
    backend("cut-head", All(Fault::CutHead), 2),
    backend("garbage", All(Fault::Garbage), 2),
    backend("huge-head", All(Fault::HugeHead), 2),
    backend("truncate", All(Fault::ShortBody), 2),
    backend("truncate-chunked", All(Fault::CutChunks), 2),
    backend("stall", All(Fault::StallBeforeHead), 3),
    backend("stall-once", EverySecond(Fault::StallBeforeHead), 2),
    backend("stall-in-body", All(Fault::StallInBody), 2),
    backend("unavailable", All(Fault::Unavailable), 3),
    backend("unavailable-once", EverySecond(Fault::Unavailable), 2),
    backend("reject", All(Fault::RejectAndReset), 2),
    backend("ejected", First(Fault::Refuse), 2),
    backend("limited", All(Fault::StallBeforeHead), 1),
    backend("covered", All(Fault::Refuse), 3),
];

/// The backends, while they run.
pub(super) struct Backends {
    network: u8,
    _peers: Vec<Peer>,
}

/// No network of loopback addresses is free.
#[derive(Debug, thiserror::Error)]
#[error("the demonstration's backends cannot listen on 127.81.0.0/16 or one of its neighbours")]
pub(super) struct NoNetwork(#[source] io::Error);

impl From<NoNetwork> for Failure {
    fn from(error: NoNetwork) -> Self {
        Self::failed(&error)
    }
}

impl Backends {
    /// The second number of all addresses.
    pub(super) fn network(&self) -> u8 {
        self.network
    }
}

impl Backend {
    /// What it does, to follow "the upstream".
    pub(super) fn did(&self) -> String {
        match self.behaviour {
            All(fault) => fault.did().to_owned(),
            EverySecond(fault) => format!("once {}", fault.did()),
            First(fault) => format!("one of {} {}", self.endpoints, fault.did()),
        }
    }

    fn address(&self, network: u8, place: u8, endpoint: u8) -> SocketAddr {
        (Ipv4Addr::new(127, network, place, endpoint), PORT).into()
    }

    async fn start(&self, network: u8, place: u8) -> io::Result<Vec<Peer>> {
        let all: Vec<_> = (1..=self.endpoints)
            .map(|endpoint| self.address(network, place, endpoint))
            .collect();
        let (first, others) = all.split_at(1);
        let good = Script::from(Fault::Echo);
        let peer = async |addresses: &[SocketAddr], plan: Plan| {
            Peer::start_at(addresses, self.name, plan).await
        };
        Ok(match self.behaviour {
            All(fault) => vec![peer(&all, fault.into()).await?],
            EverySecond(fault) => vec![peer(&all, [fault.into(), good].into()).await?],
            First(fault) => vec![
                peer(first, fault.into()).await?,
                peer(others, good.into()).await?,
            ],
        })
    }
}

/// Starts all backends, on the first network that is free.
pub(super) async fn start() -> Result<Backends, NoNetwork> {
    let mut taken = io::ErrorKind::AddrInUse.into();
    for network in NETWORKS {
        match start_on(network).await {
            Ok(_peers) => return Ok(Backends { network, _peers }),
            Err(error) => taken = error,
        }
    }
    Err(NoNetwork(taken))
}

async fn start_on(network: u8) -> io::Result<Vec<Peer>> {
    let mut peers = Vec::new();
    for (backend, place) in BACKENDS.iter().zip(1..) {
        peers.extend(backend.start(network, place).await?);
    }
    Ok(peers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::manifests;

    #[test]
    fn the_manifests_have_the_addresses_of_the_backends() {
        let mut expected: Vec<String> = Vec::new();
        for (backend, place) in BACKENDS.iter().zip(1..) {
            for endpoint in 1..=backend.endpoints {
                let address = backend.address(*NETWORKS.start(), place, endpoint);
                expected.push(format!("{} {}", backend.name, address.ip()));
            }
        }
        let mut service = "";
        let mut written = Vec::new();
        for line in manifests::BACKENDS.lines() {
            if let Some((_, rest)) = line.split_once("kubernetes.io/service-name: ") {
                service = rest.trim_end_matches('}');
            }
            if let Some(address) = line.strip_prefix("- addresses: [") {
                written.push(format!("{service} {}", address.trim_end_matches(']')));
            }
        }
        assert_eq!(written, expected);
    }

    #[test]
    fn each_backend_has_a_route() {
        for backend in BACKENDS {
            let path = format!("{{path: /{}, ", backend.name);
            assert!(manifests::INGRESS.contains(&path), "{path}");
        }
    }

    #[tokio::test]
    async fn a_second_demonstration_takes_another_network() {
        let first = start().await.unwrap();
        let second = start().await.unwrap();
        assert_ne!(first.network(), second.network());
    }
}
