//! TLS towards endpoints: whom to trust, and under which name.
//!
//! A configuration is made once for each trust, when a snapshot is joined with what lives, and shared
//! by every upstream that has it, so that a request never parses a certificate and sessions are
//! resumed from one snapshot to the next. Other trust is another configuration with sessions of its
//! own: what was verified by certificates that are trusted no more is never resumed.
//!
//! The certificate and its name are always verified; there is no way to switch that off. What cannot
//! be made into a configuration fails every handshake, and never falls back to anything.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::routing::policy::upstream::{Trust, UpstreamTls};

/// How TLS is spoken to the endpoints of an upstream.
#[derive(Clone)]
pub struct ClientTls(Result<(TlsConnector, ServerName<'static>), rustls::Error>);

/// The configurations that are in use.
#[derive(Debug, Default)]
pub(super) struct ClientConfigs(BTreeMap<Trust, Arc<ClientConfig>>);

impl ClientTls {
    /// The same for HTTP/2.
    pub(super) fn for_http2(&self) -> Self {
        let tls = self.0.clone();
        Self(tls.map(|(connector, name)| {
            let mut config = ClientConfig::clone(connector.config());
            config.alpn_protocols = vec![b"h2".to_vec()];
            (TlsConnector::from(Arc::new(config)), name)
        }))
    }

    /// Shakes hands on a connection that stands.
    ///
    /// # Errors
    /// When the endpoint does not prove to be the one that is meant, or does not speak TLS.
    pub(super) async fn handshake<T>(&self, stream: T) -> io::Result<TlsStream<T>>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        match &self.0 {
            Ok((connector, name)) => connector.connect(name.clone(), stream).await,
            Err(error) => Err(io::Error::new(io::ErrorKind::InvalidInput, error.clone())),
        }
    }
}

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.0.as_ref().map(|(_, name)| name);
        f.debug_tuple("ClientTls").field(&name).finish()
    }
}

impl ClientConfigs {
    /// How TLS is spoken to such an upstream. May read the system's roots: not for a worker.
    pub(super) fn client(&mut self, tls: &UpstreamTls) -> ClientTls {
        // No certificate can have what is no name.
        let name = ServerName::try_from(tls.server_name.to_string())
            .map_err(|_| rustls::Error::from(CertificateError::NotValidForName));
        ClientTls(name.and_then(|name| {
            let config = self.config(&tls.trust)?;
            Ok((TlsConnector::from(config), name))
        }))
    }

    fn config(&mut self, trust: &Trust) -> Result<Arc<ClientConfig>, rustls::Error> {
        if let Some(known) = self.0.get(trust) {
            return Ok(Arc::clone(known));
        }
        let new = Arc::new(config(trust)?);
        self.0.insert(trust.clone(), Arc::clone(&new));
        Ok(new)
    }

    /// Forgets what nobody uses any more; the roots of the system are read once.
    pub(super) fn retire_unused(&mut self) {
        self.0
            .retain(|trust, config| *trust == Trust::System || Arc::strong_count(config) > 1);
    }
}

fn config(trust: &Trust) -> Result<ClientConfig, rustls::Error> {
    let roots = match trust {
        Trust::System => system_roots(),
        Trust::Certificates(certificates) => {
            let certificates = certificates.iter();
            roots(certificates.map(|der| CertificateDer::from(der.as_slice())))
        }
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Those that are of use: with none of them no certificate is acceptable.
fn roots<'a>(certificates: impl Iterator<Item = CertificateDer<'a>>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    roots
}

/// `SSL_CERT_FILE` and `SSL_CERT_DIR`, or where the distributions put them.
fn system_roots() -> RootCertStore {
    let loaded = rustls_native_certs::load_native_certs();
    for error in &loaded.errors {
        tracing::warn!(%error, "a part of the system's root certificates cannot be read");
    }
    let roots = roots(loaded.certs.into_iter());
    if roots.is_empty() {
        tracing::error!(
            "the system has no root certificates: no endpoint is trusted that is to be verified by \
             them; install ca-certificates, set SSL_CERT_FILE, or name a caConfigMap"
        );
    } else {
        tracing::info!(
            certificates = roots.len(),
            "the system's root certificates verify endpoints"
        );
    }
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls(name: &str, trust: &Trust) -> UpstreamTls {
        UpstreamTls {
            server_name: name.into(),
            trust: trust.clone(),
        }
    }

    fn trust() -> Trust {
        let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        Trust::Certificates(vec![made.cert.der().to_vec()].into())
    }

    #[test]
    fn upstreams_of_one_trust_share_a_configuration_for_as_long_as_one_of_them_lives() {
        let mut configs = ClientConfigs::default();
        let (one, other) = (trust(), trust());
        let mut client = |name, trust| {
            let client = configs.client(&tls(name, trust));
            Arc::clone(client.0.unwrap().0.config())
        };
        let a = client("a.test", &one);
        let b = client("b.test", &one);
        let c = client("a.test", &other);
        assert!(Arc::ptr_eq(&a, &b));
        assert!(!Arc::ptr_eq(&a, &c));
        drop((a, c));
        configs.retire_unused();
        assert!(configs.0.keys().eq([&one]));
        drop(b);
        configs.retire_unused();
        assert!(configs.0.is_empty());
    }

    #[tokio::test]
    async fn a_name_that_no_certificate_can_have_fails_before_anything_is_sent() {
        let mut configs = ClientConfigs::default();
        let client = configs.client(&tls("a..test", &trust()));
        let (ours, theirs) = tokio::io::duplex(64);
        let error = client.handshake(ours).await.unwrap_err();
        assert_eq!(
            super::super::classify::handshake_failure(&error),
            crate::failure::Cause::TlsCertificate
        );
        drop(theirs);
    }
}
