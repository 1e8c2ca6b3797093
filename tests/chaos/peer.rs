//! An endpoint that does as it is told.
//!
//! It writes bytes, not messages, because no HTTP library would write what a broken server does. What
//! it does with a request is decided when it has read it to its end, and written down then: that is
//! when a server would have executed it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::ledger::{Execution, Ledger};
use crate::order::{answer, is_upload, number};
use crate::schedule::Fault;
use crate::wire::{Received, Wire};

/// Of every endpoint.
const PORT: u16 = 8080;

/// Whether it serves connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Open,
    /// New ones are refused; those that stand end with their next answer.
    Closed,
    /// New ones are refused; those that stand end with the answer that they wait for, or at once.
    Leaving,
    /// All are gone: reset, or closed.
    Crashed {
        reset: bool,
    },
}

/// A server on an address of its own.
pub(crate) struct Peer {
    pub(crate) address: Ipv4Addr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

struct Shared {
    address: SocketAddr,
    door: watch::Sender<Door>,
    /// How answers go wrong.
    fault: watch::Sender<Option<Fault>>,
    listening: watch::Sender<bool>,
    executed: AtomicUsize,
    ledger: Arc<Ledger>,
}

impl Peer {
    /// A server that works, as soon as it listens.
    pub(crate) async fn start(address: Ipv4Addr, ledger: &Arc<Ledger>) -> Self {
        let shared = Arc::new(Shared {
            address: (address, PORT).into(),
            door: watch::Sender::new(Door::Open),
            fault: watch::Sender::new(None),
            listening: watch::Sender::new(false),
            executed: AtomicUsize::new(0),
            ledger: Arc::clone(ledger),
        });
        let serving = tokio::spawn(serve(Arc::clone(&shared)));
        let peer = Self {
            address,
            shared,
            serving,
        };
        peer.is_listening(true).await;
        peer
    }

    pub(crate) fn socket(&self) -> SocketAddr {
        self.shared.address
    }

    /// From now on its answers go wrong like this, or not at all.
    pub(crate) fn answers(&self, fault: Option<Fault>) {
        self.shared.fault.send_replace(fault);
    }

    /// Takes no new connections.
    pub(crate) async fn refuse(&self) {
        self.shared.door.send_replace(Door::Closed);
        self.is_listening(false).await;
    }

    /// Ends in good order, of which nobody was told.
    pub(crate) async fn leave(&self) {
        self.shared.door.send_replace(Door::Leaving);
        self.is_listening(false).await;
    }

    /// Loses everything that it had.
    pub(crate) async fn crash(&self, reset: bool) {
        self.shared.door.send_replace(Door::Crashed { reset });
        self.is_listening(false).await;
    }

    /// Takes connections again.
    pub(crate) async fn open(&self) {
        self.shared.door.send_replace(Door::Open);
        self.is_listening(true).await;
    }

    /// Requests that it read to their end.
    pub(crate) fn executed(&self) -> usize {
        self.shared.executed.load(Relaxed)
    }

