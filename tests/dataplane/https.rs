//! TLS towards clients, through the whole data plane.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bywash::faults::{Fault, Peer};
use bywash::routing::host::HostPattern;
use bywash::routing::policy::Policy;
use bywash::routing::snapshot::Certificate;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::client::{get, within};
use super::gateway::{Gateway, Setup, addresses};

/// A gateway that serves `shop.test` with a certificate of its own, and a client that trusts it.
pub(crate) fn secured(peer: &Peer, policy: Policy) -> (Gateway, TlsConnector) {
    let made = rcgen::generate_simple_self_signed(["shop.test".to_owned()]).unwrap();
    let certificate = Certificate {
        chain: vec![made.cert.der().clone()],
        key: Arc::new(PrivateKeyDer::Pkcs8(
            made.signing_key.serialize_der().into(),
        )),
    };
    let mut setup = Setup::to(&addresses(&[peer]), policy);
    setup.settings.https = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let mut host = setup.snapshot.hosts[&HostPattern::Any].clone();
    host.tls = true;
    host.certificate = Some(Arc::new(certificate));
    setup.snapshot.hosts = BTreeMap::from([(HostPattern::parse("shop.test").unwrap(), host)]);
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (setup.start(), TlsConnector::from(Arc::new(config)))
}

/// The answer to a request that ends its connection, as it came.
pub(crate) async fn ask_over_tls(
    gateway: &Gateway,
    connector: &TlsConnector,
    request: &str,
) -> String {
    let stream = TcpStream::connect(gateway.https.unwrap()).await.unwrap();
    let name = ServerName::try_from("shop.test").unwrap();
    let mut stream = within("a handshake", connector.connect(name, stream))
        .await
        .unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within("an answer", stream.read_to_string(&mut answer))
        .await
        .unwrap();
    answer
}

#[tokio::test]
async fn plain_http_is_sent_to_https_but_for_acme_challenges() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let (gateway, _) = secured(&peer, Policy::default());
    let answer = gateway.ask(get("/a?q")).await;
    assert_eq!(answer.status, 308);
    assert_eq!(answer.field("location"), Some("https://shop.test/a?q"));
    assert_eq!(peer.requests(), 0);
    let challenge = get("/.well-known/acme-challenge/x");
    gateway.ask(challenge).await.described();
}

#[tokio::test]
async fn the_endpoint_learns_that_the_client_spoke_tls() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let (gateway, connector) = secured(&peer, Policy::default());
    let request = "GET /a HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n";
    let answer = ask_over_tls(&gateway, &connector, request).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let seen = String::from_utf8(peer.received().remove(0).bytes).unwrap();
    for line in ["x-forwarded-proto: https\r\n", "x-forwarded-port: 443\r\n"] {
        assert!(seen.contains(line), "{seen}");
    }
}
