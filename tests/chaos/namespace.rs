//! A network of our own, in which every loopback address is free and packets can be lost.
//!
//! The test runs its own program again in new user, network and process namespaces (`unshare`, no
//! root needed), where it is root over a firewall that nobody else sees.

use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

const INSIDE: &str = "BYWASH_CHAOS_INSIDE";

/// Packets to and from these addresses are lost without a word.
const LOST: &str = "table ip lost {
    set addresses { type ipv4_addr; }
    chain input {
        type filter hook input priority filter
        ip daddr @addresses drop
        ip saddr @addresses drop
    }
}";

pub(crate) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs the test of this name inside, and tells what it tells.
pub(crate) fn enter(test: &str) {
    let mut child = system("unshare")
        .args(["--user", "--map-root-user", "--net"])
        .args(["--pid", "--fork", "--kill-child"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("`unshare` is needed: install the package util-linux");
    let told = BufReader::new(child.stdout.take().unwrap());
    let mut passed = false;
    for line in told.lines().map_while(Result::ok) {
        passed |= line.contains("1 passed");
        println!("{line}");
    }
    let status = child.wait().unwrap();
    assert!(status.success() && passed, "inside its network: {status}");
}

/// Inside: brings the network up, with nothing lost yet.
pub(crate) fn prepare() {
    run(system("ip").args(["link", "set", "lo", "up"]), "iproute2");
    run(system("nft").arg(LOST), "nftables");
}

/// From now on nothing reaches this address any more, and nobody is told.
pub(crate) async fn lose(address: Ipv4Addr) {
    change("add", address).await;
}

/// The address is back; what was sent meanwhile is lost, unless it is sent again.
pub(crate) async fn find(address: Ipv4Addr) {
    change("delete", address).await;
}

async fn change(verb: &str, address: Ipv4Addr) {
    let command = format!("{verb} element ip lost addresses {{ {address} }}");
    let changed = tokio::task::spawn_blocking(move || run(system("nft").arg(command), "nftables"));
    changed.await.unwrap();
}

fn run(command: &mut Command, package: &str) {
    let output = command.output();
    let output = output.unwrap_or_else(|_| panic!("{command:?}: install the package {package}"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {complaint}");
}

/// A command that may live in a directory which is not on every user's path.
fn system(program: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(program);
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command
}
