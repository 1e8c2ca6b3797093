//! One probe: a connection of its own, a question, and the answer within the time for both.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::Instant;

use crate::failure::Cause;
use crate::routing::policy::AddressRules;
use crate::routing::policy::upstream::{HealthCheck, Probe};
use crate::upstream::connect::{Stream, open};
use crate::upstream::tls::ClientTls;

use super::bad::BadProbe;
use super::{grpc, http};

/// How an endpoint is asked.
#[derive(Debug)]
pub(in crate::upstream) struct Question {
    check: HealthCheck,
    /// Where connections may lead.
    addresses: AddressRules,
    /// How TLS is spoken, if it is.
    tls: Option<Arc<ClientTls>>,
}

impl Question {
    /// What the policy asks of endpoints to which requests are sent so.
    pub(in crate::upstream) fn new(
        check: HealthCheck,
        addresses: AddressRules,
        tls: Option<&Arc<ClientTls>>,
    ) -> Self {
        let tls = tls.map(|tls| match check.probe {
            Probe::Grpc { .. } => Arc::new(tls.for_http2()),
            Probe::Http { .. } | Probe::Tcp => Arc::clone(tls),
        });
        Self {
            check,
            addresses,
            tls,
        }
    }

    /// What is asked, and when.
    pub(super) fn check(&self) -> &HealthCheck {
        &self.check
    }

    /// Asks an endpoint once.
    ///
    /// # Errors
    /// With why the probe is bad.
    pub(super) async fn ask(&self, address: SocketAddr) -> Result<(), BadProbe> {
        let deadline = Instant::now() + self.check.timeout;
        let answer = self.ask_until(deadline, address).await;
        answer.map_err(|bad| bad.seen_at(Instant::now(), deadline))
    }

    async fn ask_until(&self, deadline: Instant, address: SocketAddr) -> Result<(), BadProbe> {
        let (timeout, tls) = (self.check.timeout, self.tls.as_deref());
        let stream = open(address, timeout, &self.addresses, tls)
            .await
            .map_err(|error| error.cause)?;
        let traffic = Arc::clone(&stream.traffic);
        let answer = self.ask_on(stream, address, deadline).await;
        answer.map_err(|bad| match (bad, traffic.alert()) {
            (BadProbe::Failed(_), Some(alert)) => Cause::TlsAlert(alert).into(),
            _ => bad,
        })
    }

    async fn ask_on(
        &self,
        stream: Stream,
        address: SocketAddr,
        deadline: Instant,
    ) -> Result<(), BadProbe> {
        match &self.check.probe {
            Probe::Tcp => Ok(()),
            Probe::Http {
                path,
                host,
                expected,
            } => {
                let request = http::request(path, host.as_deref(), address)?;
                http::ask(stream, request, expected, deadline).await
            }
            Probe::Grpc { service } => {
                let request = grpc::request(address, self.tls.is_some())?;
                grpc::ask(stream.into_transport(), request, service, deadline).await
            }
        }
    }
}
