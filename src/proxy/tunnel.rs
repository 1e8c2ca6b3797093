//! A connection that left HTTP: bytes both ways until either side ends or both fall silent.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};
use tokio::time::Instant;

use crate::failure::Cause;

use super::account::Account;
use super::response_body::Lease;

/// Runs a tunnel; the account is closed when it ends, however it does.
pub(super) async fn run(
    (client, upstream): (OnUpgrade, OnUpgrade),
    idle: Duration,
    lease: Lease,
    mut account: Box<Account>,
) {
    let (client, upstream) = match tokio::try_join!(client, upstream) {
        Ok(both) => both,
        Err(_) => return account.broken(Cause::UpgradeFailed),
    };
    account.complete();
    let mut open = Open {
        account,
        moved: Moved {
            begun: Instant::now(),
            last: AtomicU64::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
        },
        _lease: lease,
    };
    open.copy(TokioIo::new(client), TokioIo::new(upstream), idle)
        .await;
}

/// A tunnel that is open; its bytes are booked when it is dropped, so that one that ends in a reset,
/// in silence or with the process counts, too.
struct Open {
    account: Box<Account>,
    moved: Moved,
    _lease: Lease,
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
    async fn copy<C, U>(&mut self, client: C, upstream: U, idle: Duration)
    where
        C: AsyncRead + AsyncWrite + Unpin,
        U: AsyncRead + AsyncWrite + Unpin,
    {
        let moved = &self.moved;
        let mut client = Watched {
            inner: client,
            moved,
            read: &moved.received,
        };
        let mut upstream = Watched {
            inner: upstream,
            moved,
            read: &moved.sent,
        };
        tokio::select! {
            _ = copy_bidirectional(&mut client, &mut upstream) => {}
            () = moved.silence(idle) => {}
        }
    }
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
        polled
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_shutdown(cx)
    }
}
