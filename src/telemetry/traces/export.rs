//! Sending spans to a collector.
//!
//! Batches are sent from a thread of the SDK's own that knows no runtime, so that the client brings one.
//! A connection is made for each batch: they are seconds apart, and one that a collector or a load
//! balancer has closed meanwhile would cost the batch.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_http::{Bytes, HttpClient, HttpError};
use opentelemetry_otlp::SpanExporter as Otlp;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::runtime::{Builder, Runtime};

use super::super::metrics::Metrics;
use crate::dns::{self, Names};

/// How long a batch may take; the exporter's own limit ends only its waits between two tries.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer says next to nothing.
const LONGEST_ANSWER: usize = 64 * 1024;

/// The client.
pub(super) struct Client {
    runtime: Runtime,
    http: HyperClient<HttpsConnector<HttpConnector<Names>>, Full<Bytes>>,
}

impl Client {
    /// Verifies collectors by these roots.
    pub(super) fn new(roots: RootCertStore) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(
                ClientConfig::builder()
                    .with_root_certificates(roots)
                    .with_no_client_auth(),
            )
            .https_or_http()
            .enable_http1()
            .wrap_connector(dns::connector());
        let http = HyperClient::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(connector);
        Ok(Self { runtime, http })
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let response = self.http.request(request.map(Full::new)).await?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, LONGEST_ANSWER).collect().await?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    }
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let exchange = async { tokio::time::timeout(PATIENCE, self.exchange(request)).await };
        self.runtime.block_on(exchange)?
    }
}

/// The certificates of the system; where there are none only plain HTTP can be spoken.
pub(super) fn roots_of_the_system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    roots
}

/// The certificates of a PEM file.
///
/// # Errors
/// When it cannot be read, holds something else in their place, or none.
pub(super) fn roots_in(path: &Path) -> io::Result<RootCertStore> {
    let text = fs::read(path)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(io::Error::other)?;
        roots.add(certificate).map_err(io::Error::other)?;
    }
    if roots.is_empty() {
        let none = "there is no certificate in it";
        return Err(io::Error::new(io::ErrorKind::InvalidData, none));
    }
    Ok(roots)
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

/// Counts what became of spans, and says once when they begin to be lost and when it is over.
#[derive(Debug)]
pub(super) struct Counting {
    exporter: Otlp,
    metrics: Arc<Metrics>,
    losing: AtomicBool,
}

impl Counting {
    pub(super) fn new(exporter: Otlp, metrics: Arc<Metrics>) -> Self {
        Self {
            exporter,
            metrics,
            losing: AtomicBool::new(false),
        }
    }
}

impl SpanExporter for Counting {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let result = self.exporter.export(batch).await;
        self.metrics.spans().sent(spans, result.is_ok());
        let lost_before = self.losing.swap(result.is_err(), Ordering::Relaxed);
        match &result {
            Err(error) if !lost_before => {
                tracing::warn!(%error, "traces cannot be exported: spans are lost until they can");
            }
            Ok(()) if lost_before => tracing::info!("traces are exported again"),
            _ => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_verified_by_the_certificates_of_the_file_that_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ca.pem");
        assert!(roots_in(&file).is_err());
        fs::write(&file, "no certificate").unwrap();
        assert!(roots_in(&file).is_err());
        let certificate = |name: &str| {
            let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
            made.cert.pem()
        };
        fs::write(&file, certificate("a") + &certificate("b")).unwrap();
        assert_eq!(roots_in(&file).unwrap().len(), 2);
    }
}
