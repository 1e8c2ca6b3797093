//! HTTP/2, by prior knowledge or over TLS: several requests at a time on one connection.

use std::net::SocketAddr;

use anyhow::Context;
use bytes::Bytes;
use futures::future::join_all;
use h2::Reason;
use h2::client::SendRequest;
use http::{Request, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::{Client, Tally, in_time};
use crate::client;

/// Requests at a time.
pub(super) const STREAMS: u32 = 4;

/// How often one request may be turned back.
const TRIES: usize = 3;

pub(super) struct Multiplexed {
    address: SocketAddr,
    request: Request<()>,
    tls: bool,
    open: Option<SendRequest<Bytes>>,
}

/// What the server says of a request.
enum Said {
    Answer(StatusCode),
    /// It was not looked at, and goes on a new connection (RFC 9113 sections 6.8 and 8.7).
    NotProcessed,
}

impl Multiplexed {
    pub(super) fn new(address: SocketAddr, host: &str) -> Self {
        Self::of(address, "http", host)
    }

    pub(super) fn over_tls(address: SocketAddr, host: &str) -> Self {
        Self::of(address, "https", host)
    }

    fn of(address: SocketAddr, scheme: &str, host: &str) -> Self {
        let request = Request::get(format!("{scheme}://{host}/"));
        Self {
            address,
            request: request.body(()).unwrap(),
            tls: scheme == "https",
            open: None,
        }
    }

    async fn connection(&mut self, tally: &Tally) -> anyhow::Result<SendRequest<Bytes>> {
        if let Some(open) = &self.open {
            return Ok(open.clone());
        }
        tally.connects();
        let send = match self.tls {
            true => {
                let host = self.request.uri().host().unwrap_or_default();
                spoken_over(client::secured(self.address, host, &[b"h2"]).await?).await
            }
            false => {
                let stream = TcpStream::connect(self.address).await.context("connect")?;
                stream.set_nodelay(true)?;
                spoken_over(stream).await
            }
        }?;
        Ok(self.open.insert(send).clone())
    }
}

async fn spoken_over<S>(stream: S) -> Result<SendRequest<Bytes>, h2::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (send, connection) = h2::client::handshake(stream).await?;
    tokio::spawn(connection);
    Ok(send)
}

impl Client for Multiplexed {
    async fn exchange(&mut self, tally: &Tally) {
        let mut left = STREAMS;
        for _ in 0..TRIES {
            let connection = match in_time(self.connection(tally)).await {
                Ok(connection) => connection,
                Err(error) => return (0..left).for_each(|_| tally.failed(&error)),
            };
            let requests =
                (0..left).map(|_| in_time(one(connection.clone(), self.request.clone())));
            left = 0;
            for said in join_all(requests).await {
                match said {
                    Ok(Said::Answer(StatusCode::OK)) => tally.answered(),
                    Ok(Said::NotProcessed) => left += 1,
                    Ok(Said::Answer(status)) => tally.failed(status),
                    Err(error) => {
                        self.open = None;
                        tally.failed(format_args!("{error:#}"));
                    }
                }
            }
            if left == 0 {
                return;
            }
            self.open = None;
            (0..left).for_each(|_| tally.again());
        }
        (0..left).for_each(|_| tally.failed(format_args!("turned back {TRIES} times")));
    }
}

async fn one(connection: SendRequest<Bytes>, request: Request<()>) -> anyhow::Result<Said> {
    match answer(connection, request).await {
        Ok(response) => {
            let (head, mut body) = response.into_parts();
            while let Some(data) = body.data().await {
                let length = data.context("body")?.len();
                body.flow_control().release_capacity(length)?;
            }
            Ok(Said::Answer(head.status))
        }
        Err(error) if is_not_processed(&error) => Ok(Said::NotProcessed),
        Err(error) => Err(error).context("head"),
    }
}

async fn answer(
    connection: SendRequest<Bytes>,
    request: Request<()>,
) -> Result<Response<h2::RecvStream>, h2::Error> {
    let mut connection = connection.ready().await?;
    let (response, _) = connection.send_request(request, true)?;
    response.await
}

/// h2 gives this error to streams above the last one of a GOAWAY, and to those that were to be opened after it.
fn is_not_processed(error: &h2::Error) -> bool {
    let reason = error.reason();
    error.is_remote()
        && (error.is_go_away() && reason == Some(Reason::NO_ERROR)
            || error.is_reset() && reason == Some(Reason::REFUSED_STREAM))
}
