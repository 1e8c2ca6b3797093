//! Nodes that vanish, and what only looks like it.
//!
//! A vanished node sends no FIN and no RST: only unacknowledged bytes and probes tell. An application
//! that thinks, or does not read, has a kernel that acknowledges; it must not be taken for gone.

use std::net::SocketAddr;
use std::time::Duration;

use bywash::faults::script::{Script, Step, send};
use bywash::faults::{Fault, Peer};
use bywash::routing::policy::Policy;
use tokio::net::TcpStream;

use super::client::{End, get, post, until};
use super::gateway::{Gateway, Setup};
use super::log::Entry;
use super::namespace::{ip, lose};
use super::upgrade::UPGRADE;

/// Longer than a vanished peer takes to be found.
const LONG: Duration = Duration::from_secs(8);

async fn two(script: impl Into<bywash::faults::script::Plan>) -> Peer {
    let addresses = ["10.244.1.1:80", "10.244.1.2:80"].map(|address| address.parse().unwrap());
    Peer::start_at(&addresses, "two", script).await.unwrap()
}

/// Where the peer's connection of this number came in.
fn at(peer: &Peer, index: usize) -> SocketAddr {
    peer.received()[index].at.unwrap()
}

#[track_caller]
fn assert_found_in_about_five_seconds(entry: &Entry) {
    let seconds = entry.duration_ms / 1000.0;
    assert!((3.0..8.0).contains(&seconds), "{entry:?}");
}

