//! Upstreams that are a name: what the resolver says becomes the cause.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bywash::faults::{Fault, Peer};
use bywash::routing::policy::Policy;
use tokio::net::UdpSocket;
use tokio::sync::watch;

use super::client::{PATIENCE, get, within};
use super::gateway::{Gateway, SHORT, Setup};
use super::name_server::{Says, answer};
use super::namespace::resolve_at;

/// A look-up asks for addresses of both families.
const LOOK_UP: usize = 2;

/// A name server, which every resolver that is made from now on asks.
struct NameServer {
    says: watch::Sender<Says>,
    /// Questions so far.
    asked: watch::Receiver<usize>,
}

impl NameServer {
    async fn start(says: Says) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 53)).await.unwrap();
        let says = watch::Sender::new(says);
        let (counting, asked) = watch::channel(0);
        let mut now = says.subscribe();
        tokio::spawn(async move {
            let mut query = [0; 512];
            loop {
                let (length, from) = socket.recv_from(&mut query).await.unwrap();
                counting.send_modify(|count| *count += 1);
                let decided = now.wait_for(|says| !matches!(says, Says::Later)).await;
                let Ok(says) = decided.map(|says| *says) else {
                    return;
                };
                if let Some(answer) = answer(&query[..length], says) {
                    socket.send_to(&answer, from).await.unwrap();
                }
            }
        });
        resolve_at(IpAddr::V4(Ipv4Addr::LOCALHOST));
        Self { says, asked }
    }

    fn now_says(&self, says: Says) {
        self.says.send_replace(says);
    }

    /// Waits until so many more questions have come.
    async fn asked(&mut self, more: usize) {
        let all = *self.asked.borrow() + more;
        let enough = self.asked.wait_for(|asked| *asked >= all);
        within("questions", enough).await.unwrap();
    }
}

async fn peer(address: &str) -> Peer {
    let address = address.parse().unwrap();
    Peer::start_at(&[address], "named", Fault::Echo)
        .await
        .unwrap()
}

fn to(name: &str, connect: Duration) -> Setup {
    let mut policy = Policy::default();
    policy.timeouts.connect = connect;
    Setup::to_name(name, policy)
}

fn shop(connect: Duration) -> Gateway {
    to("shop.example", connect).start()
}

isolated! {
    async fn a_request_that_comes_before_its_name_was_looked_up_waits_for_it() {
        let peer = peer("10.244.1.1:80").await;
        let server = NameServer::start(Says::Later).await;
        let shop = shop(PATIENCE);
        let mut waits = shop.client().await;
        waits.send(get("/")).await;
        // It was read before this one, which waits for nothing.
        shop.ask(get("nowhere")).await;
        assert_eq!(peer.requests(), 0);
        server.now_says(Says::Address([10, 244, 1, 1].into()));
        waits.answer("GET").await.described();
    }

    async fn a_name_that_has_an_address_leads_there_and_to_its_next_one() {
        let (first, second) = (peer("10.244.1.1:80").await, peer("10.244.1.2:80").await);
        let server = NameServer::start(Says::Address([10, 244, 1, 1].into())).await;
        let shop = shop(PATIENCE);
        shop.ask(get("/")).await.described();
        assert_eq!((first.requests(), second.requests()), (1, 0));
        server.now_says(Says::Address([10, 244, 1, 2].into()));
        within("the next address", async {
            while second.requests() == 0 {
                shop.ask(get("/")).await.described();
            }
        })
        .await;
    }

    async fn a_name_that_does_not_exist_is_502_dns_error() {
        let _server = NameServer::start(Says::Nothing).await;
        let (answer, entry) = shop(PATIENCE).outcome(get("/")).await;
        assert_eq!((answer.status, answer.proxy_error()), (502, Some("dns_error")));
        assert_eq!(entry.cause.as_deref(), Some("dns_error"));
        assert!(entry.endpoints().is_empty());
    }

    async fn a_name_server_that_is_silent_is_504_dns_timeout() {
        let _server = NameServer::start(Says::Silence).await;
        // While the resolver waits, and when it has given up.
        for connect in [SHORT, PATIENCE] {
            let (answer, entry) = shop(connect).outcome(get("/")).await;
            assert_eq!((answer.status, answer.proxy_error()), (504, Some("dns_timeout")));
            assert_eq!(entry.cause.as_deref(), Some("dns_timeout"));
            assert!(entry.duration_ms >= SHORT.as_secs_f64() * 1_000.0, "{entry:?}");
        }
    }

    async fn a_name_that_had_an_address_keeps_it_when_it_is_not_resolved_any_more() {
        let first = peer("10.244.1.1:80").await;
        let mut server = NameServer::start(Says::Address([10, 244, 1, 1].into())).await;
        let shop = shop(PATIENCE);
        shop.ask(get("/")).await.described();
        server.now_says(Says::Nothing);
        // A look-up that has failed is followed by another one.
        server.asked(2 * LOOK_UP).await;
        shop.ask(get("/")).await.described();
        assert_eq!(first.requests(), 2);
    }

    async fn a_name_in_place_of_another_that_does_not_resolve_is_502_and_the_other_is_left_alone() {
        let first = peer("10.244.1.1:80").await;
        let server = NameServer::start(Says::Address([10, 244, 1, 1].into())).await;
        let shop = shop(PATIENCE);
        shop.outcome(get("/")).await.0.described();
        server.now_says(Says::Nothing);
        shop.serve(to("other.example", PATIENCE).snapshot);
        let (answer, _) = shop.outcome(get("/")).await;
        assert_eq!((answer.status, answer.proxy_error()), (502, Some("dns_error")));
        assert_eq!(first.requests(), 1);
    }
}
