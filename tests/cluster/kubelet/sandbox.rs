//! What the containers of a Pod have in common: an address, and a name of their host.
//!
//! A namespace of its own lets each Pod listen where the chart says, as many as there are. All are on one
//! bridge, on which the tests themselves are as well: they reach every Pod, and a Pod reaches the tests'
//! backends, the API server and the addresses of Services. `cat` keeps the namespace until this is dropped.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::namespace::{self, tool};

const BRIDGE: &str = "pods";
/// Its own. Without one a bridge has the lowest of its Pods', and another when that Pod goes: the others would
/// send to the old one for seconds.
const GATEWAY: &str = "02:00:0a:f5:00:01";
/// Beside the network of the tests' own backends, which is local as a whole.
const NETWORK: [u8; 2] = [10, 245];

/// Tells its number, which is another inside of the tests' process namespace; then waits for its interface.
const SCRIPT: &str = r#"
read -r number rest < /proc/self/stat && echo "$number" && read -r _ &&
hostname "$3" && ip link set lo up && ip address add "$1/16" dev eth0 && ip link set eth0 up &&
ip route add default via "$2" && echo up && exec cat"#;

pub(super) struct Sandbox {
    pub(super) address: Ipv4Addr,
    number: String,
    _stdin: ChildStdin,
    _process: Child,
}

impl Sandbox {
    pub(super) async fn create(pod: &str) -> Self {
        static BRIDGED: OnceLock<()> = OnceLock::new();
        static NEXT: AtomicU16 = AtomicU16::new(2);
        let gateway = address(1);
        BRIDGED.get_or_init(|| bridge(gateway));
        let host = NEXT.fetch_add(1, Ordering::Relaxed);
        let own = address(host);

        let mut process = Command::new(tool("unshare"))
            .args(["--net", "--uts", "sh", "-c", SCRIPT, "sh"])
            .args([&own.to_string(), &gateway.to_string(), pod])
            .env("PATH", namespace::path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("a namespace for a Pod");
        let mut stdin = process.stdin.take().expect("a pipe");
        let mut said = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let number = line(&mut said).await;
        let outside = format!("pod{host}");
        let inside = process.id().expect("a process that runs").to_string();
        let pair = [
            "link", "add", &outside, "type", "veth", "peer", "name", "eth0", "netns", &inside,
        ];
        namespace::run("ip", &pair);
        namespace::run("ip", &["link", "set", &outside, "master", BRIDGE, "up"]);
        stdin.write_all(b"\n").await.expect("a process that waits");
        assert_eq!(line(&mut said).await, "up", "the network of a Pod");
        Self {
            address: own,
            number,
            _stdin: stdin,
            _process: process,
        }
    }

    /// A program in the namespaces of the Pod, and with the mounts that it makes for itself.
    pub(super) fn command(&self, program: &Path) -> std::process::Command {
        let mut command = std::process::Command::new(tool("nsenter"));
        for namespace in ["net", "uts"] {
            command.arg(format!(
                "--{namespace}=/proc/{}/ns/{namespace}",
                self.number
            ));
        }
        command.arg(tool("unshare")).arg("--mount").arg(program);
        command
    }
}

fn address(host: u16) -> Ipv4Addr {
    let ([a, b], [c, d]) = (NETWORK, host.to_be_bytes());
    Ipv4Addr::new(a, b, c, d)
}

fn bridge(gateway: Ipv4Addr) {
    namespace::run(
        "ip",
        &["link", "add", BRIDGE, "address", GATEWAY, "type", "bridge"],
    );
    namespace::run(
        "ip",
        &["address", "add", &format!("{gateway}/16"), "dev", BRIDGE],
    );
    namespace::run("ip", &["link", "set", BRIDGE, "up"]);
}

async fn line(said: &mut Lines<BufReader<ChildStdout>>) -> String {
    let line = said.next_line().await.expect("a pipe");
    line.expect("a namespace for a Pod, with its network")
}