    async fn is_listening(&self, wanted: bool) {
        let mut listening = self.shared.listening.subscribe();
        listening.wait_for(|now| *now == wanted).await.unwrap();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Listens whenever the door is open.
async fn serve(shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    let mut door = shared.door.subscribe();
    loop {
        let _ = door.wait_for(|door| *door == Door::Open).await;
        let listener = TcpListener::bind(shared.address).await.unwrap();
        shared.listening.send_replace(true);
        let mut take = |stream| {
            connections.spawn(connection(stream, Arc::clone(&shared)));
            while connections.try_join_next().is_some() {}
        };
        loop {
            tokio::select! {
                biased;
                _ = door.wait_for(|door| *door != Door::Open) => break,
                Ok((stream, _)) = listener.accept() => take(stream),
            }
        }
        // What was connected before the door closed is served: the kernel would reset it.
        let listener = listener.into_std().unwrap();
        while let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(true).unwrap();
            take(TcpStream::from_std(stream).unwrap());
        }
        drop(listener);
        shared.listening.send_replace(false);
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let mut door = shared.door.subscribe();
    let mut wire = Wire::new(stream);
    let crashed = tokio::select! {
        _ = requests(&mut wire, &shared) => None,
        door = door.wait_for(|door| matches!(door, Door::Crashed { .. })) => door.ok().map(|it| *it),
    };
    if crashed == Some(Door::Crashed { reset: true }) {
        reset(&wire.stream);
    }
}

/// One after the other, until the connection ends.
async fn requests(wire: &mut Wire, shared: &Shared) -> io::Result<()> {
    let mut door = shared.door.subscribe();
    let mut reused = false;
    loop {
        let begins = tokio::select! {
            biased;
            begins = wire.begins() => begins,
            _ = door.wait_for(|door| *door == Door::Leaving) => false,
        };
        if !begins {
            return Ok(());
        }
        let request = wire.request().await?;
        if !is_upload(&request.id, &request.body) {
            let what = format!("{}: its body arrived changed", request.id);
            shared.ledger.violation(what);
        }
        let fault = *shared.fault.borrow();
        let truncated = matches!(
            fault,
            Some(Fault::Truncate | Fault::StallInBody | Fault::ResetInBody)
        );
        let execution = Execution {
            endpoint: shared.address,
            reused,
            truncated,
        };
        shared.executed.fetch_add(1, Relaxed);
        shared.ledger.executed(&request.id, execution);
        reused = true;
        let last = respond(wire, shared, &request, fault).await?;
        if last {
            return Ok(());
        }
    }
}

/// Answers, well or badly; whether that was the end of the connection.
async fn respond(
    wire: &mut Wire,
    shared: &Shared,
    request: &Received,
    fault: Option<Fault>,
) -> io::Result<bool> {
    // So that requests are under way when something changes.
    let works = number(&request.id, "time") % 8;
    tokio::time::sleep(Duration::from_millis(works)).await;
    let last = *shared.door.borrow() != Door::Open;
    let answer = Response::new(shared.address, request, last);
    match fault {
        Some(Fault::Stall) => wire.drain().await,
        Some(Fault::Reset) => reset(&wire.stream),
        Some(Fault::Close) => {}
        Some(Fault::CutHead) => wire.stream.write_all(&answer.head[..20]).await?,
        Some(Fault::Truncate) => wire.stream.write_all(&answer.half()).await?,
        Some(Fault::StallInBody) => {
            wire.stream.write_all(&answer.half()).await?;
            wire.drain().await;
        }
        Some(Fault::ResetInBody) => {
            wire.stream.write_all(&answer.half()).await?;
            reset(&wire.stream);
        }
        Some(Fault::Answer502) => {
            let answer = answer.bad_gateway();
            wire.stream.write_all(answer.as_bytes()).await?;
            return Ok(last);
        }
        None | Some(Fault::Refuse | Fault::Vanish | Fault::Restart | Fault::Leave) => {
            wire.stream.write_all(&answer.whole()).await?;
            return Ok(last);
        }
    }
    Ok(true)
}

/// Closing it from now on sends RST.
fn reset(stream: &TcpStream) {
    let socket = socket2::SockRef::from(stream);
    let _ = socket.set_linger(Some(Duration::ZERO));
}

/// The answer that was asked for.
struct Response {
    /// The fields of any answer.
    fields: String,
    head: Vec<u8>,
    /// With its framing.
    body: Vec<u8>,
}

impl Response {
    fn new(from: SocketAddr, request: &Received, last: bool) -> Self {
        let content = answer(&request.id, request.answer);
        let connection = if last { "connection: close\r\n" } else { "" };
        let fields = format!("x-endpoint: {from}\r\n{connection}");
        let (framing, body) = if request.chunked {
            let (first, second) = content.split_at(content.len() / 2);
            let chunk = |part: &[u8]| {
                let size = format!("{:x}\r\n", part.len());
                [size.as_bytes(), part, b"\r\n"].concat()
            };
            let body = [&*chunk(first), &*chunk(second), b"0\r\n\r\n"].concat();
            ("transfer-encoding: chunked".to_owned(), body)
        } else {
            let length = format!("content-length: {}", content.len());
            (length, content.to_vec())
        };
        let head = format!("HTTP/1.1 200 OK\r\n{fields}{framing}\r\n\r\n");
        Self {
            fields,
            head: head.into_bytes(),
            body,
        }
    }

    fn whole(&self) -> Vec<u8> {
        [&*self.head, &*self.body].concat()
    }

    /// The head, and a part of the body.
    fn half(&self) -> Vec<u8> {
        [&*self.head, &self.body[..self.body.len() / 2]].concat()
    }

    /// What an application answers whose own backend is gone.
    fn bad_gateway(&self) -> String {
        let Self { fields, .. } = self;
        format!("HTTP/1.1 502 Bad Gateway\r\n{fields}content-length: 3\r\n\r\nno\n")
    }
}
