//! The client-facing half over real sockets, with a handler that does as the path says.

mod drain;
mod floods;
mod http2;
mod limits;
mod malformed;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures::StreamExt;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use super::client::ClientContext;
use super::data_plane::DataPlane;
use super::head;
use super::refusal::Refusals;
use super::settings::Settings;
use super::tls::{CertificateTable, ServedCertificates};
use crate::failure::Cause;
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::metrics::Metrics;

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(20);

type TestBody = BoxBody<Bytes, io::Error>;

/// A running data plane and the strings of its handler.
struct Server {
    plane: DataPlane,
    http: SocketAddr,
    /// A permit lets one request to `/held` go on.
    gate: Arc<Semaphore>,
    /// The path of each request, when its handler begins.
    seen: mpsc::UnboundedReceiver<String>,
    certificates: Arc<ArcSwap<CertificateTable>>,
    metrics: Arc<Metrics>,
}

fn settings() -> Settings {
    Settings {
        http: Some("127.0.0.1:0".parse().unwrap()),
        https: Some("127.0.0.1:0".parse().unwrap()),
        workers: NonZeroUsize::new(2).unwrap(),
        ..Settings::default()
    }
}

fn start(settings: &Settings) -> Server {
    start_logging(settings, AccessLog::off())
}

/// With a log of what is refused below the handler.
fn start_logging(settings: &Settings, access_log: AccessLog) -> Server {
    let gate = Arc::new(Semaphore::new(0));
    let (sees, seen) = mpsc::unbounded_channel();
    let certificates = Arc::new(ArcSwap::from_pointee(CertificateTable::default()));
    let resolver = ServedCertificates::new(Arc::clone(&certificates), |table| table).unwrap();
    let handler = {
        let gate = Arc::clone(&gate);
        move |context, request| handle(context, request, Arc::clone(&gate), sees.clone())
    };
    let metrics = Metrics::new(2);
    let refusals = Refusals {
        metrics: Arc::clone(&metrics),
        access_log,
    };
    let plane = DataPlane::launch(settings, Arc::new(resolver), refusals, handler).unwrap();
    Server {
        http: plane.http_address().unwrap(),
        plane,
        gate,
        seen,
        certificates,
        metrics,
    }
}

async fn handle(
    context: Arc<ClientContext>,
    request: Request<Incoming>,
    gate: Arc<Semaphore>,
    sees: mpsc::UnboundedSender<String>,
) -> Response<TestBody> {
    let (parts, body) = request.into_parts();
    let head = match head::check(&parts) {
        Ok(head) => head,
        Err(fault) => return refuse(Cause::BadRequest(fault).status()),
    };
    // The test may have ended already.
    let _ = sees.send(head.path().to_owned());
    match head.path() {
        "/held" => {
            let permit = gate.acquire().await.unwrap();
            permit.forget();
            answer("held")
        }
        "/begun" => Response::new(begun(gate)),
        "/unread" => refuse(StatusCode::PAYLOAD_TOO_LARGE),
        "/endless" => Response::new(endless()),
        "/truncated" => Response::new(truncated()),
        "/tunnel" => tunnel(Request::from_parts(parts, body)),
        "/worker" => answer(&context.worker.to_string()),
        path => match body.collect().await {
            Ok(whole) => answer(&format!("{path} {}", whole.to_bytes().len())),
            Err(_) => refuse(StatusCode::BAD_REQUEST),
        },
    }
}

fn answer(text: &str) -> Response<TestBody> {
    let body = Full::new(Bytes::copy_from_slice(text.as_bytes()));
    Response::new(body.map_err(|never| match never {}).boxed())
}

fn refuse(status: StatusCode) -> Response<TestBody> {
    let mut response = answer("refused");
    *response.status_mut() = status;
    let close = http::HeaderValue::from_static("close");
    response.headers_mut().insert("connection", close);
    response
}

fn endless() -> TestBody {
    let block = Bytes::from(vec![b'x'; 64 * 1024]);
    let frames = futures::stream::repeat_with(move || Ok(Frame::data(block.clone())));
    BodyExt::boxed(StreamBody::new(frames))
}

/// The second half comes with a permit.
fn begun(gate: Arc<Semaphore>) -> TestBody {
    let first = Ok(Frame::data(Bytes::from_static(b"begun ")));
    let second = async move {
        gate.acquire().await.unwrap().forget();
        Ok(Frame::data(Bytes::from_static(b"and done")))
    };
    let frames = futures::stream::iter([first]).chain(futures::stream::once(second));
    BodyExt::boxed(StreamBody::new(Box::pin(frames)))
}

fn truncated() -> TestBody {
    let frames = futures::stream::iter([
        Ok(Frame::data(Bytes::from_static(b"some"))),
        Err(io::ErrorKind::UnexpectedEof.into()),
    ]);
    // Lets what is there be written before the failure is.
    let slow = frames.then(|frame| async move {
        tokio::task::yield_now().await;
        frame
    });
    BodyExt::boxed(StreamBody::new(Box::pin(slow).map(|frame| frame)))
}

/// Switches to a protocol that sends back what it gets.
fn tunnel(request: Request<Incoming>) -> Response<TestBody> {
    tokio::spawn(async move {
        let upgraded = hyper::upgrade::on(request).await.unwrap();
        let (mut read, mut write) = tokio::io::split(hyper_util::rt::TokioIo::new(upgraded));
        // Ends when the client does.
        let _ = tokio::io::copy(&mut read, &mut write).await;
    });
    let mut response = answer("");
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert("connection", http::HeaderValue::from_static("upgrade"));
    headers.insert("upgrade", http::HeaderValue::from_static("echo"));
    response
}

/// A client that writes what it is told.
struct Client(TcpStream);

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    async fn send(&mut self, bytes: &str) {
        self.0.write_all(bytes.as_bytes()).await.unwrap();
    }

    /// Reads until the text has come.
    async fn read_until(&mut self, end: &str) -> String {
        let mut read = Vec::new();
        timeout(PATIENCE, async {
            while !String::from_utf8_lossy(&read).contains(end) {
                let byte = self.0.read_u8().await.unwrap_or_else(|error| {
                    panic!("{error} after {:?}", String::from_utf8_lossy(&read))
                });
                read.push(byte);
            }
        })
        .await
        .unwrap_or_else(|_| panic!("no {end:?} in {:?}", String::from_utf8_lossy(&read)));
        String::from_utf8(read).unwrap()
    }

    /// Reads until the server ends the connection, and how it does.
    async fn read_to_end(&mut self) -> (String, io::Result<()>) {
        let mut read = Vec::new();
        let end = timeout(PATIENCE, self.0.read_to_end(&mut read)).await;
        let end = end.unwrap_or_else(|_| panic!("no end after {} bytes", read.len()));
        (String::from_utf8_lossy(&read).into_owned(), end.map(drop))
    }
}

/// Sends these bytes on a connection of their own and reads all that comes back.
async fn exchange(address: SocketAddr, bytes: &str) -> String {
    let mut client = Client::connect(address).await;
    client.send(bytes).await;
    client.read_to_end().await.0
}

impl Server {
    async fn next_seen(&mut self) -> String {
        timeout(PATIENCE, self.seen.recv()).await.unwrap().unwrap()
    }
}
