//! Reading requests byte by byte, as far as a peer has to.
//!
//! Only the framing is understood (RFC 9112 section 6), and leniently: a peer records what came, the
//! tests judge it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::ledger::Shared;

/// A connection's reading side: what came and is not consumed yet.
pub(super) struct Wire<'a> {
    pub(super) stream: TcpStream,
    unread: BytesMut,
    shared: &'a Shared,
    /// Which of the peer's connections.
    index: usize,
}

/// The head of a request.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) version: String,
    /// In the order received, names as written.
    pub(super) fields: Vec<(String, String)>,
}

/// What followed a head.
#[derive(Debug, Default)]
pub(super) struct Rest {
    /// Bytes of the body, without its framing.
    pub(super) body_bytes: u64,
    pub(super) trailers: Vec<(String, String)>,
}

impl<'a> Wire<'a> {
    pub(super) fn new(stream: TcpStream, shared: &'a Shared, index: usize) -> Self {
        Self {
            stream,
            unread: BytesMut::new(),
            shared,
            index,
        }
    }

    /// Reads more; false at the end.
    pub(super) async fn fill(&mut self) -> io::Result<bool> {
        self.unread.reserve(64 * 1024);
        let before = self.unread.len();
        let read = self.stream.read_buf(&mut self.unread).await?;
        self.shared
            .received(self.index, self.unread.get(before..).unwrap_or_default());
        Ok(read > 0)
    }

    /// Everything that was read and not consumed.
    pub(super) fn take_unread(&mut self) -> BytesMut {
        self.unread.split()
    }

    /// Whether a byte is there to be consumed, waiting for one; false at the end.
    pub(super) async fn await_bytes(&mut self) -> io::Result<bool> {
        if !self.unread.is_empty() {
            return Ok(true);
        }
        self.stream.readable().await?;
        Ok(self.stream.peek(&mut [0]).await? > 0)
    }

    /// Reads to the end and forgets it.
    pub(super) async fn drain(&mut self) -> io::Result<()> {
        self.unread.clear();
        while self.fill().await? {
            self.unread.clear();
        }
        Ok(())
    }

    /// The next request's head; `None` when the other side closed instead.
    pub(super) async fn head(&mut self) -> io::Result<Option<Head>> {
        let mut lines = Vec::new();
        loop {
            match self.line().await? {
                None => return Ok(None),
                Some(line) if line.is_empty() && lines.is_empty() => {}
                Some(line) if line.is_empty() => break,
                Some(line) => lines.push(line),
            }
        }
        let mut words = lines[0].split(' ').map(str::to_owned);
        let mut word = || words.next().unwrap_or_default();
        Ok(Some(Head {
            method: word(),
            target: word(),
            version: word(),
            fields: lines.iter().skip(1).map(|line| field(line)).collect(),
        }))
    }

    /// The body and trailers that belong to a head; `None` when they were cut short.
    pub(super) async fn rest(&mut self, head: &Head) -> io::Result<Option<Rest>> {
        if head
            .field("transfer-encoding")
            .is_some_and(|coding| coding.to_ascii_lowercase().ends_with("chunked"))
        {
            return self.chunks().await;
        }
        let length = head.field("content-length").and_then(|l| l.parse().ok());
        let body_bytes = length.unwrap_or(0);
        Ok(self.skip(body_bytes).await?.then_some(Rest {
            body_bytes,
            trailers: Vec::new(),
        }))
    }

    async fn chunks(&mut self) -> io::Result<Option<Rest>> {
        let mut rest = Rest::default();
        loop {
            let Some(line) = self.line().await? else {
                return Ok(None);
            };
            let digits = line.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(digits, 16).map_err(io::Error::other)?;
            if size == 0 {
                break;
            }
            if !self.skip(size + 2).await? {
                return Ok(None);
            }
            rest.body_bytes += size;
        }
        loop {
            match self.line().await? {
                None => return Ok(None),
                Some(line) if line.is_empty() => return Ok(Some(rest)),
                Some(line) => rest.trailers.push(field(&line)),
            }
        }
    }

    /// Consumes so many bytes; false when the end comes first.
    async fn skip(&mut self, mut bytes: u64) -> io::Result<bool> {
        loop {
            let now = usize::try_from(bytes).unwrap_or(usize::MAX);
            let now = now.min(self.unread.len());
            let _ = self.unread.split_to(now);
            bytes -= now as u64;
            if bytes == 0 {
                return Ok(true);
            }
            if !self.fill().await? {
                return Ok(false);
            }
        }
    }

    /// The next line, without its end.
    async fn line(&mut self) -> io::Result<Option<String>> {
        let mut searched = 0;
        loop {
            let end = self.unread.iter().skip(searched).position(|b| *b == b'\n');
            if let Some(end) = end {
                let line = self.unread.split_to(searched + end + 1);
                let line = String::from_utf8_lossy(&line);
                return Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()));
            }
            searched = self.unread.len();
            if !self.fill().await? {
                return Ok(None);
            }
        }
    }
}

/// What was not consumed comes first; everything is counted, as elsewhere.
impl AsyncRead for Wire<'_> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.unread.is_empty() {
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
            let read = buf.filled().get(before..).unwrap_or_default();
            this.shared.received(this.index, read);
        } else {
            let now = this.unread.len().min(buf.remaining());
            buf.put_slice(&this.unread.split_to(now));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire<'_> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write(cx, bytes))?;
        this.shared.sent(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

impl Head {
    /// The first value of a field.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let same = |field: &&(String, String)| field.0.eq_ignore_ascii_case(name);
        self.fields.iter().find(same).map(|(_, value)| &**value)
    }

    /// Whether the connection ends after this request (RFC 9112 section 9.3).
    pub(super) fn closes(&self) -> bool {
        let option = self.field("connection").unwrap_or_default();
        option.eq_ignore_ascii_case("close")
            || (self.version == "HTTP/1.0" && !option.eq_ignore_ascii_case("keep-alive"))
    }
}

fn field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or((line, ""));
    (name.to_owned(), value.trim().to_owned())
}
