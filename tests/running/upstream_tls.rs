//! TLS to upstreams that are verified by the roots of the system.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::{fs, thread};

use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::PrivateKeyDer;

use crate::http::get;
use crate::manifests::{Manifests, route};
use crate::program::Program;

const HOST: &str = "shop.example";

/// A server that answers every request over TLS, and its own certificate.
fn server(name: &str) -> (SocketAddr, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([name.to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let pem = certificate.pem();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let session = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut secured = BufReader::new(StreamOwned::new(session, stream.unwrap()));
            let mut line = String::new();
            while secured.read_line(&mut line).is_ok_and(|read| read > 2) {
                line.clear();
            }
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nsecured";
            let _client_gone = secured.get_mut().write_all(answer.as_bytes());
        }
    });
    (address, pem)
}

/// Leads to a server whose Service says `appProtocol: https`.
fn leading_to(address: SocketAddr) -> String {
    let plain = route("shop", HOST, address);
    plain.replace("port: 80}]}", "port: 80, appProtocol: https}]}")
}

/// A program whose system has these roots, before there is anything to serve.
fn with_roots(pem: &str) -> (Manifests, Program) {
    let manifests = Manifests::empty();
    let roots = manifests.path().join("roots.pem");
    fs::write(&roots, pem).unwrap();
    let preparation = format!(
        "unset SSL_CERT_DIR && export SSL_CERT_FILE='{}'",
        roots.display()
    );
    let program = Program::standalone_under(&preparation, manifests.path());
    (manifests, program)
}

#[test]
fn ssl_cert_file_says_which_roots_the_system_has() {
    let (address, certificate) = server("shop.shop.svc");
    let (manifests, program) = with_roots(&certificate);
    manifests.write("shop.yaml", &leading_to(address));
    program.said("the system's root certificates verify endpoints");
    program.said("serving");
    let answer = get(program.http, HOST, "/");
    assert_eq!((answer.status, answer.body.as_str()), (200, "secured"));
}

#[test]
fn without_roots_no_endpoint_is_trusted_and_the_log_says_what_to_do() {
    let (address, _) = server("shop.shop.svc");
    let (manifests, program) = with_roots("");
    manifests.write("shop.yaml", &leading_to(address));
    let told = program.said("the system has no root certificates");
    assert_eq!(told["level"], "ERROR");
    program.said("serving");
    let answer = get(program.http, HOST, "/");
    assert_eq!(answer.status, 502);
    assert!(
        answer.head.contains("error=tls_certificate_error"),
        "{answer:?}"
    );
}

#[test]
fn a_config_map_among_the_manifests_verifies_and_is_followed() {
    let (address, certificate) = server("cart.internal");
    let manifests = Manifests::empty();
    manifests.write("shop.yaml", &leading_to(address));
    let policy = "\
apiVersion: bywash.dev/v1alpha1
kind: GatewayPolicy
metadata: {name: shop, namespace: shop}
spec:
  targetRefs: [{group: '', kind: Service, name: shop}]
  upstreamTls: {caConfigMap: {name: ca}, serverName: cart.internal}
";
    manifests.write("policy.yaml", policy);
    let program = Program::standalone(manifests.path(), &[]);
    let answer = get(program.http, HOST, "/");
    assert_eq!(answer.status, 503);
    assert!(
        answer.head.contains("error=destination_unavailable"),
        "{answer:?}"
    );
    let lines: Vec<String> = certificate
        .lines()
        .map(|line| format!("    {line}\n"))
        .collect();
    let ca = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: ca, namespace: shop, labels: \
         {{bywash.dev/ca: \"true\"}}}}\ndata:\n  ca.crt: |\n{}",
        lines.concat()
    );
    manifests.write("ca.yaml", &ca);
    program.said("serving");
    let answer = get(program.http, HOST, "/");
    assert_eq!((answer.status, answer.body.as_str()), (200, "secured"));
}
