//! Names of hosts to addresses, without the C library.
//!
//! The program is one static file, and its image holds nothing beside. glibc's own look-ups load shared
//! libraries of the very version that they were built with, which are not there. So every name, whether
//! of an external Service, of the API server or of a collector, is asked for here: by `/etc/hosts` first,
//! then by the servers and the search list of `/etc/resolv.conf`, as the C library would.
//!
//! The library that asks the servers knows `/etc/hosts` too, but only as a short cut for each question
//! that it would ask: it asks for `name.<search domain>` before it looks `name` up there, and for IPv6
//! where there is only IPv4. A name that stands there must not wait for a server that may be silent.
//!
//! A resolver belongs to the runtime on which it is used, because its connections do.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use hickory_resolver::lookup::Lookup;
use hickory_resolver::lookup_ip::LookupIp;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name as DnsName, RecordType};
use hickory_resolver::{Hosts, TokioResolver};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use tower::Service;

/// Looks names up.
pub(crate) struct Resolver {
    hosts: Hosts,
    servers: TokioResolver,
}

impl Resolver {
    /// As the system is configured now.
    ///
    /// # Errors
    /// When that configuration cannot be read.
    pub(crate) fn of_system() -> Result<Self, NetError> {
        Ok(Self {
            // Where there is none, the servers know everything.
            hosts: Hosts::from_system().unwrap_or_default(),
            servers: TokioResolver::builder_tokio()?.build()?,
        })
    }

    /// The addresses of a name.
    ///
    /// # Errors
    /// When it has none, or nobody says so.
    pub(crate) async fn look_up(&self, name: &str) -> Result<LookupIp, NetError> {
        match self.in_hosts(name) {
            Some(found) => Ok(found),
            None => self.servers.lookup_ip(name).await,
        }
    }

    /// What is written there counts alone: a name with an address of one family has none of the other.
    fn in_hosts(&self, name: &str) -> Option<LookupIp> {
        let name = DnsName::from_utf8(name).ok()?;
        let of = |family| Query::query(name.clone(), family);
        let found = [RecordType::A, RecordType::AAAA].map(|family| {
            let found = self.hosts.lookup_static_host(&of(family));
            found.map_or_else(Vec::new, |found| found.answers().to_vec())
        });
        let records = found.concat();
        let query = of(RecordType::A);
        (!records.is_empty()).then(|| Lookup::new_with_max_ttl(query, records).into())
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

/// The addresses of a host, which may itself be an address.
///
/// # Errors
/// When the name cannot be resolved.
pub(crate) async fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, NetError> {
    if let Ok(address) = host.parse() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let found = Resolver::of_system()?.look_up(host).await?;
    Ok(found.iter().map(|ip| SocketAddr::new(ip, port)).collect())
}

/// Opens connections for hyper to hosts whose names are looked up here.
pub(crate) fn connector() -> HttpConnector<Names> {
    let mut connector = HttpConnector::new_with_resolver(Names::default());
    // TLS comes on top.
    connector.enforce_http(false);
    connector
}

/// How hyper asks for addresses. The system's configuration is read when the first name comes: most
/// processes only ever know addresses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(Arc<OnceLock<Resolver>>);

impl Names {
    async fn look_up(self, name: Name) -> Result<std::vec::IntoIter<SocketAddr>, NetError> {
        let resolver = match self.0.get() {
            Some(resolver) => resolver,
            None => {
                let made = Resolver::of_system()?;
                self.0.get_or_init(|| made)
            }
        };
        let found = resolver.look_up(name.as_str()).await?;
        // The port is the connector's business.
        let addresses: Vec<_> = found.iter().map(|ip| SocketAddr::new(ip, 0)).collect();
        Ok(addresses.into_iter())
    }
}

impl Service<Name> for Names {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = NetError;
    type Future = BoxFuture<'static, Result<Self::Response, NetError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NetError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        self.clone().look_up(name).boxed()
    }
}

#[cfg(test)]
mod tests;
