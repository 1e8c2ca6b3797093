//! Probes of endpoints to which TLS is spoken.

use std::net::SocketAddr;
use std::sync::Arc;

use bywash::faults::Peer;
use bywash::faults::script::{Script, Step};
use bywash::routing::policy::Policy;
use bywash::routing::policy::upstream::{Probe, Trust, UpstreamTls};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::grpc::{Answer, Server};
use super::{BAD, DOWN, GOOD, check, http, probing};
use crate::dataplane::gateway::Setup;

/// Who has a certificate for `cart.test`.
struct Identity {
    certificate: rcgen::Certificate,
    key: rcgen::KeyPair,
}

impl Identity {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["cart.test".to_owned()]).unwrap();
        Self {
            certificate: made.cert,
            key: made.signing_key,
        }
    }

    fn acceptor(&self, protocols: &[&str]) -> TlsAcceptor {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        TlsAcceptor::from(Arc::new(config))
    }

    /// TLS to who proves to have this identity.
    fn trusted_as(&self, name: &str) -> UpstreamTls {
        UpstreamTls {
            server_name: name.into(),
            trust: Trust::Certificates(vec![self.certificate.der().to_vec()].into()),
        }
    }
}

/// Everything to this endpoint over TLS, which is probed so.
fn securely(endpoint: SocketAddr, probe: Probe, tls: UpstreamTls) -> Setup {
    let mut policy = Policy::default();
    let upstream = policy.upstream_mut();
    upstream.health_check = Some(check(probe));
    upstream.tls = Some(tls);
    Setup::to(&[endpoint], policy)
}

/// Answers every connection with 200, over TLS.
async fn web(acceptor: TlsAcceptor) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(answer(stream, acceptor.clone()));
        }
    });
    (address, tasks)
}

async fn answer(stream: TcpStream, acceptor: TlsAcceptor) {
    if let Ok(mut stream) = acceptor.accept(stream).await
        && stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0)
    {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        let _ = stream.write_all(answer).await;
        let _ = stream.shutdown().await;
    }
}

#[tokio::test]
async fn an_endpoint_with_tls_is_probed_over_tls() {
    let cart = Identity::new();
    let (address, _tasks) = web(cart.acceptor(&["http/1.1"])).await;
    for probe in [http(), Probe::Tcp] {
        let gateway = securely(address, probe, cart.trusted_as("cart.test")).start();
        gateway.until_metric(GOOD, |count| count >= 3.0).await;
        assert_eq!(
            (gateway.metric(BAD, ""), gateway.metric(DOWN, "")),
            (0.0, 0.0)
        );
    }
}

#[tokio::test]
async fn one_that_is_not_who_is_meant_is_down() {
    let (cart, other) = (Identity::new(), Identity::new());
    let (address, _tasks) = web(cart.acceptor(&["http/1.1"])).await;
    for tls in [other.trusted_as("cart.test"), cart.trusted_as("other.test")] {
        for probe in [http(), Probe::Tcp] {
            let gateway = securely(address, probe, tls.clone()).start();
            gateway.until_metric(DOWN, |down| down == 1.0).await;
            assert_eq!(gateway.metric(GOOD, ""), 0.0);
        }
    }
}

#[tokio::test]
async fn one_without_tls_is_down_where_tls_is_spoken_and_the_other_way_round() {
    let cart = Identity::new();
    let answer = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    let plain = Script::on_connection([Step::Send(answer.into()), Step::Finish]);
    let plain = Peer::start(plain).await.unwrap();
    let gateway = securely(plain.address(), http(), cart.trusted_as("cart.test")).start();
    gateway.until_metric(DOWN, |down| down == 1.0).await;
    let (secure, _tasks) = web(cart.acceptor(&["http/1.1"])).await;
    let gateway = probing(&[secure], check(http())).start();
    gateway.until_metric(DOWN, |down| down == 1.0).await;
}

/// Such a server takes nothing but HTTP/2.
#[tokio::test]
async fn a_call_of_grpc_asks_for_http_2() {
    let cart = Identity::new();
    let acceptor = cart.acceptor(&["h2"]);
    let server = Server::start_with(Answer::Health(1), Some(acceptor)).await;
    let probe = Probe::Grpc { service: "".into() };
    let gateway = securely(server.address, probe, cart.trusted_as("cart.test")).start();
    gateway.until_metric(GOOD, |count| count >= 3.0).await;
    assert_eq!(gateway.metric(BAD, ""), 0.0);
    let call = server.calls.lock().unwrap()[0].clone();
    assert_eq!(call.head.uri.scheme_str(), Some("https"));
}
