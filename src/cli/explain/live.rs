//! The live view: from an address that was given, or through the API server from the replicas.
//!
//! It is an addition: where it cannot be had, one line says why, and the rest is told all the same.

use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::admin::state::shape::{self, Live};
use crate::dns;
use crate::stores::reader::Reader;
use crate::stores::{installation, reports};

use super::facts::Replica;

/// Nobody waits longer for what is only an addition.
const PATIENCE: Duration = Duration::from_secs(4);

/// No view is larger.
const LARGEST: usize = 64 << 20;

/// More replicas are not asked.
const MOST_REPLICAS: usize = 4;

/// The admin port of a Pod.
const PORT: u16 = 9091;

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoView {
    #[error("{0} does not answer")]
    NoAnswer(String, #[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("{0} does not answer in time")]
    Silent(String),
    #[error("{0} answers {1}: it is no Bywash of this version")]
    Status(String, StatusCode),
    #[error("{0} answers in a form that this version does not know")]
    Form(String),
    #[error("{0:?} is no address of an admin port; write it as http://127.0.0.1:9091")]
    Address(String),
    #[error("no replica is known in namespace {0}; name another with --controller-namespace")]
    NoReplica(String),
}

/// The view of a replica whose admin port is at this address.
pub(super) async fn at(address: &str, ingress: Option<&str>) -> Result<Replica, NoView> {
    let invalid = || NoView::Address(address.to_owned());
    let uri: Uri = address.parse().map_err(|_| invalid())?;
    let (Some("http"), Some(host)) = (uri.scheme_str(), uri.host()) else {
        return Err(invalid());
    };
    let target = (
        host.trim_matches(['[', ']']).to_owned(),
        uri.port_u16().unwrap_or(80),
    );
    let connected = async {
        let found = dns::addresses(&target.0, target.1).await;
        let found = found.map_err(|error| NoView::NoAnswer(address.to_owned(), error.into()))?;
        let stream = TcpStream::connect(&found[..]).await;
        stream.map_err(|error| NoView::NoAnswer(address.to_owned(), error.into()))
    };
    in_time(address, async {
        ask(address, connected.await?, ingress).await
    })
    .await
}

/// Where the replicas of an installation are.
#[derive(Clone, Debug)]
pub(super) struct Installation {
    pub(super) namespace: String,
    /// The class and its controller, where they are known.
    pub(super) class: Option<(String, String)>,
}

/// The views of its replicas, through the API server; and why there are no more.
pub(super) async fn of(
    reader: &Reader,
    installation: &Installation,
    ingress: Option<&str>,
) -> (Vec<Replica>, Option<NoView>) {
    let pods = pods(reader, installation).await;
    if pods.is_empty() {
        return (
            Vec::new(),
            Some(NoView::NoReplica(installation.namespace.clone())),
        );
    }
    let views = pods.iter().map(|pod| async {
        let name = pod.clone();
        in_time(&name, async {
            let stream = reader.forward((&installation.namespace, pod), PORT).await;
            let stream = stream.map_err(|error| NoView::NoAnswer(pod.clone(), error.into()))?;
            ask(pod, stream, ingress).await
        })
        .await
    });
    let (mut views_seen, mut missing) = (Vec::new(), None);
    for view in futures::future::join_all(views).await {
        match view {
            Ok(view) => views_seen.push(view),
            Err(error) => missing = Some(error),
        }
    }
    (views_seen, missing)
}

/// The Pods that publish what they see, and the one that leads.
async fn pods(reader: &Reader, installation: &Installation) -> Vec<String> {
    let namespace = installation.namespace.as_str();
    let lease = installation.class.as_ref();
    let lease = lease.map(|(class, controller)| installation::name(controller, class));
    let labels = lease.as_deref().map(reports::selector);
    let (names, leases) = tokio::join!(
        reader.names::<ConfigMap>(namespace, labels.as_deref()),
        reader.list::<Lease>(Some(namespace))
    );
    let names = names.unwrap_or_default();
    let mut pods: Vec<String> = names
        .iter()
        .filter_map(|name| name.strip_prefix(reports::NAME).map(str::to_owned))
        .collect();
    let is_wanted = |name: &str| match &lease {
        Some(lease) => name == lease,
        None => name.starts_with("bywash"),
    };
    for it in leases.unwrap_or_default() {
        let holder = it.spec.and_then(|spec| spec.holder_identity);
        if it.metadata.name.as_deref().is_some_and(is_wanted) {
            pods.extend(holder.filter(|holder| !holder.is_empty()));
        }
    }
    pods.sort();
    pods.dedup();
    pods.truncate(MOST_REPLICAS);
    pods
}

async fn in_time<T>(
    name: &str,
    work: impl Future<Output = Result<T, NoView>>,
) -> Result<T, NoView> {
    let done = timeout(PATIENCE, work).await;
    done.unwrap_or_else(|_| Err(NoView::Silent(name.to_owned())))
}

/// Asks the admin port at the other end of a stream.
async fn ask(
    name: &str,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ingress: Option<&str>,
) -> Result<Replica, NoView> {
    let fails =
        |error: Box<dyn std::error::Error + Send + Sync>| NoView::NoAnswer(name.to_owned(), error);
    let conversation = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = conversation.map_err(|error| fails(error.into()))?;
    let connection = tokio::spawn(connection);
    let query = ingress
        .map(|ingress| format!("?ingress={ingress}"))
        .unwrap_or_default();
    let request = Request::get(format!("/debug/state{query}"))
        .header(HOST, "localhost")
        .body(Empty::<Bytes>::new())
        .map_err(|error| fails(error.into()))?;
    let answer = sender
        .send_request(request)
        .await
        .map_err(|error| fails(error.into()))?;
    let status = answer.status();
    if status != StatusCode::OK {
        return Err(NoView::Status(name.to_owned(), status));
    }
    let body = Limited::new(answer.into_body(), LARGEST)
        .collect()
        .await
        .map_err(fails)?;
    connection.abort();
    let live: Option<Live> = serde_json::from_slice(&body.to_bytes()).ok();
    let live = live.filter(|live| live.version == shape::VERSION);
    Ok(Replica {
        name: name.to_owned(),
        live: live.ok_or_else(|| NoView::Form(name.to_owned()))?,
    })
}
