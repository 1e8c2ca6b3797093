//! TLS to pods: asked for by a Service, verified by a ConfigMap, told on the policy.

use std::net::Ipv4Addr;
use std::sync::Arc;

use bywash::api::policy::GatewayPolicy;
use http::StatusCode;
use k8s_openapi::api::core::v1::ConfigMap;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls_pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::objects::{POD_PORT, object};
use crate::policy::{IN_FORCE, for_service, has_conditions, policy};
use crate::replica::Replica;
use crate::tenant::Tenant;
use crate::workload::Workload;

trials![
    a_service_with_tls_is_served_by_the_ca_of_a_config_map_which_may_be_rotated,
    without_the_ca_nothing_is_sent_and_it_is_told_until_it_is_there,
    a_ca_that_becomes_unusable_keeps_its_last_good_certificates_and_is_told,
];

const HOST: &str = "shop.example";

/// The port at which pods speak TLS.
const SECURED: u16 = 8443;

const UNRESOLVED: [&str; 4] = [
    "Accepted=True/Accepted",
    "ResolvedRefs=False/RefNotFound",
    "Programmed=True/Programmed",
    "Ready=False/RefNotFound",
];

/// A certificate authority.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { pem, issuer }
    }

    /// TLS before the pod at an address, under this name; ends with all its connections when dropped.
    async fn before(&self, pod: Ipv4Addr, name: &str) -> Front {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind((pod, SECURED)).await.unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Front(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                connections.spawn(async move {
                    let mut secured = acceptor.accept(stream).await?;
                    let mut plain = TcpStream::connect((pod, POD_PORT)).await?;
                    copy_bidirectional(&mut secured, &mut plain).await
                });
            }
        }))
    }
}

struct Front(JoinHandle<()>);

impl Front {
    async fn end(mut self) {
        self.0.abort();
        let _ = (&mut self.0).await;
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A ConfigMap with certificates.
fn ca(labels: Value, pem: &str) -> ConfigMap {
    object(json!({"metadata": {"name": "ca", "labels": labels}, "data": {"ca.crt": pem}}))
}

fn labelled() -> Value {
    json!({"bywash.dev/ca": "true"})
}

fn verified() -> GatewayPolicy {
    let tls = json!({"upstreamTls": {"caConfigMap": {"name": "ca"}}});
    policy("p", for_service("web", tls))
}

/// A Service that says `appProtocol: https`, and the Ingress that leads to it.
async fn secured(shop: &Tenant) -> Workload<'_> {
    let web = shop.workload("web", 1).await;
    let ports = json!([
        {"name": "https", "port": 80, "targetPort": SECURED, "appProtocol": "https"},
    ]);
    shop.patch(&web.service, json!({"spec": {"ports": ports}}))
        .await;
    web.slices_at(SECURED).await;
    shop.ingress("shop", HOST, "web").await;
    web
}

fn service_name(shop: &Tenant) -> String {
    format!("web.{}.svc", shop.name)
}

async fn is_served(bywash: &Replica) {
    let reply = bywash.get(HOST, "/").await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    assert_eq!(reply.pod(), "web-0");
}

async fn fails(bywash: &Replica, status: StatusCode, error: &str) {
    let reply = bywash.get(HOST, "/").await;
    assert_eq!(reply.status, status, "{reply:?}");
    let why = reply.headers["proxy-status"].to_str().unwrap();
    assert!(why.ends_with(&format!("error={error}")), "{why}");
}

async fn a_service_with_tls_is_served_by_the_ca_of_a_config_map_which_may_be_rotated() {
    let shop = Tenant::new().await;
    let web = secured(&shop).await;
    let (old, new) = (Authority::new(), Authority::new());
    let pod = web.pods[0].ip;
    let front = old.before(pod, &service_name(&shop)).await;
    let trusted = shop.create(ca(labelled(), &old.pem)).await;
    let given = shop.create(verified()).await;
    let bywash = shop.controller().await;
    bywash.processed(&given).await;
    is_served(&bywash).await;
    has_conditions(&shop, &given, &IN_FORCE).await;

    front.end().await;
    let _front = new.before(pod, &service_name(&shop)).await;
    fails(&bywash, StatusCode::BAD_GATEWAY, "tls_certificate_error").await;
    let both = json!({"data": {"ca.crt": format!("{}{}", old.pem, new.pem)}});
    let rotated = shop.patch(&trusted, both).await;
    bywash.processed(&rotated).await;
    is_served(&bywash).await;
}

async fn without_the_ca_nothing_is_sent_and_it_is_told_until_it_is_there() {
    let shop = Tenant::new().await;
    let web = secured(&shop).await;
    let authority = Authority::new();
    let _front = authority.before(web.pods[0].ip, &service_name(&shop)).await;
    let given = shop.create(verified()).await;
    let bywash = shop.controller().await;
    bywash.processed(&given).await;
    fails(
        &bywash,
        StatusCode::SERVICE_UNAVAILABLE,
        "destination_unavailable",
    )
    .await;
    let told = has_conditions(&shop, &given, &UNRESOLVED).await;
    let conditions = told.status.unwrap().conditions.unwrap();
    let message = &conditions[1].message;
    assert!(
        message.contains("does not exist or lacks the label bywash.dev/ca=true"),
        "{message}"
    );
    shop.event(&given, "lacks the label").await;

    let unlabelled = shop.create(ca(json!({}), &authority.pem)).await;
    let labels = json!({"metadata": {"labels": labelled()}});
    let found = shop.patch(&unlabelled, labels).await;
    bywash.processed(&found).await;
    is_served(&bywash).await;
    has_conditions(&shop, &given, &IN_FORCE).await;

    shop.delete(&found).await;
    bywash.processed_deletion(&found).await;
    fails(
        &bywash,
        StatusCode::SERVICE_UNAVAILABLE,
        "destination_unavailable",
    )
    .await;
    assert_eq!(web.seen(), 1);
}

async fn a_ca_that_becomes_unusable_keeps_its_last_good_certificates_and_is_told() {
    let shop = Tenant::new().await;
    let web = secured(&shop).await;
    let authority = Authority::new();
    let _front = authority.before(web.pods[0].ip, &service_name(&shop)).await;
    let good = shop.create(ca(labelled(), &authority.pem)).await;
    let given = shop.create(verified()).await;
    let bywash = shop.controller().await;
    bywash.processed(&given).await;
    is_served(&bywash).await;
    let broken = shop.patch(&good, json!({"data": {"ca.crt": "none"}})).await;
    bywash.processed(&broken).await;
    is_served(&bywash).await;
    let told = has_conditions(&shop, &given, &UNRESOLVED).await;
    let message = &told.status.unwrap().conditions.unwrap()[1].message;
    assert!(
        message.contains("its last good certificates stay in use"),
        "{message}"
    );
}
