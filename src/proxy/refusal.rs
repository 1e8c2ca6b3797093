//! What is answered below the handler: to a head that does not come in time, or that hyper cannot read.
//!
//! There is no request then that an account could be opened for. All the same the answer has the fields
//! that every error of ours has, and its id stands in the access log: hyper's own answer, which has a status
//! and nothing else, gets them on its way to the client.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use super::client::ClientContext;
use super::request_id::RequestId;
use crate::failure::{Cause, ClientFault};
use crate::telemetry::access_log::{AccessLog, Record};
use crate::telemetry::metrics::Metrics;

/// hyper's answers are shorter.
const LONGEST: usize = 256;

/// Who is told.
pub(crate) struct Refusals {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) access_log: AccessLog,
}

impl Refusals {
    /// The last message of this client's connection was refused before there was a request.
    pub(super) fn tell(&self, client: &ClientContext, fault: ClientFault) {
        let cause = Cause::BadRequest(fault);
        let status = cause.status().as_u16();
        let requests = self.metrics.unrouted();
        requests.record(client.worker, status, Some(cause), Duration::ZERO);
        let session = client.tls.as_ref();
        let record = Record {
            time: SystemTime::now(),
            id: client.state.refused_as().as_str(),
            client: client.peer.address.ip(),
            method: "",
            host: None,
            path: "",
            query: None,
            protocol: "HTTP/1.1",
            tls: session.map(|session| session.version),
            server_name: session.and_then(|session| session.server_name.as_deref()),
            status,
            cause: Some(cause),
            bytes_received: 0,
            bytes_sent: 0,
            duration: Duration::ZERO,
            body: None,
            ingress_namespace: None,
            ingress: None,
            service_namespace: None,
            service: None,
            upstream: None,
            policies: &[],
            fallback: false,
            user_agent: None,
            attempts: &[],
        };
        self.access_log.record(client.worker, &record);
    }
}

/// The answer to a head that does not come in time.
pub(super) fn too_late(id: &RequestId) -> Vec<u8> {
    let date = Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT");
    let bare = format!(
        "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\ndate: {date}\r\n\r\n"
    );
    with_fields(bare.as_bytes(), ClientFault::HeadTimeout, id)
}

/// Why hyper gave this answer, if it is one of its own.
pub(super) fn fault_of(answer: &[u8]) -> Option<ClientFault> {
    let rest = answer.strip_prefix(b"HTTP/1.1 4")?;
    let fault = match rest.get(..3)? {
        b"00 " => ClientFault::Head,
        b"31 " => ClientFault::HeadTooLarge,
        _ => return None,
    };
    // Whatever comes from the handler has a field `Server`.
    let has_server = || answer.windows(10).any(|part| part == b"\r\nserver: ");
    let alone = answer.len() <= LONGEST && answer.ends_with(b"\r\n\r\n");
    (alone && !has_server()).then_some(fault)
}

/// An answer with the fields of ours: it ends with its head.
pub(super) fn with_fields(bare: &[u8], fault: ClientFault, id: &RequestId) -> Vec<u8> {
    let head = bare.strip_suffix(b"\r\n").unwrap_or(bare);
    let fields = format!(
        "server: bywash\r\ncache-control: no-store\r\nx-request-id: {}\r\nproxy-status: bywash; {}\r\n\r\n",
        id.as_str(),
        Cause::BadRequest(fault).proxy_status(),
    );
    [head, fields.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_the_handler_is_none_of_hypers() {
        let own = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(fault_of(own), Some(ClientFault::Head));
        for other in [
            "HTTP/1.1 400 Bad Request\r\nserver: app\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 1\r\n\r\nx",
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 4",
            "",
        ] {
            assert_eq!(fault_of(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn a_head_that_comes_too_late_is_answered_with_the_fields_of_every_error() {
        let id = RequestId::new();
        let answer = String::from_utf8(too_late(&id)).unwrap();
        assert_eq!(answer.matches("\r\n\r\n").count(), 1, "{answer}");
        for line in [
            "HTTP/1.1 408 Request Timeout",
            "connection: close",
            "content-length: 0",
            &format!("x-request-id: {}", id.as_str()),
            "proxy-status: bywash; error=http_request_error; status-code=408; status-phrase=\"Request Timeout\"",
        ] {
            assert!(answer.lines().any(|it| it == line), "{line}: {answer}");
        }
    }
}
