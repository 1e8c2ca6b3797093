//! Clients that send one request after the other on connections that they keep.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::ledger::{Answer, Ended, Ledger};
use crate::order::Order;

/// How many there are, and so the most requests at a time.
pub(crate) const CLIENTS: usize = 16;

/// Longer than the gateway lets any request take.
const PATIENCE: Duration = Duration::from_secs(90);

/// The clients, until they are stopped.
pub(crate) struct Clients {
    running: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Clients {
    /// Every third one speaks HTTP/2.
    pub(crate) fn start(gateway: SocketAddr, ledger: &Arc<Ledger>, rng: &mut SmallRng) -> Self {
        let mut running = JoinSet::new();
        let stop = watch::Sender::new(false);
        for index in 0..CLIENTS {
            let client = Client {
                index,
                gateway,
                h2: index % 3 == 2,
                rng: SmallRng::seed_from_u64(rng.random()),
                open: None,
            };
            running.spawn(client.run(Arc::clone(ledger), stop.subscribe()));
        }
        Self { running, stop }
    }

    /// Ends them, after the requests that are under way.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        self.running.join_all().await;
    }
}

struct Client {
    index: usize,
    gateway: SocketAddr,
    h2: bool,
    rng: SmallRng,
    open: Option<Connection>,
}

enum Connection {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

impl Client {
    async fn run(mut self, ledger: Arc<Ledger>, stop: watch::Receiver<bool>) {
        for number in 0.. {
            if *stop.borrow() {
                return;
            }
            let id = format!("{}-{number}", self.index);
            let order = Order::draw(id, &mut self.rng);
            let under_way = ledger.begin();
            let ended = match tokio::time::timeout(PATIENCE, self.send(&order)).await {
                Ok(Ok(ended)) => ended,
                Ok(Err(error)) => Ended::Unanswered(format!("{error:#}")),
                Err(_) => Ended::Unanswered("nothing for too long".to_owned()),
            };
            if !matches!(ended, Ended::Whole(_)) {
                self.open = None;
            }
            under_way.end(order, ended);
            // When all are dead, the budget is to be seen running out.
            let most = if ledger.is_dead() { 10 } else { 40 };
            let pause = Duration::from_millis(self.rng.random_range(0..most));
            tokio::time::sleep(pause).await;
        }
    }

    async fn send(&mut self, order: &Order) -> anyhow::Result<Ended> {
        let mut kept = self.open.take();
        if let Some(open) = &mut kept
            && !open.is_ready().await
        {
            kept = None;
        }
        let mut connection = match kept {
            Some(open) => open,
            None => Connection::open(self.gateway, self.h2).await?,
        };
        let response = connection.send(order.request(self.h2)).await?;
        let (head, body) = response.into_parts();
        let endpoint = head.headers.get("x-endpoint");
        let answer = Answer {
            status: head.status.as_u16(),
            endpoint: endpoint.map(|it| it.to_str().unwrap().parse().unwrap()),
        };
        let Ok(body) = body.collect().await else {
            return Ok(Ended::Broken(answer));
        };
        if answer.status == 200 && body.to_bytes() != order.answer() {
            return Ok(Ended::Changed(answer));
        }
        self.open = Some(connection);
        Ok(Ended::Whole(answer))
    }
}

impl Connection {
    async fn open(gateway: SocketAddr, h2: bool) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(gateway).await?;
        stream.set_nodelay(true)?;
        let io = TokioIo::new(stream);
        Ok(if h2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
            tokio::spawn(connection);
            Self::Two(sender)
        } else {
            let (sender, connection) = http1::handshake(io).await?;
            tokio::spawn(connection);
            Self::One(sender)
        })
    }

    /// Whether the gateway has left it open.
    async fn is_ready(&mut self) -> bool {
        match self {
            Self::One(sender) => sender.ready().await.is_ok(),
            Self::Two(sender) => sender.ready().await.is_ok(),
        }
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::One(sender) => sender.send_request(request).await,
            Self::Two(sender) => sender.send_request(request).await,
        }
    }
}
