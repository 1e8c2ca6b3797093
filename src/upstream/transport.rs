//! How bytes travel to an endpoint: as they are, or in TLS.

use std::io::{self, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::classify::alert;
use super::counting::{CountingWrites, Traffic};

/// A connection's bytes.
#[derive(Debug)]
pub enum Transport {
    /// As they are.
    Plain(CountingWrites<TcpStream>),
    /// In TLS.
    Tls(Box<Secured>),
}

/// A connection with TLS.
#[derive(Debug)]
pub struct Secured {
    stream: TlsStream<CountingWrites<TcpStream>>,
    /// Where an alert is noted that ends it.
    traffic: Arc<Traffic>,
    /// What is told when everything that came before it has been read.
    failed: Option<io::Error>,
}

impl Secured {
    /// What a handshake has made.
    pub fn new(stream: TlsStream<CountingWrites<TcpStream>>, traffic: Arc<Traffic>) -> Self {
        Self {
            stream,
            traffic,
            failed: None,
        }
    }

    /// Reads. What came before something that is wrong is still good: it may be an answer, which
    /// rustls has when it reports the failure.
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.failed.is_none() {
            match ready!(self.stream().poll_read(cx, buf)) {
                Ok(()) => return Poll::Ready(Ok(())),
                Err(error) => self.failed = Some(error),
            }
        }
        let session = self.stream.get_mut().1;
        let good = session.reader().read(buf.initialize_unfilled());
        if let Ok(length @ 1..) = good {
            buf.advance(length);
            return Poll::Ready(Ok(()));
        }
        match self.failed.take() {
            None => Poll::Ready(Ok(())),
            Some(error) => {
                if let Some(alert) = alert(&error) {
                    self.traffic.ended_by(alert);
                }
                Poll::Ready(Err(error))
            }
        }
    }

    fn stream(&mut self) -> Pin<&mut TlsStream<CountingWrites<TcpStream>>> {
        Pin::new(&mut self.stream)
    }

    /// A failure of TLS is told to the reader alone, and that writing goes on is pretended, as when the
    /// socket fails ([`counting`](super::counting)): there may still be an answer to read.
    fn written<T>(
        &mut self,
        polled: Poll<io::Result<T>>,
        pretended: T,
        cx: &Context<'_>,
    ) -> Poll<io::Result<T>> {
        polled.map(|result| {
            Ok(result.unwrap_or_else(|error| {
                if self.failed.is_none() {
                    self.failed = Some(error);
                    cx.waker().wake_by_ref();
                }
                pretended
            }))
        })
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(secured) => secured.poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(secured) => {
                let polled = secured.stream().poll_write(cx, buf);
                secured.written(polled, buf.len(), cx)
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(secured) => {
                let polled = secured.stream().poll_write_vectored(cx, bufs);
                let length = bufs.iter().map(|buf| buf.len()).sum();
                secured.written(polled, length, cx)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(secured) => secured.stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(secured) => {
                let polled = secured.stream().poll_flush(cx);
                secured.written(polled, (), cx)
            }
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(secured) => Pin::new(&mut secured.stream).poll_shutdown(cx),
        }
    }
}
