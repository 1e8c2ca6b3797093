//! How many bytes went out and came in on a connection.
//!
//! hyper reports the end of a connection with the same error whether it came before the request was
//! written, after it, or inside the response head. The difference decides whether a POST may be sent
//! again, so it is counted: what goes out at the socket, below TLS, because only there it has left;
//! what comes in above TLS, because tickets and alerts are no answer.
//!
//! A failed write is not told to hyper, which would give up at once: an endpoint may have answered
//! before it stopped taking the request (413, then a reset), and that answer is still to be read. So
//! the failure waits until the reader has nothing more, and what is written meanwhile goes nowhere.
//!
//! What comes before an answer begins has a limit: hyper reads interim responses without end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::failure::TlsAlert;

/// The counters of one connection: written by its task, read by whoever uses it.
#[derive(Debug, Default)]
pub struct Traffic {
    written: AtomicU64,
    read: AtomicU64,
    /// The first bytes of the answer that is being read, in network order; 0 if none arrived.
    first: AtomicU64,
    /// The TLS alert that ended it, and one; 0 if none did.
    alert: AtomicU16,
    /// Up to how many bytes are read while an answer is waited for; 0 otherwise.
    limit: AtomicU64,
}

/// What moved on a connection since a [`Mark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Bytes written to the socket.
    pub written: u64,
    /// Bytes read, without those of TLS itself.
    pub read: u64,
    /// Up to eight bytes of what came in first, the rest zero.
    pub first: [u8; 8],
}

/// The counters at the moment a request was handed over.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    written: u64,
    read: u64,
}

impl Traffic {
    /// Starts to count for a new request.
    pub fn mark(&self) -> Mark {
        self.first.store(0, Relaxed);
        Mark {
            written: self.written.load(Relaxed),
            read: self.read.load(Relaxed),
        }
    }

    /// An answer is awaited, which has to begin within so many bytes.
    pub fn await_answer(&self, within: u64) {
        self.limit.store(self.read.load(Relaxed) + within, Relaxed);
    }

    /// The answer has begun.
    pub fn answered(&self) {
        self.limit.store(0, Relaxed);
    }

    /// Fails when the answer should have begun by now.
    fn within_limit(&self) -> io::Result<()> {
        let limit = self.limit.load(Relaxed);
        match limit > 0 && self.read.load(Relaxed) > limit {
            true => Err(io::ErrorKind::FileTooLarge.into()),
            false => Ok(()),
        }
    }

    /// What moved since the mark.
    pub fn since(&self, mark: Mark) -> Moved {
        Moved {
            written: self.written.load(Relaxed) - mark.written,
            read: self.read.load(Relaxed) - mark.read,
            first: self.first.load(Relaxed).to_be_bytes(),
        }
    }

    /// The connection was ended by a TLS alert.
    pub fn ended_by(&self, alert: TlsAlert) {
        self.alert.store(u16::from(alert.0) + 1, Relaxed);
    }

    /// The TLS alert that ended the connection, if one did.
    pub fn alert(&self) -> Option<TlsAlert> {
        let stored = self.alert.load(Relaxed).checked_sub(1)?;
        u8::try_from(stored).ok().map(TlsAlert)
    }

    fn received(&self, bytes: &[u8]) {
        self.read.fetch_add(bytes.len() as u64, Relaxed);
        let first = self.first.load(Relaxed);
        let free = (first.trailing_zeros() / 8) as usize;
        if free > 0 {
            // They may come in pieces; no answer that is HTTP begins with a zero byte.
            let mut next = first.to_be_bytes();
            let len = bytes.len().min(free);
            next[8 - free..][..len].copy_from_slice(&bytes[..len]);
            self.first.store(u64::from_be_bytes(next), Relaxed);
        }
    }
}

pin_project_lite::pin_project! {
    /// A socket that counts what goes out.
    #[derive(Debug)]
    pub struct CountingWrites<T> {
        #[pin]
        inner: T,
        traffic: Arc<Traffic>,
        // Why writing failed, until the reader is told.
        broken: Option<io::Error>,
        // Whether writing has failed.
        mute: bool,
    }
}

pin_project_lite::pin_project! {
    /// A stream that counts what comes in, and holds what counts it: hyper's task ends with an upgrade,
    /// the stream does not.
    #[derive(Debug)]
    pub struct CountingReads<T, H> {
        #[pin]
        inner: T,
        traffic: Arc<Traffic>,
        held: H,
    }
}

impl<T, H> CountingReads<T, H> {
    /// Counts what is read from the stream; holds `held` for as long as that lives.
    pub fn new(inner: T, traffic: Arc<Traffic>, held: H) -> Self {
        Self {
            inner,
            traffic,
            held,
        }
    }
}

impl<T> CountingWrites<T> {
    /// Counts what is written to the socket.
    pub fn new(inner: T, traffic: Arc<Traffic>) -> Self {
        Self {
            inner,
            traffic,
            broken: None,
            mute: false,
        }
    }
}

impl<T> CountingWrites<T> {
    /// Writes, or drops these bytes when writing has failed.
    fn write(
        self: Pin<&mut Self>,
        length: usize,
        write: impl FnOnce(Pin<&mut T>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        if *this.mute {
            return Poll::Ready(Ok(length));
        }
        match write(this.inner) {
            Poll::Ready(Ok(written)) => {
                this.traffic.written.fetch_add(written as u64, Relaxed);
                Poll::Ready(Ok(written))
            }
            Poll::Ready(Err(error)) => {
                *this.broken = Some(error);
                *this.mute = true;
                Poll::Ready(Ok(length))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T: AsyncRead> AsyncRead for CountingWrites<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.project();
        let before = buf.filled().len();
        let polled = this.inner.poll_read(cx, buf);
        if buf.filled().len() == before
            && polled.is_ready()
            && let Some(broken) = this.broken.take()
        {
            return Poll::Ready(Err(broken));
        }
        polled
    }
}

impl<T: AsyncRead, H> AsyncRead for CountingReads<T, H> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.project();
        let before = buf.filled().len();
        let polled = this.inner.poll_read(cx, buf);
        let bytes = &buf.filled()[before..];
        if !bytes.is_empty() {
            this.traffic.received(bytes);
            this.traffic.within_limit()?;
        }
        polled
    }
}

impl<T: AsyncWrite, H> AsyncWrite for CountingReads<T, H> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_shutdown(cx)
    }
}

impl<T: AsyncWrite> AsyncWrite for CountingWrites<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(buf.len(), |inner| inner.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = bufs.iter().map(|buf| buf.len()).sum();
        self.write(length, |inner| inner.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_of_an_answer_are_known_however_they_come() {
        let traffic = Traffic::default();
        for pieces in [
            &[&b"HTTP/1.1 200 OK"[..]][..],
            &[b"H", b"TTP", b"/1.1 ", b"200"],
        ] {
            let mark = traffic.mark();
            pieces.iter().for_each(|piece| traffic.received(piece));
            assert_eq!(&traffic.since(mark).first, b"HTTP/1.1");
        }
        let mark = traffic.mark();
        traffic.received(b"HT");
        assert_eq!(&traffic.since(mark).first, b"HT\0\0\0\0\0\0");
    }

    #[test]
    fn an_answer_begins_within_its_limit() {
        let traffic = Traffic::default();
        for _ in 0..2 {
            traffic.await_answer(4);
            traffic.received(b"HTTP");
            assert!(traffic.within_limit().is_ok());
            traffic.received(b"/");
            assert!(traffic.within_limit().is_err());
            traffic.answered();
            assert!(traffic.within_limit().is_ok());
        }
    }
}
