//! Asking by the gRPC health checking protocol
//! (<https://github.com/grpc/grpc/blob/master/doc/health-checking.md>).
//!
//! One call on one HTTP/2 connection, driven by the probe itself: when it is over or given up, so is
//! the connection.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::RecvStream;
use http::{HeaderMap, Request, Response, StatusCode, header};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::failure::Cause;

use super::bad::{BadProbe, in_time};
use super::http::USER_AGENT;
use crate::upstream::connection::MAX_HEAD;

mod message;

/// The largest answer that is read, in bytes: it takes seven.
const MOST: usize = 1024;

/// The header section of the call, towards an endpoint at this address, with or without TLS.
///
/// # Errors
/// Never: an address is an authority.
pub(super) fn request(address: SocketAddr, secured: bool) -> Result<Request<()>, Cause> {
    let scheme = if secured { "https" } else { "http" };
    Request::post(format!("{scheme}://{address}/grpc.health.v1.Health/Check"))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .header(header::USER_AGENT, USER_AGENT)
        .body(())
        .map_err(|_| Cause::Internal)
}

/// Asks on an open connection, by prior knowledge (RFC 9113 section 3.3).
///
/// # Errors
/// With why the probe is bad.
pub(super) async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<()>,
    service: &str,
    deadline: Instant,
) -> Result<(), BadProbe> {
    let asked = async {
        let (sender, connection) = h2::client::Builder::new()
            .enable_push(false)
            .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
            .handshake(stream)
            .await
            .map_err(|error| failure(&error))?;
        let call = async {
            let failure = |error| BadProbe::from(failure(&error));
            let mut sender = sender.ready().await.map_err(failure)?;
            let (answer, mut body) = sender.send_request(request, false).map_err(failure)?;
            body.send_data(message::request(service), true)
                .map_err(failure)?;
            read(answer.await.map_err(failure)?).await
        };
        let mut call = std::pin::pin!(call);
        tokio::select! {
            biased;
            result = &mut call => result,
            // The call is told how the connection ended.
            _ = connection => call.await,
        }
    };
    in_time(deadline, asked).await
}

async fn read(response: Response<RecvStream>) -> Result<(), BadProbe> {
    let (head, mut body) = response.into_parts();
    if head.status != StatusCode::OK {
        return Err(BadProbe::Status(head.status.as_u16()));
    }
    let mut message = Vec::new();
    while let Some(data) = body.data().await {
        let data: Bytes = data.map_err(|error| failure(&error))?;
        message.extend_from_slice(&data);
        if message.len() > MOST {
            return Err(BadProbe::NotGrpc);
        }
    }
    let trailers = body.trailers().await.map_err(|error| failure(&error))?;
    // A call that fails at once may be answered with a header section alone.
    let status = trailers.as_ref().and_then(grpc_status);
    match status.or_else(|| grpc_status(&head.headers)) {
        Some(0) => {}
        Some(status) => return Err(BadProbe::GrpcStatus(status)),
        None => return Err(BadProbe::NotGrpc),
    }
    match message::serving_status(&message) {
        Some(message::SERVING) => Ok(()),
        Some(status) => Err(BadProbe::NotServing(status)),
        None => Err(BadProbe::NotGrpc),
    }
}

fn grpc_status(fields: &HeaderMap) -> Option<u16> {
    fields.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// Why there is no answer.
fn failure(error: &h2::Error) -> Cause {
    if let Some(io) = error.get_io() {
        return match io.kind() {
            std::io::ErrorKind::TimedOut => Cause::PeerVanished,
            std::io::ErrorKind::ConnectionReset => Cause::ConnectionReset,
            _ => Cause::ConnectionClosed,
        };
    }
    match error.reason() {
        _ if error.is_library() => Cause::NotHttp2,
        Some(h2::Reason::REFUSED_STREAM) => Cause::StreamRefused,
        Some(h2::Reason::HTTP_1_1_REQUIRED) => Cause::NotHttp2,
        _ if error.is_reset() => Cause::StreamReset,
        _ => Cause::H2ConnectionLost,
    }
}