isolated! {
    async fn a_node_that_vanished_after_the_request_is_found_and_left_for_the_next_one() {
        let peer = two(Fault::Echo).await;
        peer.once(Fault::StallBeforeHead);
        let gateway = Gateway::before(&[&peer]);
        let mut client = gateway.client().await;
        client.send(get("/")).await;
        until(&peer, |counts| counts.requests == 1).await;
        let lost = at(&peer, 0);
        lose(lost);
        client.answer("GET").await.described();
        let entry = gateway.logged().await;
        assert_eq!(entry.causes(), ["peer_vanished", ""]);
        assert_eq!(entry.endpoints()[0], lost);
        assert_found_in_about_five_seconds(&entry);
    }

    async fn a_node_that_vanished_while_its_connection_was_idle_is_found_at_the_next_request() {
        let address = "10.244.1.1:80".parse().unwrap();
        let peer = Peer::start_at(&[address], "one", Fault::Echo).await.unwrap();
        let gateway = Gateway::before(&[&peer]);
        gateway.outcome(get("/")).await.0.described();
        lose(address);
        let (answer, entry) = gateway.outcome(get("/")).await;
        assert_eq!(answer.status, 502);
        assert_eq!(entry.causes()[0], "peer_vanished");
        assert_eq!(peer.requests(), 1);
        assert_found_in_about_five_seconds(&entry);
    }

    async fn a_node_that_vanished_is_502_connection_terminated_for_a_post() {
        let peer = two(Fault::StallBeforeHead).await;
        let gateway = Gateway::before(&[&peer]);
        let mut client = gateway.client().await;
        client.send(post("/", "body")).await;
        until(&peer, |counts| counts.requests == 1).await;
        lose(at(&peer, 0));
        let answer = client.answer("POST").await;
        assert_eq!(answer.status, 502);
        assert_eq!(answer.proxy_error(), Some("connection_terminated"));
        let entry = gateway.logged().await;
        assert_eq!(entry.causes(), ["peer_vanished"]);
        assert_eq!(peer.requests(), 1);
        assert_found_in_about_five_seconds(&entry);
    }

    async fn a_node_that_vanished_inside_the_upload_is_found() {
        let peer = two(Fault::Echo).await;
        let gateway = Gateway::before(&[&peer]);
        let mut client = gateway.client().await;
        client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 8\r\n\r\nhalf").await;
        until(&peer, |counts| counts.requests == 1 && counts.received > 4).await;
        lose(at(&peer, 0));
        client.send("rest").await;
        let answer = client.answer("POST").await;
        assert_eq!((answer.status, answer.proxy_error()), (502, Some("connection_terminated")));
        let entry = gateway.logged().await;
        assert_eq!(entry.causes(), ["peer_vanished"]);
        assert_found_in_about_five_seconds(&entry);
    }

    async fn a_node_that_vanished_inside_the_response_body_ends_it() {
        let peer = two(Fault::StallInBody).await;
        let gateway = Gateway::before(&[&peer]);
        let mut client = gateway.client().await;
        client.send(get("/")).await;
        assert_eq!(client.head().await.status, 200);
        assert_eq!(client.bytes(4).await, b"half");
        lose(at(&peer, 0));
        assert_ne!(client.rest().await.1, End::Whole);
        let entry = gateway.logged().await;
        assert_eq!(entry.cause.as_deref(), Some("peer_vanished"));
        assert_found_in_about_five_seconds(&entry);
    }

    async fn a_node_that_vanished_before_it_answered_an_upgrade_is_found_and_left_for_the_next_one() {
        let peer = two(Fault::Echo).await;
        peer.once(Fault::StallBeforeHead);
        let gateway = Gateway::before(&[&peer]);
        let mut client = gateway.client().await;
        client.send(UPGRADE).await;
        until(&peer, |counts| counts.requests == 1).await;
        lose(at(&peer, 0));
        assert_eq!(client.head().await.status, 101);
        drop(client);
        let entry = gateway.logged().await;
        assert_eq!(entry.causes(), ["peer_vanished", ""]);
        assert_found_in_about_five_seconds(&entry);
    }

    async fn an_application_that_thinks_for_long_is_not_taken_for_vanished() {
        let peer = two(Fault::StallBeforeHead).await;
        let with = |policy: &mut Policy| policy.timeouts.request = LONG;
        let gateways = [Gateway::with(&[&peer], with), Gateway::with(&[&peer], with)];
        let (read, written) = tokio::join!(
            gateways[0].outcome(get("/")),
            gateways[1].outcome(post("/", "body"))
        );
        for (answer, entry) in [read, written] {
            assert_eq!(answer.status, 504);
            assert_eq!(entry.causes(), ["deadline_exceeded"]);
        }
    }

    async fn an_application_that_does_not_read_for_long_is_not_taken_for_vanished() {
        let peer = two(Script::on_request([
            Step::Gate,
            Step::ReadBody,
            send("HTTP/1.1 204 Late\r\n\r\n"),
        ]))
        .await;
        let upload = async |size: usize| {
            let gateway = Gateway::before(&[&peer]);
            let body = "a".repeat(size);
            let answer = gateway.client().await.upload(post("/", &body)).await;
            assert_eq!(answer.status, 204, "{size}");
            assert_eq!(gateway.logged().await.causes(), [""]);
        };
        // More than the buffers of both kernels hold, and less: then the upload is out.
        tokio::join!(upload(64 << 20), upload(1 << 20), async {
            until(&peer, |counts| counts.waiting == 2).await;
            // The time is what is tested here.
            tokio::time::sleep(LONG).await;
            peer.open(2);
        });
    }

    async fn an_application_that_never_reads_is_504_connection_write_timeout() {
        let peer = two(Fault::NeverReads).await;
        let gateway = Gateway::with(&[&peer], |policy| policy.timeouts.send = LONG);
        let answer = gateway.client().await.upload(post("/", &"a".repeat(64 << 20))).await;
        assert_eq!((answer.status, answer.proxy_error()), (504, Some("connection_write_timeout")));
        assert_eq!(gateway.logged().await.causes(), ["send_timeout"]);
    }

    async fn an_endpoint_to_which_no_route_leads_is_502_destination_ip_unroutable() {
        ip("route add unreachable 10.245.0.0/16");
        let gateway = Setup::to(&["10.245.0.1:80".parse().unwrap()], Policy::default()).start();
        let (answer, entry) = gateway.outcome(get("/")).await;
        assert_eq!((answer.status, answer.proxy_error()), (502, Some("destination_ip_unroutable")));
        assert_eq!(entry.causes(), ["address_unroutable"; 3]);
    }

    /// Our own lack is nobody else's failure: 503, and the endpoint is none the worse for it.
    async fn a_lack_of_local_ports_is_503_proxy_internal_error() {
        let address = "10.244.1.1:80".parse().unwrap();
        let peer = Peer::start_at(&[address], "one", Fault::Echo).await.unwrap();
        let gateway = Gateway::before(&[&peer]);
        std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40007").unwrap();
        let mut taken = Vec::new();
        while let Ok(stream) = TcpStream::connect(peer.address()).await {
            taken.push(stream);
        }
        let (answer, entry) = gateway.outcome(post("/", "body")).await;
        assert_eq!((answer.status, answer.proxy_error()), (503, Some("proxy_internal_error")));
        assert_eq!(entry.cause.as_deref(), Some("local_resources"));
        drop(taken);
    }
}
