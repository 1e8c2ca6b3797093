use std::sync::Arc;
use std::time::SystemTime;

use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;

const NAME: &str = "cart.test";

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn valid() -> CertificateParams {
    CertificateParams::new([NAME.to_owned()]).unwrap()
}

/// What the failed handshake tells with a server on the other side that does this.
async fn hint_of<F: Future<Output = ()> + Send + 'static>(
    trusted: &CertificateDer<'_>,
    server: impl FnOnce(DuplexStream) -> F,
) -> Option<Hint> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone().into_owned()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (ours, theirs) = tokio::io::duplex(16 * 1024);
    tokio::spawn(server(theirs));
    let connector = TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from(NAME).unwrap();
    let error = connector.connect(name, ours).await.unwrap_err();
    handshake_hint(&error).map(|hint| *hint)
}

/// Which authority is trusted.
#[derive(Clone, Copy)]
enum Trusted {
    /// The one that issued the certificate.
    Issuer,
    /// One of its name, with another key.
    SameName,
    Other,
}

/// The same with a server that has such a certificate.
async fn hint_of_certificate(params: CertificateParams, trusted: Trusted) -> Option<Hint> {
    let issuer = authority("one");
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .unwrap();
    let other = |name| authority(name).der().clone();
    let trusted = match trusted {
        Trusted::Issuer => issuer.der().clone(),
        Trusted::SameName => other("one"),
        Trusted::Other => other("another"),
    };
    hint_of(&trusted, |stream| async move {
        let _ = TlsAcceptor::from(Arc::new(config)).accept(stream).await;
    })
    .await
}

#[tokio::test]
async fn a_certificate_that_is_over_or_not_yet_good_says_when() {
    let mut over = valid();
    over.not_before = date_time_ymd(2001, 1, 1);
    over.not_after = date_time_ymd(2001, 9, 9);
    let hint = hint_of_certificate(over, Trusted::Issuer).await;
    assert_eq!(hint, Some(Hint::Expired(999_993_600)));

    let mut early = valid();
    early.not_before = date_time_ymd(4000, 1, 1);
    let Some(Hint::NotYetValid(at)) = hint_of_certificate(early, Trusted::Issuer).await else {
        panic!("another hint");
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    assert!(at > now.unwrap().as_secs());
}

#[tokio::test]
async fn a_certificate_for_other_names_says_for_some_of_them() {
    let names = ["a.test", "*.b.test", "10.0.0.1", "d.test"].map(str::to_owned);
    let hint = hint_of_certificate(CertificateParams::new(names).unwrap(), Trusted::Issuer).await;
    let expected = Names {
        wanted: NAME.into(),
        found: ["a.test", "*.b.test", "10.0.0.1"].map(Into::into).into(),
    };
    assert_eq!(hint, Some(Hint::WrongName(Box::new(expected))));
}

/// As `openssl req -x509` makes them.
#[tokio::test]
async fn a_certificate_of_an_authority_itself_is_told_whether_it_is_trusted_or_not() {
    let own = authority("one");
    for trusted in [own.der().clone(), authority("another").der().clone()] {
        let key = PrivateKeyDer::Pkcs8(own.key().serialize_der().into());
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.der().clone()], key)
            .unwrap();
        let hint = hint_of(&trusted, |stream| async move {
            let _ = TlsAcceptor::from(Arc::new(config)).accept(stream).await;
        });
        assert_eq!(hint.await, Some(Hint::CaAsServer));
    }
}

#[tokio::test]
async fn an_issuer_that_is_not_trusted_is_told_from_the_rest() {
    for trusted in [Trusted::Other, Trusted::SameName] {
        let hint = hint_of_certificate(valid(), trusted).await;
        assert_eq!(hint, Some(Hint::UnknownIssuer));
    }
}

#[tokio::test]
async fn a_server_without_tls_is_known_by_what_it_says_or_by_its_silence() {
    let issuer = authority("one");
    let hint = hint_of(issuer.der(), |mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    });
    assert_eq!(hint.await, Some(Hint::Speaks(Protocol::NotTls)));
    let hint = hint_of(issuer.der(), |stream| async { drop(stream) }).await;
    assert_eq!(hint, Some(Hint::SilentHandshake));
}

fn moved(read: u64, first: [u8; 8]) -> Moved {
    Moved {
        written: 100,
        read,
        first,
    }
}

#[test]
fn what_is_not_http_is_named_and_what_is_too_large_measured() {
    let hint = |cause, moved| exchange_hint(cause, moved).map(|hint| *hint);
    let alert = moved(7, *b"\x15\x03\x01\x00\x02\x02\x46\x00");
    assert_eq!(
        hint(Cause::NotHttp, alert),
        Some(Hint::Speaks(Protocol::Tls))
    );
    let answer = *b"HTTP/1.1";
    assert_eq!(
        hint(Cause::HeadTooLarge, moved(65_536, answer)),
        Some(Hint::HeadOverBytes(65_536))
    );
    assert_eq!(
        hint(Cause::HeadTooLarge, moved(4_000, answer)),
        Some(Hint::HeadOverFields(128))
    );
    assert_eq!(
        hint(Cause::TlsAlert(TlsAlert(116)), alert),
        Some(Hint::Alert(116))
    );
    assert_eq!(hint(Cause::ConnectionReset, alert), None);
    assert_eq!(hint(Cause::NotHttp, moved(8, *b"garbage!")), None);
}

#[test]
fn a_local_lack_is_not_held_against_the_endpoint() {
    for errno in [11, 23, 24, 99, 105] {
        let cause = connect_failure(&io::Error::from_raw_os_error(errno));
        assert_eq!(cause, Cause::LocalResources, "errno {errno}");
    }
}

#[test]
fn each_connect_error_has_its_cause() {
    for (errno, cause) in [
        (111, Cause::ConnectionRefused),
        (113, Cause::AddressUnroutable),
        (101, Cause::AddressUnroutable),
        (110, Cause::ConnectTimeout),
        (104, Cause::ClosedBeforeSend),
        (1, Cause::AddressUnroutable),
        (13, Cause::AddressUnroutable),
    ] {
        assert_eq!(
            connect_failure(&io::Error::from_raw_os_error(errno)),
            cause,
            "errno {errno}"
        );
    }
}

#[test]
fn what_is_behind_an_error_is_told_once() {
    let reset = io::Error::from_raw_os_error(104);
    let outer = io::Error::other(reset);
    assert_eq!(&*detail(&outer), "Connection reset by peer (os error 104)");
    assert_eq!(detail(&io::Error::other("é".repeat(200))).len(), DETAIL);
}
