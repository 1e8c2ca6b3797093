//! One address, whose connections go on to one of several endpoints.

use std::io;
use std::net::SocketAddr;

use rand::seq::IndexedRandom as _;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// It listens, and carries what it has accepted, until it is dropped.
pub(crate) struct Listener {
    endpoints: watch::Sender<Vec<SocketAddr>>,
    _task: JoinSet<()>,
}

impl Listener {
    pub(crate) fn at(address: SocketAddr) -> Self {
        let (endpoints, known) = watch::channel(Vec::new());
        let mut task = JoinSet::new();
        task.spawn(async move {
            let ended = listen(address, known).await;
            panic!("nothing listens at {address}: {ended:?}");
        });
        Self {
            endpoints,
            _task: task,
        }
    }

    pub(crate) fn to(&self, endpoints: Vec<SocketAddr>) {
        self.endpoints.send_if_modified(|known| {
            let changed = *known != endpoints;
            *known = endpoints;
            changed
        });
    }
}

async fn listen(
    address: SocketAddr,
    endpoints: watch::Receiver<Vec<SocketAddr>>,
) -> io::Result<std::convert::Infallible> {
    let listener = TcpListener::bind(address).await?;
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await?;
        let endpoint = endpoints.borrow().choose(&mut rand::rng()).copied();
        // Where there is none, the connection ends at once.
        if let Some(endpoint) = endpoint {
            connections.spawn(carry(client, endpoint));
        }
        while connections.try_join_next().is_some() {}
    }
}

/// An error on one side is the end on the other.
async fn carry(mut client: TcpStream, endpoint: SocketAddr) {
    if let Ok(mut server) = TcpStream::connect(endpoint).await {
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}
