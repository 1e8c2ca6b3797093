//! The snapshot itself.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::failure::Cause;

use super::host::HostPattern;
use super::path::PathRule;
use super::policy::Policy;
use super::policy::upstream::{UpstreamPolicy, UpstreamTls};

/// Everything that is served, at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// What each host serves. The default of [`HostPattern::Any`] is the global default backend.
    pub hosts: BTreeMap<HostPattern, VirtualHost>,
    /// The upstreams that routes name.
    pub upstreams: BTreeMap<UpstreamId, Upstream>,
    /// Presented where no host's own certificate applies; absent: one made at start-up.
    pub default_certificate: Option<Arc<Certificate>>,
    /// When the certificate of each Secret that is presented expires, in seconds since 1970.
    pub expiries: BTreeMap<SecretName, i64>,
}

/// What one host serves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VirtualHost {
    /// Its rules, in the order of precedence.
    pub routes: Vec<(PathRule, Arc<Route>)>,
    /// Where paths that match no rule go.
    pub default: Option<Arc<Route>>,
    /// Presented to clients that name this host (RFC 6066 section 3).
    pub certificate: Option<Arc<Certificate>>,
    /// Whether an Ingress asks for TLS on this host, be its certificate usable or not.
    pub tls: bool,
}

/// Where the requests of one rule go.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// The Ingress that the rule is from.
    pub ingress: IngressName,
    /// Where to.
    pub target: Target,
    /// How.
    pub policy: Arc<Policy>,
    /// What stands in for the target.
    pub fallback: Option<Fallback>,
}

/// What stands in for the target of a route.
#[derive(Clone, Debug, PartialEq)]
pub struct Fallback {
    /// An upstream of the snapshot.
    pub upstream: UpstreamId,
    /// How requests are sent there; the time for a whole request is that of the route.
    pub policy: Arc<Policy>,
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// To an upstream of the snapshot.
    Upstream(UpstreamId),
    /// Nowhere.
    Unavailable {
        /// Why: every request fails with it.
        cause: Cause,
        /// What is meant all the same; absent where no Service is named. Its port is 0 where the name of
        /// a port is given that the Service does not have.
        service: Option<ServicePort>,
    },
}

impl Target {
    /// The port of a Service that is meant, whether or not requests get there.
    pub fn service(&self) -> Option<&ServicePort> {
        match self {
            Self::Upstream(id) => Some(&id.service),
            Self::Unavailable { service, .. } => service.as_ref(),
        }
    }
}

/// The namespace and name of an Ingress; in metrics and logs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IngressName {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

/// The namespace and name of a Secret; in metrics.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretName {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

/// Which upstream: routes with the same identity share its balancer and its limits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UpstreamId {
    /// Whose endpoints.
    pub service: ServicePort,
    /// How it is treated.
    pub policy: Arc<UpstreamPolicy>,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServicePort {
    /// The namespace of the Service.
    pub namespace: Arc<str>,
    /// The Service.
    pub name: Arc<str>,
    /// The port's number in the Service; 0 where it is not known, see [`Target::Unavailable`].
    pub port: u16,
}

/// What upstreams have in common: they share endpoints, with their health, statistics and connections.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndpointGroup {
    /// Whose endpoints.
    pub service: ServicePort,
    /// What connections are opened with.
    pub tls: Option<UpstreamTls>,
}

impl UpstreamId {
    /// With which upstreams it shares endpoints.
    pub fn group(&self) -> EndpointGroup {
        EndpointGroup {
            service: self.service.clone(),
            tls: self.policy.tls.clone(),
        }
    }
}

impl ServicePort {
    /// Reads what [`Display`](fmt::Display) writes, `namespace/name:port`.
    pub fn parse(text: &str) -> Option<Self> {
        let (namespace, rest) = text.split_once('/')?;
        let (name, port) = rest.rsplit_once(':')?;
        Some(Self {
            namespace: namespace.into(),
            name: name.into(),
            port: port.parse().ok()?,
        })
    }
}

impl fmt::Display for UpstreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.service.fmt(f)
    }
}

impl fmt::Display for ServicePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}", self.namespace, self.name, self.port)
    }
}

/// An upstream: the endpoints behind a Service's port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Where its endpoints come from.
    pub endpoints: EndpointSource,
}

/// Where an upstream's endpoints come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointSource {
    /// From EndpointSlices: sorted by address, each address once.
    Known(Vec<EndpointSpec>),
    /// From a name (`ExternalName`), resolved while it is served.
    Name {
        /// The DNS name.
        name: Arc<str>,
        /// The port at each of its addresses.
        port: u16,
    },
}

/// One address of an upstream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndpointSpec {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether it takes new requests.
    pub state: EndpointState,
    /// Its part of the requests, beside the others' weights; at least 1.
    pub weight: u16,
    /// Its topology zone, where known.
    pub zone: Option<Arc<str>>,
    /// The Pod behind it, in the Service's namespace, where known.
    pub pod: Option<PodRef>,
}

/// A Pod, in a namespace that is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodRef {
    /// Its name.
    pub name: Arc<str>,
    /// What tells it from others of its name, before and after.
    pub uid: Option<Arc<str>>,
}

/// What an EndpointSlice says of an endpoint
/// (<https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EndpointState {
    /// Takes new requests.
    Ready,
    /// Terminating but still serving: used only where nothing is ready.
    Draining,
}

/// A certificate chain and its key, parsed and found to belong together.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The end-entity certificate first, in DER.
    pub chain: Vec<rustls_pki_types::CertificateDer<'static>>,
    /// The private key, in DER.
    pub key: Arc<rustls_pki_types::PrivateKeyDer<'static>>,
}

impl fmt::Debug for Certificate {
    /// Never shows the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({} in the chain)", self.chain.len())
    }
}
