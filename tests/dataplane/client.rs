//! A client that sends exact bytes and reads exact bytes.
//!
//! How a message ended is the point of many tests (whole, cut by a FIN, cut by a reset), and no HTTP
//! library tells that apart, so the framing is read here (RFC 9112 section 6).

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use bywash::faults::{Counts, Peer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than anything here takes; a test that needs it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Fails the test when the future takes too long.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited in vain: {what}"),
    }
}

/// Waits until what reached a peer satisfies a condition.
pub(crate) async fn until(peer: &Peer, condition: impl FnMut(&Counts) -> bool) -> Counts {
    within("something to reach a peer", peer.wait_for(condition)).await
}

/// How a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// As its framing announced.
    Whole,
    /// By a FIN before it was whole.
    Cut,
    /// By a reset.
    Reset,
}

/// A response, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In the order received.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
    pub(crate) end: End,
}

/// A connection of a client.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    unread: BytesMut,
}

impl Answer {
    /// The first value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let same = |field: &&(String, String)| field.0.eq_ignore_ascii_case(name);
        self.fields.iter().find(same).map(|(_, value)| &**value)
    }

    /// The error type of `Proxy-Status` (RFC 9209).
    pub(crate) fn proxy_error(&self) -> Option<&str> {
        let mut parameters = self.field("proxy-status")?.split(';').map(str::trim);
        parameters.find_map(|parameter| parameter.strip_prefix("error="))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The description that the working backend gives of the request.
    #[track_caller]
    pub(crate) fn described(&self) -> serde_json::Value {
        assert_eq!((self.status, self.end), (200, End::Whole), "{self:?}");
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// `GET path` of any host, on a connection that stays.
pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: shop.test\r\n\r\n")
}

/// `POST path` with a body of announced length.
pub(crate) fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: shop.test\r\nContent-Length: {length}\r\n\r\n{body}")
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            unread: BytesMut::new(),
        }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let write = self.stream.write_all(bytes.as_ref());
        within("the gateway to read", write).await.unwrap();
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn ask(&mut self, request: impl AsRef<[u8]>) -> Answer {
        let request = request.as_ref();
        self.send(request).await;
        self.answer(if request.starts_with(b"HEAD ") {
            "HEAD"
        } else {
            "GET"
        })
        .await
    }

    /// Sends an upload while reading its answer, as clients do: what is not taken any more once the
    /// answer is there is not sent.
    pub(crate) async fn upload(&mut self, request: impl AsRef<[u8]>) -> Answer {
        let mut left = request.as_ref();
        while !left.is_empty() {
            tokio::select! {
                biased;
                readable = self.stream.readable() => {
                    readable.unwrap();
                    break;
                }
                written = self.stream.writable() => {
                    written.unwrap();
                    match self.stream.try_write(left) {
                        Ok(count) => left = &left[count..],
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                        Err(_) => break,
                    }
                }
            }
        }
        self.answer("POST").await
    }

    /// Reads an answer to a request of this method.
    pub(crate) async fn answer(&mut self, method: &str) -> Answer {
        within("an answer", self.read_answer(method)).await
    }

    /// Reads an answer up to the end of its head.
    pub(crate) async fn head(&mut self) -> Answer {
        within("the head of an answer", self.read_head()).await
    }

    /// So many bytes of what follows.
    pub(crate) async fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let end = within("bytes", self.take(count, &mut bytes)).await;
        assert_eq!(end, End::Whole, "{:?}", String::from_utf8_lossy(&bytes));
        bytes
    }

    /// Everything until the gateway ends the connection.
    pub(crate) async fn rest(&mut self) -> (Vec<u8>, End) {
        let mut end = End::Whole;
        while end == End::Whole {
            end = within("the end of the connection", self.fill()).await;
        }
        (self.unread.split().to_vec(), end)
    }

    /// Drops what was read beyond the last answer, and says how much that was.
    pub(crate) fn forget_unread(&mut self) -> u64 {
        self.unread.split().len() as u64
    }

    /// Sends RST.
    pub(crate) fn abort(self) {
        let stream = socket2::SockRef::from(&self.stream);
        stream.set_linger(Some(Duration::ZERO)).unwrap();
    }

    async fn read_head(&mut self) -> Answer {
        let mut lines = Vec::new();
        loop {
            match self.line().await {
                Err(end) => panic!("{end:?} instead of a head, after {lines:?}"),
                Ok(line) if line.is_empty() => break,
                Ok(line) => lines.push(line),
            }
        }
        let status = lines[0].strip_prefix("HTTP/1.1 ");
        let status = status.unwrap_or_else(|| panic!("{lines:?}"));
        Answer {
            status: status[..3].parse().unwrap(),
            fields: lines[1..].iter().map(|line| field(line)).collect(),
            body: Vec::new(),
            trailers: Vec::new(),
            end: End::Whole,
        }
    }

    async fn read_answer(&mut self, method: &str) -> Answer {
        let mut answer = self.read_head().await;
        if method == "HEAD" || matches!(answer.status, 100..200 | 204 | 304) {
            return answer;
        }
        let coding = answer.field("transfer-encoding").map(str::to_owned);
        let length = answer.field("content-length").map(str::to_owned);
        answer.end = match (coding.as_deref(), length) {
            (Some("chunked"), None) => self.chunks(&mut answer).await,
            (None, Some(length)) => {
                let length = length.parse().unwrap();
                self.take(length, &mut answer.body).await
            }
            (None, None) => match self.rest().await {
                (bytes, End::Cut) => {
                    answer.body = bytes;
                    End::Whole
                }
                (bytes, end) => {
                    answer.body = bytes;
                    end
                }
            },
            other => panic!("ambiguous framing: {other:?}"),
        };
        answer
    }

    async fn chunks(&mut self, answer: &mut Answer) -> End {
        loop {
            let size = match self.line().await {
                Ok(line) => usize::from_str_radix(&line, 16).unwrap(),
                Err(end) => return end,
            };
            if size == 0 {
                break;
            }
            let mut chunk = Vec::new();
            let end = self.take(size + 2, &mut chunk).await;
            answer.body.extend(&chunk[..size.min(chunk.len())]);
            if end != End::Whole {
                return end;
            }
        }
        loop {
            match self.line().await {
                Ok(line) if line.is_empty() => return End::Whole,
                Ok(line) => answer.trailers.push(field(&line)),
                Err(end) => return end,
            }
        }
    }

    async fn take(&mut self, count: usize, into: &mut Vec<u8>) -> End {
        let wanted = into.len() + count;
        loop {
            let now = self.unread.len().min(wanted - into.len());
            into.extend_from_slice(&self.unread.split_to(now));
            if into.len() == wanted {
                return End::Whole;
            }
            match self.fill().await {
                End::Whole => {}
                end => return end,
            }
        }
    }

    async fn line(&mut self) -> Result<String, End> {
        loop {
            if let Some(end) = self.unread.iter().position(|b| *b == b'\n') {
                let line = self.unread.split_to(end + 1);
                let line = std::str::from_utf8(&line).unwrap();
                return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
            }
            match self.fill().await {
                End::Whole => {}
                end => return Err(end),
            }
        }
    }

    async fn fill(&mut self) -> End {
        match self.stream.read_buf(&mut self.unread).await {
            Ok(0) => End::Cut,
            Ok(_) => End::Whole,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => End::Reset,
            Err(error) => panic!("{error}"),
        }
    }
}

fn field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap();
    (name.to_owned(), value.trim().to_owned())
}
