//! What becomes of a request that every endpoint in use has failed, while an ejected one is back.

use std::net::SocketAddr;
use std::time::Duration;

use bywash::faults::{Fault, Peer};
use bywash::routing::policy::Policy;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::client::{get, post, within};
use super::gateway::{Gateway, Setup};
use super::secured::{Authority, Front, NAME, server};

/// Longer than the wait before an endpoint that was tried before.
const SLOW: Duration = Duration::from_millis(30);

/// An address at which nobody listens yet.
struct Place(TcpSocket);

impl Place {
    fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self(socket)
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// From now on connections are passed on, each after a while.
    fn lead_to(self, behind: SocketAddr, tasks: &mut JoinSet<()>) {
        let listener = self.0.listen(64).unwrap();
        tasks.spawn(pass_on(listener, behind));
    }
}

async fn pass_on(listener: TcpListener, behind: SocketAddr) {
    let mut connections = JoinSet::new();
    while let Ok((mut client, _)) = listener.accept().await {
        connections.spawn(async move {
            // It is what a slow handshake takes.
            tokio::time::sleep(SLOW).await;
            let mut front = TcpStream::connect(behind).await.unwrap();
            let _ = copy_bidirectional(&mut client, &mut front).await;
        });
    }
}

/// In front of three that refused, of which two were ejected for long.
async fn one_in_use(places: &[Place; 3], authority: &Authority, attempts: u8) -> Gateway {
    let mut policy = Policy::default();
    policy.retry.attempts = attempts;
    // A handshake has to fit into the wait for one that is ejected, however slow this machine is.
    policy.retry.backoff_max = Duration::from_secs(10);
    let upstream = policy.upstream_mut();
    upstream.outlier_detection.ejection.base = Duration::from_secs(300);
    upstream.tls = authority.verifies(NAME);
    let addresses: Vec<_> = places.iter().map(Place::address).collect();
    let gateway = Setup::to(&addresses, policy).start();
    within("two ejections", async {
        while gateway.metric("bywash_upstream_ejections_total", "") < 2.0 {
            let (_, entry) = gateway.outcome(get("/")).await;
            assert_eq!(entry.status, 502);
        }
    })
    .await;
    gateway
}

/// The two are back, the third is what is in use. Nothing had been sent there, so that even what cannot
/// be sent twice goes on.
#[tokio::test]
async fn a_rolling_restart_that_ejected_all_but_the_last_to_go_fails_no_request() {
    let authority = Authority::new();
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let front = Front::before(&peer, server(authority.sign(NAME))).await;
    let put = post("/", "body").replacen("POST", "PUT", 1);
    for attempts in [3, 2] {
        for request in [get("/"), put.clone(), post("/", "an order")] {
            let places = [Place::new(), Place::new(), Place::new()];
            let gateway = one_in_use(&places, &authority, attempts).await;
            let (_, entry) = gateway.outcome(get("/")).await;
            let in_use = entry.endpoints()[0];
            let mut tasks = JoinSet::new();
            let back = places.into_iter().filter(|it| it.address() != in_use);
            back.for_each(|place| place.lead_to(front.address, &mut tasks));
            let (answer, entry) = gateway.outcome(&request).await;
            answer.described();
            assert_eq!(entry.causes(), ["connection_refused", ""], "{request}");
            assert_eq!(entry.endpoints()[0], in_use);
        }
    }
    assert_eq!(peer.requests(), 6);
}

/// It would go there once more if it had another attempt for that.
#[tokio::test]
async fn what_the_last_one_breaks_off_goes_to_an_ejected_one_with_its_last_attempt() {
    let authority = Authority::new();
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let breaking = Peer::start(Fault::ResetAfterRequest).await.unwrap();
    let front = Front::before(&peer, server(authority.sign(NAME))).await;
    let broken = Front::before(&breaking, server(authority.sign(NAME))).await;
    for attempts in [3, 2] {
        let places = [Place::new(), Place::new(), Place::new()];
        let gateway = one_in_use(&places, &authority, attempts).await;
        let (_, entry) = gateway.outcome(get("/")).await;
        let in_use = entry.endpoints()[0];
        let mut tasks = JoinSet::new();
        for place in places {
            let works = place.address() != in_use;
            let behind = if works { &front } else { &broken };
            place.lead_to(behind.address, &mut tasks);
        }
        let (answer, entry) = gateway.outcome(get("/")).await;
        answer.described();
        assert_eq!(entry.attempts.len(), usize::from(attempts), "{entry:?}");
    }
}
