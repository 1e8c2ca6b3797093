//! What a peer does, step by step.
//!
//! One table maps every [`Fault`] to its steps, so that a new way to fail is a line here. Steps run
//! in order; a request's steps that end none of the connection leave it for the next request.

use std::time::Duration;

use bytes::Bytes;

use super::Fault;

/// What a peer does with connections and requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Whether connections come about at all.
    pub listen: Listen,
    /// Steps as soon as a connection stands, before a request is read.
    pub on_connection: Vec<Step>,
    /// Steps after the head of each request.
    pub on_request: Vec<Step>,
}

/// The scripts of a peer, one for each connection or request in turn, round and round.
///
/// The first one says what the port does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan(pub(super) Vec<Script>);

/// What a peer's port does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listen {
    /// Connections are accepted.
    #[default]
    Accept,
    /// The port is taken, but nothing listens: RST.
    Refuse,
    /// The accept queue is full: SYNs are dropped.
    Ignore,
}

/// One thing that a peer does on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Writes these bytes.
    Send(Bytes),
    /// Writes so many zero bytes.
    Stream(u64),
    /// Reads the rest of the request: its body and trailers.
    ReadBody,
    /// Reads the rest of the request and answers with a description of it; an upgrade is taken, and
    /// what comes is echoed: the messages of a WebSocket, the bytes of anything else.
    Echo,
    /// Waits for a permit of [`Peer::open`](super::Peer::open), reading nothing meanwhile.
    Gate,
    /// Waits for the first byte of something more, a next request, and leaves it unread.
    AwaitBytes,
    /// Waits so long for the first byte of something more and leaves it unread; ends our direction
    /// (FIN) if none comes: what a server does with a connection that idles.
    Linger(Duration),
    /// Reads and forgets whatever comes, until the other side closes.
    Drain,
    /// Neither reads nor closes, until the peer is dropped.
    Freeze,
    /// Ends our direction (FIN), then reads until the other side closes too: no RST follows.
    Finish,
    /// Ends our direction (FIN), then neither reads nor closes.
    FinishUnread,
    /// Closes both directions at once; what is unread makes the kernel send RST.
    Close,
    /// Sends RST, whatever is unread (`SO_LINGER` of zero).
    Reset,
}

impl Script {
    /// These steps after the head of each request.
    pub fn on_request(steps: impl Into<Vec<Step>>) -> Self {
        Self {
            listen: Listen::Accept,
            on_connection: Vec::new(),
            on_request: steps.into(),
        }
    }

    /// Reads each request whole, then sends these bytes.
    pub fn answer(bytes: impl AsRef<[u8]>) -> Self {
        Self::on_request([Step::ReadBody, send(bytes)])
    }

    /// These steps as soon as a connection stands.
    pub fn on_connection(steps: impl Into<Vec<Step>>) -> Self {
        Self {
            on_connection: steps.into(),
            ..Self::on_request([])
        }
    }

    fn listening(listen: Listen) -> Self {
        Self {
            listen,
            ..Self::on_request([])
        }
    }

    /// Reads the request whole, sends these bytes and goes on with `end`.
    fn cut(bytes: impl AsRef<[u8]>, end: Step) -> Self {
        Self::on_request([Step::ReadBody, send(bytes), end])
    }
}

impl<T: Into<Script>> From<T> for Plan {
    fn from(script: T) -> Self {
        Self(vec![script.into()])
    }
}

impl<T: Into<Script>, const N: usize> From<[T; N]> for Plan {
    fn from(scripts: [T; N]) -> Self {
        Self(scripts.into_iter().map(Into::into).collect())
    }
}

