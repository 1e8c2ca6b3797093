//! A connection that left HTTP: bytes both ways until either side ends or both fall silent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
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

/// Runs a tunnel; the account is closed when it ends.
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
    let moved = Arc::new(AtomicU64::new(0));
    let mut client = Watched {
        inner: TokioIo::new(client),
        moved: Arc::clone(&moved),
    };
    let mut upstream = Watched {
        inner: TokioIo::new(upstream),
        moved: Arc::clone(&moved),
    };
    let copied = tokio::select! {
        copied = copy_bidirectional(&mut client, &mut upstream) => copied.ok(),
        () = silence(&moved, idle) => None,
    };
    if let Some((received, sent)) = copied {
        account.bytes_received = received;
        account.bytes_sent = sent;
    }
    account.complete();
    drop(lease);
}

/// Returns when nothing moved for as long as the limit.
async fn silence(moved: &AtomicU64, idle: Duration) {
    let mut seen = moved.load(Relaxed);
    loop {
        tokio::time::sleep_until(Instant::now() + idle).await;
        let now = moved.load(Relaxed);
        if now == seen {
            return;
        }
        seen = now;
    }
}

pin_project_lite::pin_project! {
    /// A stream whose every movement is noticed.
    struct Watched<T> {
        #[pin]
        inner: T,
        moved: Arc<AtomicU64>,
    }
}

impl<T: AsyncRead> AsyncRead for Watched<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.project();
        let polled = this.inner.poll_read(cx, buf);
        if polled.is_ready() {
            this.moved.fetch_add(1, Relaxed);
        }
        polled
    }
}

impl<T: AsyncWrite> AsyncWrite for Watched<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        let polled = this.inner.poll_write(cx, buf);
        if polled.is_ready() {
            this.moved.fetch_add(1, Relaxed);
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
