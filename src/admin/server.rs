//! A small HTTP/1.1 server for a handful of local readers.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, HOST};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::{Answer, TEXT, answer};

/// More readers at once than this wait.
const CONNECTIONS: usize = 128;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'r> {
    /// The path.
    pub path: &'r str,
    /// The query, or nothing.
    pub query: &'r str,
    /// The `Accept` field, or nothing.
    pub accept: &'r str,
}

/// What answers requests.
pub trait Pages: Send + Sync + 'static {
    /// Whether requests under this `Host` are answered.
    fn admits(&self, _host: Option<&str>) -> bool {
        true
    }

    /// Answers a GET (or HEAD) request.
    fn get(&self, asked: Asked<'_>) -> impl Future<Output = Answer> + Send;
}

/// A bound port that nobody is answered on yet.
#[derive(Debug)]
pub struct Port {
    listener: TcpListener,
    address: SocketAddr,
}

impl Port {
    /// Binds the address.
    ///
    /// # Errors
    /// When it is in use, not ours, or not allowed.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it is, with its actual port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until the task is dropped.
    pub async fn serve(self, pages: impl Pages) {
        let pages = Arc::new(pages);
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let pages = Arc::clone(&pages);
                    tokio::spawn(async move {
                        converse(stream, pages).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, port = %self.address, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

async fn converse(stream: TcpStream, pages: Arc<impl Pages>) {
    let service = service_fn(move |request| {
        let pages = Arc::clone(&pages);
        async move { Ok::<_, Infallible>(respond(&request, &*pages).await) }
    });
    let conversation = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(30))
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = conversation {
        tracing::debug!(%error, "a connection to the metrics or admin port ended early");
    }
}

async fn respond(request: &Request<Incoming>, pages: &impl Pages) -> Answer {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return answer(
            StatusCode::METHOD_NOT_ALLOWED,
            TEXT,
            "Only GET is answered here.\n",
        );
    }
    let field = |name| request.headers().get(name).and_then(|it| it.to_str().ok());
    if !pages.admits(field(HOST)) {
        let body = "This port is asked as localhost only: http://localhost:PORT/.\n";
        return answer(StatusCode::MISDIRECTED_REQUEST, TEXT, body);
    }
    let uri = request.uri();
    let asked = Asked {
        path: uri.path(),
        query: uri.query().unwrap_or_default(),
        accept: field(ACCEPT).unwrap_or_default(),
    };
    pages.get(asked).await
}