/// Writes these bytes.
pub fn send(bytes: impl AsRef<[u8]>) -> Step {
    Step::Send(Bytes::copy_from_slice(bytes.as_ref()))
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n";
const REJECTED: &str =
    "HTTP/1.1 413 Content Too Large\r\ncontent-length: 8\r\nconnection: close\r\n\r\ntoo big\n";
const GIBIBYTE: u64 = 1 << 30;

impl From<Fault> for Script {
    #[rustfmt::skip]
    fn from(fault: Fault) -> Self {
        use Step::{AwaitBytes, Close, Drain, Echo, Finish, FinishUnread, Freeze, Gate, ReadBody, Reset, Stream};
        match fault {
            Fault::Echo => Self::on_request([Echo]),
            Fault::Refuse => Self::listening(Listen::Refuse),
            Fault::Ignore => Self::listening(Listen::Ignore),
            Fault::AcceptAndClose => Self::on_connection([Finish]),
            Fault::AcceptAndReset => Self::on_connection([Reset]),
            Fault::CloseAfterRequest => Self::on_request([ReadBody, Finish]),
            Fault::ResetAfterRequest => Self::on_request([ReadBody, Reset]),
            Fault::CutHead => Self::cut("HTTP/1.1 200 OK\r\ncontent-ty", Finish),
            Fault::ResetInHead => Self::cut("HTTP/1.1 200 OK\r\ncontent-ty", Reset),
            Fault::Garbage => Self::cut("\u{1}\u{2}lorem ipsum dolor sit amet\r\n\r\n", Finish),
            Fault::WrongVersion => Self::answer("HTTP/3.7 200 OK\r\ncontent-length: 3\r\n\r\nok\n"),
            // A fatal alert, unexpected_message: what a TLS server says to a plain request.
            Fault::TlsBytes => Self::cut(b"\x15\x03\x01\x00\x02\x02\x0a", Finish),
            // An empty SETTINGS frame (RFC 9113 section 3.4).
            Fault::Http2Bytes => Self::cut(b"\0\0\0\x04\0\0\0\0\0", Finish),
            Fault::BadStatusLine => Self::answer("HTTP/1.1 2OO OK\r\ncontent-length: 3\r\n\r\nok\n"),
            Fault::FoldedHeader => Self::answer("HTTP/1.1 200 OK\r\nx-a: b\r\n c\r\ncontent-length: 3\r\n\r\nok\n"),
            Fault::NulHeader => Self::answer("HTTP/1.1 200 OK\r\nx-a: b\0c\r\ncontent-length: 3\r\n\r\nok\n"),
            Fault::BadHeaderName => Self::answer("HTTP/1.1 200 OK\r\nx a: b\r\ncontent-length: 3\r\n\r\nok\n"),
            Fault::DifferingLengths => Self::answer("HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nok\n"),
            Fault::HugeHead => Self::answer(format!("HTTP/1.1 200 OK\r\nx-a: {}\r\ncontent-length: 3\r\n\r\nok\n", "a".repeat(1 << 20))),
            Fault::ManyHeaders => Self::answer(format!("HTTP/1.1 200 OK\r\n{}content-length: 3\r\n\r\nok\n", "x-a: b\r\n".repeat(1000))),
            Fault::StallBeforeHead => Self::on_request([ReadBody, Drain]),
            Fault::StallInHead => Self::cut("HTTP/1.1 200 OK\r\ncontent-ty", Drain),
            Fault::StallInBody => Self::cut("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf", Drain),
            Fault::ShortBody => Self::cut("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf", Finish),
            Fault::CutChunks => Self::cut("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n", Finish),
            Fault::BadChunkSize => Self::cut("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nxyz\r\n", Drain),
            Fault::ResetInBody => Self::cut("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf", Reset),
            Fault::ResetInCloseDelimited => Self::cut("HTTP/1.1 200 OK\r\n\r\nhalf", Reset),
            Fault::NeverReads => Self::on_request([Freeze]),
            Fault::RejectAndFinish => Self::on_request([send(REJECTED), FinishUnread]),
            Fault::RejectAndReset => Self::on_request([AwaitBytes, send(REJECTED), Close]),
            Fault::RejectAndRead => Self::on_request([send(REJECTED), ReadBody, Finish]),
            Fault::UnaskedUpgrade => Self::cut("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: other\r\n\r\n", Drain),
            Fault::GzipCoding => Self::cut("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nnot gzip at all", Finish),
            Fault::CodingAndLength => Self::answer("HTTP/1.1 200 OK\r\ncontent-length: 30\r\ntransfer-encoding: chunked\r\n\r\n3\r\nok\n\r\n0\r\n\r\n"),
            Fault::Informational => Self::answer(format!("HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n{OK}")),
            Fault::Unavailable => Self::answer("HTTP/1.1 503 Service Unavailable\r\nx-app: shop\r\ncontent-length: 5\r\n\r\nbusy\n"),
            Fault::UnavailableLater => Self::answer("HTTP/1.1 503 Service Unavailable\r\nretry-after: 7\r\ncontent-length: 5\r\n\r\nbusy\n"),
            Fault::CloseOnReuse => Self::on_request([ReadBody, send(OK), AwaitBytes, Finish]),
            Fault::ResetOnReuse => Self::on_request([ReadBody, send(OK), AwaitBytes, Reset]),
            Fault::CloseWhenIdle => Self::on_request([ReadBody, send(OK), Gate, Finish]),
            Fault::StrayWhenIdle => Self::on_request([ReadBody, send(OK), Gate, send("stray"), Drain]),
            Fault::Source => Self::on_request([
                ReadBody,
                send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 4 * GIBIBYTE)),
                Stream(4 * GIBIBYTE),
            ]),
        }
    }
}
