//! Endpoints with TLS: real rustls servers in front of scripted peers, and authorities that sign for
//! them.
//!
//! The front ends a connection as the test wants, because TLS makes a difference there: an end that is
//! announced, and one that anybody on the way could have made.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bywash::faults::Peer;
use bywash::routing::policy::upstream::{Trust, UpstreamTls};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::WebPkiClientVerifier;
use rustls::{HandshakeKind, RootCertStore, ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The name that endpoints are verified by.
pub(crate) const NAME: &str = "cart.internal";

/// Signs certificates.
pub(crate) struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key.
pub(crate) type Identity = (CertificateDer<'static>, PrivateKeyDer<'static>);

/// How a server ends connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// As TLS wants it: announced.
    Announced,
    /// By a FIN alone.
    Cut,
    /// By bytes that are no TLS.
    Garbage,
}

/// A server with TLS before a peer.
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    seen: Arc<Seen>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    full: AtomicUsize,
    resumed: AtomicUsize,
    /// The name and the protocol that the last client agreed on.
    last: Mutex<(Option<String>, Option<Vec<u8>>)>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        let issuer = Issuer::new(params, key);
        Self {
            certificate,
            issuer,
        }
    }

    /// A certificate for a name.
    pub(crate) fn sign(&self, name: &str) -> Identity {
        self.sign_with(name, |_| {})
    }

    pub(crate) fn sign_expired(&self, name: &str) -> Identity {
        self.sign_with(name, |params| {
            params.not_before = rcgen::date_time_ymd(2000, 1, 1);
            params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        })
    }

    fn sign_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        (certificate.der().clone(), key)
    }

    /// What a gateway is told that trusts it, and verifies by this name.
    pub(crate) fn verifies(&self, name: &str) -> Option<UpstreamTls> {
        Some(UpstreamTls {
            server_name: name.into(),
            trust: Trust::Certificates([self.certificate.to_vec()].into()),
        })
    }

    /// A server that demands a certificate of this authority from its clients.
    pub(crate) fn demanding(
        &self,
        (certificate, key): Identity,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ServerConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(vec![certificate], key)
            .unwrap()
    }
}

/// A server with this certificate.
pub(crate) fn server((certificate, key): Identity) -> ServerConfig {
    ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap()
}

impl Front {
    /// Before the first address of a peer; ends are announced.
    pub(crate) async fn before(peer: &Peer, config: ServerConfig) -> Self {
        Self::ending(peer, config, Ending::Announced).await
    }

    pub(crate) async fn ending(peer: &Peer, config: ServerConfig, ending: Ending) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let seen = Arc::<Seen>::default();
        let (behind, noting) = (peer.address(), seen.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, seen) = (acceptor.clone(), noting.clone());
                connections.spawn(async move {
                    // A handshake that fails is what the test is about.
                    if let Ok(secured) = acceptor.accept(stream).await {
                        seen.note(&secured);
                        serve(secured, behind, ending).await;
                    }
                });
            }
        });
        Self {
            address,
            seen,
            _tasks: tasks,
        }
    }

    /// Handshakes so far that were full, and those that resumed a session.
    pub(crate) fn handshakes(&self) -> (usize, usize) {
        let count = |it: &AtomicUsize| it.load(Ordering::Relaxed);
        (count(&self.seen.full), count(&self.seen.resumed))
    }

    /// The name and the protocol of the last client.
    pub(crate) fn agreed(&self) -> (Option<String>, Option<Vec<u8>>) {
        self.seen.last.lock().unwrap().clone()
    }
}

impl Seen {
    fn note(&self, stream: &TlsStream<TcpStream>) {
        let session = stream.get_ref().1;
        let kind = match session.handshake_kind() {
            Some(HandshakeKind::Resumed) => &self.resumed,
            _ => &self.full,
        };
        kind.fetch_add(1, Ordering::Relaxed);
        let name = session.server_name().map(str::to_owned);
        *self.last.lock().unwrap() = (name, session.alpn_protocol().map(<[u8]>::to_vec));
    }
}

/// Carries bytes until the peer ends, then ends as told. A reset of the peer is passed on.
async fn serve(mut secured: TlsStream<TcpStream>, behind: SocketAddr, ending: Ending) {
    let Ok(mut plain) = TcpStream::connect(behind).await else {
        return;
    };
    let (mut from_peer, mut to_peer) = plain.split();
    let (mut from_client, mut to_client) = tokio::io::split(&mut secured);
    let up = async {
        let _ = copy(&mut from_client, &mut to_peer).await;
        let _ = to_peer.shutdown().await;
    };
    let down = async {
        let whole = copy(&mut from_peer, &mut to_client).await.is_ok();
        to_client.flush().await.is_ok() && whole
    };
    let (mut up, mut down) = (Box::pin(up), Box::pin(down));
    let mut client_left = false;
    let whole = loop {
        tokio::select! {
            whole = &mut down => break whole,
            () = &mut up, if !client_left => client_left = true,
        }
    };
    drop((up, down));
    let raw = secured.get_mut().0;
    if !whole {
        let socket = socket2::SockRef::from(&*raw);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
        return;
    }
    let _ = match ending {
        Ending::Announced => secured.shutdown().await,
        Ending::Cut => raw.shutdown().await,
        Ending::Garbage => {
            raw.write_all(b"\x17\x03\x03\x00\x20no bytes of TLS, but of anybody ..")
                .await
        }
    };
    // No reset follows: whatever the client still sends is read.
    let _ = copy(secured.get_mut().0, &mut tokio::io::sink()).await;
}
