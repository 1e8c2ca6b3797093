//! Upstreams that are a name: what the resolver says becomes the cause.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

use bywash::faults::{Fault, Peer};
use tokio::net::UdpSocket;

use super::client::{Answer, get, within};
use super::gateway::{Gateway, Setup};
use super::log::Entry;
use super::namespace::resolve_at;

/// What a name server says of every name.
#[derive(Clone, Copy)]
enum Says {
    /// It has this address, for a second.
    Address(Ipv4Addr),
    /// It does not exist (NXDOMAIN).
    Nothing,
    /// No word.
    Silence,
}

/// Starts a name server and has it asked.
async fn name_server(says: Says) -> Arc<Mutex<Says>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 53)).await.unwrap();
    let says = Arc::new(Mutex::new(says));
    let now = says.clone();
    tokio::spawn(async move {
        let mut query = [0; 512];
        loop {
            let (length, from) = socket.recv_from(&mut query).await.unwrap();
            let says = *now.lock().unwrap();
            if let Some(answer) = answer(&query[..length], says) {
                socket.send_to(&answer, from).await.unwrap();
            }
        }
    });
    resolve_at(IpAddr::V4(Ipv4Addr::LOCALHOST));
    says
}

/// RFC 1035 section 4.1: the question comes back, with an address if it was asked for one.
fn answer(query: &[u8], says: Says) -> Option<Vec<u8>> {
    let name_ends = 12 + query[12..].iter().position(|byte| *byte == 0)?;
    let question = &query[12..name_ends + 5];
    let wants_ipv4 = question[question.len() - 4..] == [0, 1, 0, 1];
    let (code, address) = match says {
        Says::Address(address) => (0, Some(address).filter(|_| wants_ipv4)),
        Says::Nothing => (3, None),
        Says::Silence => return None,
    };
    let mut answer = query[..2].to_vec();
    answer.extend([
        0x81,
        0x80 | code,
        0,
        1,
        0,
        u8::from(address.is_some()),
        0,
        0,
        0,
        0,
    ]);
    answer.extend(question);
    if let Some(address) = address {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}

/// Asks until the answer has this status: a name is looked up while requests come already.
async fn until_status(gateway: &Gateway, status: u16) -> (Answer, Entry) {
    within("the name to be looked up", async {
        loop {
            let (answer, entry) = gateway.outcome(get("/")).await;
            if answer.status == status {
                return (answer, entry);
            }
        }
    })
    .await
}

async fn peer(address: &str) -> Peer {
    let address = address.parse().unwrap();
    Peer::start_at(&[address], "named", Fault::Echo)
        .await
        .unwrap()
}

isolated! {
    async fn a_name_that_has_an_address_leads_there_and_to_its_next_one() {
        let (first, second) = (peer("10.244.1.1:80").await, peer("10.244.1.2:80").await);
        let says = name_server(Says::Address([10, 244, 1, 1].into())).await;
        let gateway = Setup::to_name("shop.example").start();
        until_status(&gateway, 200).await;
        assert_eq!((first.requests(), second.requests()), (1, 0));
        *says.lock().unwrap() = Says::Address([10, 244, 1, 2].into());
        within("the next address", async {
            while second.requests() == 0 {
                gateway.ask(get("/")).await.described();
            }
        })
        .await;
    }

    async fn a_name_that_does_not_exist_is_502_dns_error() {
        let _server = name_server(Says::Nothing).await;
        let gateway = Setup::to_name("shop.example").start();
        let (answer, entry) = until_status(&gateway, 502).await;
        assert_eq!(answer.proxy_error(), Some("dns_error"));
        assert_eq!(entry.cause.as_deref(), Some("dns_error"));
        assert!(entry.endpoints().is_empty());
    }

    async fn a_name_server_that_is_silent_is_504_dns_timeout() {
        let _server = name_server(Says::Silence).await;
        let gateway = Setup::to_name("shop.example").start();
        // While the resolver waits, and when it has given up.
        for _ in 0..2 {
            let (answer, entry) = gateway.outcome(get("/")).await;
            assert_eq!((answer.status, answer.proxy_error()), (504, Some("dns_timeout")));
            assert_eq!(entry.cause.as_deref(), Some("dns_timeout"));
            tokio::time::sleep(std::time::Duration::from_secs(4)).await;
        }
    }

    async fn a_name_that_had_an_address_keeps_it_when_it_is_not_resolved_any_more() {
        let first = peer("10.244.1.1:80").await;
        let says = name_server(Says::Address([10, 244, 1, 1].into())).await;
        let gateway = Setup::to_name("shop.example").start();
        until_status(&gateway, 200).await;
        *says.lock().unwrap() = Says::Nothing;
        // Longer than the address was good for.
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        gateway.ask(get("/")).await.described();
        assert!(first.requests() >= 2);
    }
}
