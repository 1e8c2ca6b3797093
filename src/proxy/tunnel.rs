//! A connection that left HTTP: bytes both ways until either side ends, both fall silent, or the process
//! does not wait any longer.
//!
//! A WebSocket that ends in the last way says so: its client gets a Close, "going away", where what it was
//! sent stands between two frames. Anywhere else a Close would be taken for payload, and the connection
//! just ends.

mod frames;

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, copy_bidirectional};
use tokio::time::Instant;

use crate::failure::Cause;

use super::account::Account;
use super::client::InProgress;
use super::response_body::Lease;
use frames::Frames;

/// A whole frame: a Close with the status 1001, "going away" (RFC 6455 section 7.4.1).
const GOING_AWAY: [u8; 4] = [0x88, 2, 0x03, 0xe9];

/// What a tunnel is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// For how long nothing may move.
    pub(super) idle: Duration,
    /// Whether what moves are the frames of a WebSocket.
    pub(super) websocket: bool,
}

/// Runs a tunnel; the account is closed when it ends, however it does.
pub(super) async fn run(
    (client, upstream): (OnUpgrade, OnUpgrade),
    terms: Terms,
    (lease, in_progress): (Lease, InProgress),
    mut account: Box<Account>,
) {
    let (client, upstream) = match tokio::try_join!(client, upstream) {
        Ok(both) => both,
        Err(_) => return account.broken(Cause::UpgradeFailed),
    };
    account.complete();
    let mut cut_off = account.client.state.tunnels_cut_off();
    let mut open = Open {
        account,
        moved: Moved {
            begun: Instant::now(),
            last: AtomicU64::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
        },
        _held: (lease, in_progress),
    };
    let streams = (TokioIo::new(client), TokioIo::new(upstream));
    open.copy(streams, terms, async {
        // Without anybody to cut it off, it is.
        let _ = cut_off.wait_for(|now| *now).await;
    })
    .await;
}

/// A tunnel that is open; its bytes are booked when it is dropped, so that one that ends in a reset,
/// in silence or with the process counts, too.
struct Open {
    account: Box<Account>,
    moved: Moved,
    _held: (Lease, InProgress),
}

/// What moved, in bytes, and when last.
struct Moved {
    begun: Instant,
    /// In milliseconds since `begun`.
    last: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
}

impl Open {
    async fn copy<C, U>(
        &mut self,
        (client, upstream): (C, U),
        terms: Terms,
        cut_off: impl Future<Output = ()>,
    ) where
        C: AsyncRead + AsyncWrite + Unpin,
        U: AsyncRead + AsyncWrite + Unpin,
    {
        let moved = &self.moved;
        let mut client = Watched {
            inner: client,
            moved,
            read: &moved.received,
            written: terms.websocket.then(Frames::default),
        };
        let mut upstream = Watched {
            inner: upstream,
            moved,
            read: &moved.sent,
            written: None,
        };
        // To wait takes a lock that is shared with other tunnels: it is polled when it is over, not whenever
        // bytes move.
        let mut cut_off = FuturesUnordered::from_iter([cut_off]);
        tokio::select! {
            _ = copy_bidirectional(&mut client, &mut upstream) => return,
            () = moved.silence(terms.idle) => return,
            _ = cut_off.next() => {}
        }
        drop(upstream);
        if client.written.as_ref().is_some_and(Frames::admits_close) {
            let _gone = part(client.inner).await;
        }
    }
}

/// Says that the process goes away, and hears the client out: closing with something unread would reset the
/// connection, and what was said last would be lost with it.
async fn part(mut client: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    client.write_all(&GOING_AWAY).await?;
    client.shutdown().await?;
    let mut unread = [0; 1024];
    while client.read(&mut unread).await? > 0 {}
    Ok(())
}

impl Drop for Open {
    fn drop(&mut self) {
        self.account.bytes_received = self.moved.received.load(Relaxed);
        self.account.bytes_sent = self.moved.sent.load(Relaxed);
    }
}

impl Moved {
    fn note(&self) {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Relaxed);
    }

    /// Returns when nothing moved for as long as the limit.
    async fn silence(&self, idle: Duration) {
        loop {
            let last = self.begun + Duration::from_millis(self.last.load(Relaxed));
            let end = last + idle;
            if end <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(end).await;
        }
    }
}

pin_project_lite::pin_project! {
    /// A stream whose every movement is noticed.
    struct Watched<'a, T> {
        #[pin]
        inner: T,
        moved: &'a Moved,
        // Counts what is read.
        read: &'a AtomicU64,
        // Follows what is written, where it is frames.
        written: Option<Frames>,
    }
}

impl<T: AsyncRead> AsyncRead for Watched<'_, T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.project();
        let before = buf.filled().len();
        let polled = this.inner.poll_read(cx, buf);
        if polled.is_ready() {
            let read = buf.filled().len().saturating_sub(before);
            this.read.fetch_add(read as u64, Relaxed);
            this.moved.note();
        }
        polled
    }
}

impl<T: AsyncWrite> AsyncWrite for Watched<'_, T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        let polled = this.inner.poll_write(cx, buf);
        if polled.is_ready() {
            this.moved.note();
        }
        if let (Poll::Ready(Ok(written)), Some(frames)) = (&polled, this.written) {
            frames.advance(&buf[..*written]);
        }
        polled
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_shutdown(cx)
    }
}
