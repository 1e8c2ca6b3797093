//! Which certificate is presented, and what the handshake chooses.

use std::collections::BTreeMap;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::routing::host::HostPattern;
use crate::routing::snapshot::{Certificate, Snapshot, VirtualHost};

/// Takes any certificate: these tests look at which one it is.
#[derive(Debug)]
struct Whatever;

impl ServerCertVerifier for Whatever {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

fn connector(alpn: &[&str]) -> TlsConnector {
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Whatever))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

async fn connect(server: &Server, connector: &TlsConnector, name: &str) -> TlsStream<TcpStream> {
    let address = server.plane.https_address().unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    connector.connect(name, stream).await.unwrap()
}

/// The certificate presented for a name.
async fn presented(server: &Server, name: &str) -> CertificateDer<'static> {
    let stream = connect(server, &connector(&[]), name).await;
    let (_, session) = stream.get_ref();
    session.peer_certificates().unwrap()[0].clone().into_owned()
}

fn certificate(name: &str) -> Arc<Certificate> {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    Arc::new(Certificate {
        chain: vec![made.cert.der().clone()],
        key: Arc::new(key),
    })
}

fn snapshot(hosts: &[(&str, &Arc<Certificate>)]) -> Snapshot {
    let host = |(pattern, certificate): &(&str, &Arc<Certificate>)| {
        let host = VirtualHost {
            certificate: Some(Arc::clone(certificate)),
            tls: true,
            ..VirtualHost::default()
        };
        (HostPattern::parse(pattern).unwrap(), host)
    };
    Snapshot {
        hosts: hosts.iter().map(host).collect::<BTreeMap<_, _>>(),
        ..Snapshot::default()
    }
}

impl Server {
    fn present(&self, snapshot: &Snapshot) {
        let table = CertificateTable::compile(snapshot, &self.certificates.load());
        self.certificates.store(Arc::new(table));
    }
}

#[tokio::test]
async fn the_exact_host_wins_over_the_wildcard_and_that_over_the_default() {
    let server = start(&settings());
    let (exact, wildcard, default) = (certificate("a"), certificate("b"), certificate("c"));
    let mut snapshot = snapshot(&[("shop.example", &exact), ("*.example", &wildcard)]);
    snapshot.default_certificate = Some(Arc::clone(&default));
    server.present(&snapshot);
    for (name, expected) in [
        ("shop.example", &exact),
        ("SHOP.example", &exact),
        ("other.example", &wildcard),
        ("a.b.example", &default),
        ("example", &default),
        ("127.0.0.1", &default), // an address is not sent as a name
    ] {
        assert_eq!(presented(&server, name).await, expected.chain[0], "{name}");
    }
}

#[tokio::test]
async fn without_a_default_a_self_signed_certificate_is_presented() {
    let server = start(&settings());
    let first = presented(&server, "any.example").await;
    assert_eq!(presented(&server, "other.example").await, first);
}

#[tokio::test]
async fn a_rotated_certificate_is_presented_from_the_next_handshake_on() {
    let server = start(&settings());
    let (old, new) = (certificate("a"), certificate("a"));
    server.present(&snapshot(&[("shop.example", &old)]));
    let mut open = connect(&server, &connector(&["http/1.1"]), "shop.example").await;
    server.present(&snapshot(&[("shop.example", &new)]));
    assert_eq!(presented(&server, "shop.example").await, new.chain[0]);
    // The old connection goes on.
    let request = b"GET /1 HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n";
    open.write_all(request).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, open.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert!(answer.ends_with("/1 0"), "{answer}");
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_leaves_its_host_to_the_default() {
    let server = start(&settings());
    let (broken, default) = (certificate("a"), certificate("b"));
    let broken = Arc::new(Certificate {
        chain: broken.chain.clone(),
        key: Arc::clone(&default.key),
    });
    let mut snapshot = snapshot(&[("shop.example", &broken)]);
    snapshot.default_certificate = Some(Arc::clone(&default));
    server.present(&snapshot);
    assert_eq!(presented(&server, "shop.example").await, default.chain[0]);
}

#[tokio::test]
async fn alpn_chooses_http_2_where_the_client_can() {
    let server = start(&settings());
    let stream = connect(&server, &connector(&["http/1.1", "h2"]), "a.example").await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut send, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = Request::builder()
        .uri("https://a.example/2")
        .body(())
        .unwrap();
    let (response, _) = send.send_request(request, true).unwrap();
    assert_eq!(
        timeout(PATIENCE, response).await.unwrap().unwrap().status(),
        200
    );
}

#[tokio::test]
async fn a_client_without_alpn_speaks_http_1() {
    let server = start(&settings());
    let mut stream = connect(&server, &connector(&[]), "a.example").await;
    stream.write_all(b"GET /1 HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    // rustls reports an end without close_notify as an error: there is none.
    timeout(PATIENCE, stream.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert!(answer.ends_with("/1 0"), "{answer}");
}

#[tokio::test]
async fn sessions_are_resumed_on_any_worker() {
    let server = start(&settings());
    let connector = connector(&["http/1.1"]);
    let mut resumed = 0;
    for _ in 0..4 {
        let mut stream = connect(&server, &connector, "a.example").await;
        let request = b"GET /1 HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        let kind = stream.get_ref().1.handshake_kind();
        resumed += usize::from(kind == Some(rustls::HandshakeKind::Resumed));
    }
    assert_eq!(resumed, 3);
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_ended() {
    let server = start(&Settings {
        client_header_timeout: Duration::from_millis(200),
        ..settings()
    });
    let mut silent = Client::connect(server.plane.https_address().unwrap()).await;
    assert_eq!(silent.read_to_end().await.0, "");
    timeout(PATIENCE, server.plane.emptied()).await.unwrap();
}

#[tokio::test]
async fn a_slow_head_over_tls_is_answered_with_408() {
    let server = start(&Settings {
        client_header_timeout: Duration::from_secs(2),
        ..settings()
    });
    let mut stream = connect(&server, &connector(&["http/1.1"]), "a.example").await;
    stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}
