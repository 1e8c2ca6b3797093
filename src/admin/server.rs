//! A small HTTP/1.1 server for a handful of local readers.

use std::collections::VecDeque;
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
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Answer, TEXT, answer};

/// Of more readers at once than this the first ends: who comes last is answered, so that nobody keeps a
/// probe from its answer.
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
    /// How long a reader may take for its one request and for the answer; without this, as long as it
    /// likes, and for as many as it likes.
    const WITHIN: Option<Duration> = None;

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
        let mut readers = Readers::default();
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => readers.add(tokio::spawn(converse(stream, Arc::clone(&pages)))),
                Err(error) => {
                    tracing::warn!(%error, port = %self.address, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// Conversations, the oldest first.
#[derive(Default)]
struct Readers(VecDeque<JoinHandle<()>>);

impl Readers {
    fn add(&mut self, reader: JoinHandle<()>) {
        if self.0.len() >= CONNECTIONS {
            self.0.retain(|reader| !reader.is_finished());
        }
        if self.0.len() >= CONNECTIONS
            && let Some(oldest) = self.0.pop_front()
        {
            oldest.abort();
        }
        self.0.push_back(reader);
    }
}

async fn converse<P: Pages>(stream: TcpStream, pages: Arc<P>) {
    let service = service_fn(move |request| {
        let pages = Arc::clone(&pages);
        async move { Ok::<_, Infallible>(respond(&request, &*pages).await) }
    });
    let conversation = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(30))
        .keep_alive(P::WITHIN.is_none())
        .serve_connection(TokioIo::new(stream), service);
    let ended = match P::WITHIN {
        None => conversation.await,
        Some(limit) => timeout(limit, conversation).await.unwrap_or(Ok(())),
    };
    if let Err(error) = ended {
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    struct Hurried;

    impl Pages for Hurried {
        const WITHIN: Option<Duration> = Some(Duration::from_millis(100));

        async fn get(&self, _: Asked<'_>) -> Answer {
            answer(StatusCode::OK, TEXT, "alive\n")
        }
    }

    struct Patient;

    impl Pages for Patient {
        async fn get(&self, asked: Asked<'_>) -> Answer {
            Hurried.get(asked).await
        }
    }

    async fn serve(pages: impl Pages) -> SocketAddr {
        let port = Port::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let address = port.address();
        tokio::spawn(port.serve(pages));
        address
    }

    #[tokio::test]
    async fn silent_readers_keep_nobody_from_an_answer() {
        let address = serve(Patient).await;
        let mut silent = Vec::new();
        for _ in 0..2 * CONNECTIONS {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let mut reader = TcpStream::connect(address).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        reader.write_all(request).await.unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).await.unwrap();
        assert!(text.ends_with("alive\n"), "{text}");
    }

    #[tokio::test]
    async fn a_reader_has_one_answer_and_a_limit_where_anybody_may_ask() {
        let address = serve(Hurried).await;
        for (request, status) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200"),
            ("GET", ""),
        ] {
            let mut reader = TcpStream::connect(address).await.unwrap();
            reader.write_all(request.as_bytes()).await.unwrap();
            let mut text = String::new();
            reader.read_to_string(&mut text).await.unwrap();
            assert_eq!(text.get(..status.len()), Some(status));
            assert_eq!(text.is_empty(), status.is_empty());
        }
    }
}
