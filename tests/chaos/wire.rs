//! An endpoint's end of a connection: requests in, bytes out.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// A connection, and what came and is not consumed yet.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    unread: BytesMut,
}

/// A request that was read to its end.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) id: String,
    /// Bytes of the body that is asked for.
    pub(crate) answer: usize,
    pub(crate) chunked: bool,
    pub(crate) body: BytesMut,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            unread: BytesMut::new(),
        }
    }

    /// Waits until a next request begins; false when the other side closed instead.
    pub(crate) async fn begins(&mut self) -> bool {
        !self.unread.is_empty() || self.fill().await.is_ok()
    }

    /// The request that began, unless it was cut short.
    pub(crate) async fn request(&mut self) -> io::Result<Received> {
        let head = loop {
            let end = self.unread.windows(4).position(|four| four == b"\r\n\r\n");
            match end {
                Some(end) => break self.unread.split_to(end + 4),
                None => self.fill().await?,
            }
        };
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let field = |name: &str| {
            let fields = head.lines().filter_map(|line| line.split_once(':'));
            let mut same = fields.filter(|(field, _)| *field == name);
            same.next().map(|(_, value)| value.trim().to_owned())
        };
        // `GET /chunks/17 HTTP/1.1`
        let target = head.split(' ').nth(1).unwrap_or_default();
        let (coding, answer) = target.trim_start_matches('/').split_once('/').unwrap();
        let length = field("content-length").map_or(0, |length| length.parse().unwrap());
        while self.unread.len() < length {
            self.fill().await?;
        }
        Ok(Received {
            id: field("x-request-id").unwrap(),
            answer: answer.parse().unwrap(),
            chunked: coding == "chunks",
            body: self.unread.split_to(length),
        })
    }

    /// Reads until the other side closes.
    pub(crate) async fn drain(&mut self) {
        while self.fill().await.is_ok() {
            self.unread.advance(self.unread.len());
        }
    }

    /// Reads more; an error at the end.
    async fn fill(&mut self) -> io::Result<()> {
        self.unread.reserve(16 * 1024);
        match self.stream.read_buf(&mut self.unread).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}
