//! Which source is asked for a name, where the name servers are silent.

use std::net::{IpAddr, Ipv4Addr};

use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use tokio::net::UdpSocket;

use super::*;

const HOSTS: &str = "\
127.0.0.1 localhost
10.96.0.1 API.shop.svc api # the API server
10.96.0.2 both.shop.svc
fd00::2 both.shop.svc
";

/// A resolver with these hosts, and the server that it asks of all others.
async fn resolver() -> (Resolver, UdpSocket) {
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let mut server = NameServerConfig::udp(Ipv4Addr::LOCALHOST.into());
    server.connections[0].port = silent.local_addr().unwrap().port();
    let search = ["shop.svc.cluster.local.", "svc.cluster.local."];
    let search = search.map(|domain| domain.parse().unwrap()).to_vec();
    let config = ResolverConfig::from_parts(None, search, vec![server]);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    builder.options_mut().ndots = 5;
    let mut hosts = Hosts::default();
    hosts.read_hosts_conf(HOSTS.as_bytes()).unwrap();
    let servers = builder.build().unwrap();
    (Resolver { hosts, servers }, silent)
}

#[tokio::test]
async fn a_name_of_the_hosts_file_is_asked_of_no_server() {
    let (resolver, silent) = resolver().await;
    for (name, addresses) in [
        ("api.shop.svc", &["10.96.0.1"][..]),
        ("api.shop.svc.", &["10.96.0.1"]),
        ("Api", &["10.96.0.1"]),
        ("both.shop.svc", &["10.96.0.2", "fd00::2"]),
    ] {
        let found = resolver.look_up(name).await.unwrap();
        let expected: Vec<IpAddr> = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{name}");
    }
    let asked = silent.try_recv(&mut [0; 512]);
    assert_eq!(asked.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn every_other_name_is_asked_of_the_servers() {
    let (resolver, silent) = resolver().await;
    let mut question = [0; 512];
    tokio::select! {
        found = resolver.look_up("shop.svc") => panic!("{found:?}"),
        asked = silent.recv(&mut question) => assert!(asked.unwrap() > 0),
    }
}
