//! Steady traffic in the background, of which not one request may fail.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::client::{Connection, Reply, request};
use crate::wait::{SOON, eventually};

/// Enough to meet every change in flight, little enough to leave the machine to the control plane.
const BETWEEN_REQUESTS: Duration = Duration::from_millis(4);

/// Clients that each send one request after the other on a keep-alive connection.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    answered: AtomicU64,
    /// What came of the requests that were not answered with 200.
    failures: Mutex<Vec<String>>,
    stopped: AtomicBool,
}

impl Load {
    /// Requests that may be repeated.
    pub(crate) fn start(clients: usize, address: SocketAddr, host: &str) -> Self {
        Self::of(Method::GET, clients, address, host)
    }

    /// Requests that may not be repeated once they were sent.
    pub(crate) fn start_posts(clients: usize, address: SocketAddr, host: &str) -> Self {
        Self::of(Method::POST, clients, address, host)
    }

    fn of(method: Method, clients: usize, address: SocketAddr, host: &str) -> Self {
        let shared = Arc::<Shared>::default();
        let mut request = request(host, "/");
        *request.method_mut() = method;
        let mut tasks = JoinSet::new();
        for _ in 0..clients {
            tasks.spawn(client(address, request.clone(), Arc::clone(&shared)));
        }
        Self {
            shared,
            clients: tasks,
        }
    }

    /// Requests answered with 200 so far.
    pub(crate) fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Waits until this many more requests were answered: proof that traffic flows now.
    pub(crate) async fn flows(&self, more: u64) {
        let goal = self.answered() + more;
        eventually("traffic that flows", SOON, async || {
            let answered = self.answered();
            let reached = answered >= goal;
            reached.then_some(()).ok_or(format!("{answered} of {goal}"))
        })
        .await;
    }

    /// What came of the requests that were not answered with 200.
    pub(crate) fn failures(&self) -> Vec<String> {
        self.shared.failures.lock().unwrap().clone()
    }

    /// Ends the traffic, none of which has failed.
    pub(crate) async fn stop_without_failures(mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        while self.clients.join_next().await.is_some() {}
        let (answered, failures) = (self.answered(), self.failures());
        assert!(
            failures.is_empty(),
            "{} requests failed and {answered} did not; the first: {}",
            failures.len(),
            failures[0]
        );
        assert!(answered > 0, "no request was sent at all");
    }
}

async fn client(address: SocketAddr, request: Request<Full<Bytes>>, shared: Arc<Shared>) {
    let fail = |what: String| shared.failures.lock().unwrap().push(what);
    let mut connection = None;
    let mut pace = interval(BETWEEN_REQUESTS);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !shared.stopped.load(Ordering::Relaxed) {
        pace.tick().await;
        match once(address, request.clone(), &mut connection).await {
            Ok(reply) if reply.status == StatusCode::OK => {
                shared.answered.fetch_add(1, Ordering::Relaxed);
            }
            Ok(reply) => fail(format!("{} {}", reply.status, reply.body)),
            Err(error) => {
                connection = None;
                fail(format!("{error:#}"));
            }
        }
    }
}

/// A connection that the server has closed between two requests is replaced, as any client would.
async fn once(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
    kept: &mut Option<Connection>,
) -> anyhow::Result<Reply> {
    let open = match kept {
        Some(connection) => connection.is_open().await,
        None => false,
    };
    if !open {
        *kept = None;
    }
    let connection = match kept {
        Some(connection) => connection,
        None => kept.insert(Connection::open(address).await?),
    };
    connection.send(request).await
}
