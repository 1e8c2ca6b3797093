//! HTTP/1.1, one request at a time.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::Full;

use super::{Client, Tally, in_time};
use crate::client::{Connection, Reply, request};

pub(super) struct KeepAlive {
    address: SocketAddr,
    request: Request<Full<Bytes>>,
    open: Option<Connection>,
}

impl KeepAlive {
    pub(super) fn new(method: Method, address: SocketAddr, host: &str) -> Self {
        let mut request = request(host, "/");
        *request.method_mut() = method;
        Self {
            address,
            request,
            open: None,
        }
    }

    /// The server is asked to close after each answer.
    pub(super) fn without_keeping(mut self) -> Self {
        let close = HeaderValue::from_static("close");
        self.request.headers_mut().insert(header::CONNECTION, close);
        self
    }

    /// A connection that was seen to be closed is replaced; one that closes under a request is a failure.
    async fn ask(&mut self, tally: &Tally) -> anyhow::Result<Reply> {
        if let Some(open) = &mut self.open
            && let Some(reply) = open.send_if_open(self.request.clone()).await?
        {
            return Ok(reply);
        }
        tally.connects();
        let new = Connection::open(self.address).await?;
        self.open.insert(new).send(self.request.clone()).await
    }
}

impl Client for KeepAlive {
    async fn exchange(&mut self, tally: &Tally) {
        let asked = in_time(self.ask(tally)).await;
        let closes = |reply: &Reply| {
            let connection = reply.headers.get(header::CONNECTION);
            connection.is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"close"))
        };
        if asked.as_ref().map_or(true, closes) {
            self.open = None;
        }
        match asked {
            Ok(reply) if reply.status == StatusCode::OK => tally.answered(),
            Ok(reply) => tally.failed(format_args!("{} {}", reply.status, reply.body)),
            Err(error) => tally.failed(error),
        }
    }
}
