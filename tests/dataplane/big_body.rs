//! Bodies far larger than memory should be: 4 GiB each way, streamed with back-pressure.
//!
//! Each in a process of its own, whose memory no other test uses.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bywash::faults::{Fault, Peer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::client::until;
use super::gateway::Gateway;

const SIZE: u64 = 4 << 30;
const MIB: u64 = 1 << 20;

/// The most memory that this process has had resident, while this is alive, over what it had first.
#[derive(Clone)]
struct Growth {
    before: u64,
    most: Arc<AtomicU64>,
}

impl Growth {
    fn new() -> Self {
        Self {
            before: resident(),
            most: Arc::default(),
        }
    }

    fn sample(&self) {
        self.most
            .fetch_max(resident().saturating_sub(self.before), Ordering::Relaxed);
    }

    #[track_caller]
    fn assert_bounded(&self) {
        let most = self.most.load(Ordering::Relaxed) / MIB;
        assert!(most < 64, "grew by {most} MiB");
    }
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kib * 1024
}

isolated! {
    async fn a_download_of_4_gib_passes_in_constant_memory() {
        let peer = Peer::start(Fault::Source).await.unwrap();
        let gateway = Gateway::before(&[&peer]);
        let mut client = gateway.client().await;
        client
            .send("GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n")
            .await;
        let head = client.head().await;
        assert_eq!(head.field("content-length"), Some(&*SIZE.to_string()));
        let growth = Growth::new();
        let mut left = SIZE - client.forget_unread();
        let mut buffer = vec![0; 256 * 1024];
        while left > 0 {
            let read = client.stream.read(&mut buffer).await.unwrap() as u64;
            assert!(read > 0, "cut with {left} bytes left");
            if left / (64 * MIB) != (left - read) / (64 * MIB) {
                growth.sample();
            }
            left -= read;
        }
        growth.assert_bounded();
        let entry = gateway.logged().await;
        assert_eq!((entry.bytes_sent, entry.cause), (SIZE, None));
    }

    async fn an_upload_of_4_gib_passes_in_constant_memory() {
        let peer = Peer::start(Fault::Echo).await.unwrap();
        let gateway = Gateway::before(&[&peer]);
        let mut client = gateway.client().await;
        client
            .send(format!(
                "POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: {SIZE}\r\n\r\n"
            ))
            .await;
        let growth = Growth::new();
        let block = vec![0; 256 * 1024];
        for i in 0..SIZE / block.len() as u64 {
            client.stream.write_all(&block).await.unwrap();
            if i % 256 == 0 {
                growth.sample();
            }
        }
        assert_eq!(client.answer("POST").await.described()["body_bytes"], SIZE);
        growth.assert_bounded();
    }

    /// A client that does not read holds back the endpoint, not our memory.
    async fn a_client_that_does_not_read_stops_the_endpoint() {
        let peer = Peer::start(Fault::Source).await.unwrap();
        let gateway = Gateway::before(&[&peer]);
        let growth = Growth::new();
        let mut client = gateway.client().await;
        client
            .send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
            .await;
        client.head().await;
        let mut before = until(&peer, |counts| counts.sent > 0).await.sent;
        // Until the endpoint cannot send for a while.
        while let Ok(counts) = tokio::time::timeout(
            super::gateway::SHORT,
            until(&peer, |counts| counts.sent > before),
        )
        .await
        {
            before = counts.sent;
        }
        growth.sample();
        growth.assert_bounded();
        assert!(before < 64 * MIB, "{before}");
    }
}
