//! TLS towards clients: which certificate, and what else the handshake settles.
//!
//! One configuration serves for the life of the process; only the certificate is looked up per
//! handshake, in the table that is being served at that moment, so that a rotated Secret takes
//! effect with the next handshake and nothing is rebuilt. A name finds the certificate of its exact
//! host, else that of the wildcard over it, else the default one; where no default is configured, a
//! self-signed one is presented, which tells a browser's user more than a broken handshake would.
//!
//! A table is compiled from a snapshot in the control runtime. Keys already parsed are taken over
//! from the table before, because thousands of them take seconds to parse.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, ServerConfig};
use rustls_pki_types::PrivateKeyDer;

use crate::routing::host::HostPattern;
use crate::routing::snapshot::{Certificate, Snapshot};

/// The certificates of the served hosts, ready to sign with.
#[derive(Default)]
pub(crate) struct CertificateTable {
    exact: HashMap<Box<str>, Entry, RandomState>,
    /// By the parent name: `*.example.com` is under `example.com`.
    wildcard: HashMap<Box<str>, Entry, RandomState>,
    default: Option<Entry>,
}

/// A certificate of the snapshot and what was made of it.
#[derive(Clone)]
struct Entry {
    source: Arc<Certificate>,
    key: Arc<CertifiedKey>,
}

impl CertificateTable {
    /// The table of a snapshot. What cannot be used is left out: translation has reported it.
    pub(crate) fn compile(snapshot: &Snapshot, before: &Self) -> Self {
        let known: HashMap<*const Certificate, &Entry> = before
            .entries()
            .map(|entry| (Arc::as_ptr(&entry.source), entry))
            .collect();
        let entry = |source: &Arc<Certificate>| match known.get(&Arc::as_ptr(source)) {
            Some(entry) => Some((*entry).clone()),
            None => certified_key(source).ok().map(|key| Entry {
                source: Arc::clone(source),
                key,
            }),
        };
        let mut table = Self {
            default: snapshot.default_certificate.as_ref().and_then(entry),
            ..Self::default()
        };
        for (pattern, host) in &snapshot.hosts {
            let Some(entry) = host.certificate.as_ref().and_then(entry) else {
                continue;
            };
            match pattern {
                HostPattern::Exact(name) => table.exact.insert(name.as_str().into(), entry),
                HostPattern::Wildcard(parent) => {
                    table.wildcard.insert(parent.as_str().into(), entry)
                }
                HostPattern::Any => table.default.replace(entry),
            };
        }
        table
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        let hosts = self.exact.values().chain(self.wildcard.values());
        hosts.chain(&self.default)
    }

    /// For a name in lower case.
    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let wildcard = || {
            let (_, parent) = name.split_once('.')?;
            self.wildcard.get(parent)
        };
        let entry = self.exact.get(name).or_else(wildcard);
        entry.or(self.default.as_ref()).map(|entry| &entry.key)
    }
}

impl fmt::Debug for CertificateTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (exact, wildcard) = (self.exact.len(), self.wildcard.len());
        write!(f, "CertificateTable({exact} exact, {wildcard} wildcard)")
    }
}

/// Makes a certificate ready to sign with.
///
/// # Errors
/// When the key is of no supported kind, or not the certificate's.
pub(crate) fn certified_key(certificate: &Certificate) -> Result<Arc<CertifiedKey>, Error> {
    let chain = certificate.chain.clone();
    let key = certificate.key.clone_key();
    CertifiedKey::from_der(chain, key, &default_provider()).map(Arc::new)
}

/// Presents the certificate that is being served for the name a client asks for.
pub(crate) struct ServedCertificates<T> {
    serving: Arc<ArcSwap<T>>,
    table: fn(&T) -> &CertificateTable,
    self_signed: Arc<CertifiedKey>,
}

impl<T> ServedCertificates<T> {
    /// Looks into `serving`, at the table that `table` finds there.
    ///
    /// # Errors
    /// When the self-signed certificate cannot be made.
    pub(crate) fn new(
        serving: Arc<ArcSwap<T>>,
        table: fn(&T) -> &CertificateTable,
    ) -> Result<Self, CertificateError> {
        Ok(Self {
            serving,
            table,
            self_signed: self_signed()?,
        })
    }
}

impl<T> fmt::Debug for ServedCertificates<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServedCertificates").finish_non_exhaustive()
    }
}

impl<T: Send + Sync> ResolvesServerCert for ServedCertificates<T> {
    /// rustls has the name in lower case, and refuses addresses as names (RFC 6066 section 3).
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let serving = self.serving.load();
        let table = (self.table)(&serving);
        let name = hello.server_name().unwrap_or_default();
        let name = name.strip_suffix('.').unwrap_or(name);
        Some(Arc::clone(table.find(name).unwrap_or(&self.self_signed)))
    }
}

/// Why there is no certificate for those who ask for an unknown name.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    /// It could not be made.
    #[error("cannot make a self-signed certificate")]
    Generate(#[from] rcgen::Error),
    /// It could not be used.
    #[error("cannot use the self-signed certificate")]
    Use(#[from] Error),
}

fn self_signed() -> Result<Arc<CertifiedKey>, CertificateError> {
    let made = rcgen::generate_simple_self_signed(["bywash.invalid".to_owned()])?;
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let chain = vec![made.cert.der().clone()];
    Ok(Arc::new(CertifiedKey::from_der(
        chain,
        key,
        &default_provider(),
    )?))
}

/// The configuration of all TLS listeners: TLS 1.2 and 1.3, HTTP/2 preferred, and tickets, so that
/// any worker resumes what another began.
///
/// # Errors
/// When the cryptographic provider fails.
pub(crate) fn server_config(
    certificates: Arc<dyn ResolvesServerCert>,
) -> Result<Arc<ServerConfig>, Error> {
    let provider: Arc<CryptoProvider> = Arc::new(default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = Ticketer::new()?;
    Ok(Arc::new(config))
}
