//! The program in the image's root, with what an engine adds: a network, a file that says where names are
//! asked for, and the devices that the OCI runtime specification promises (Linux, Default Devices).
//!
//! Each name resolves to the address at which a peer of the test listens, so that whoever was reached was
//! reached by its name.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bywash::faults::{Fault, Peer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::unpacked::{DEVICES, Image};
use crate::name_server::{Says, answer};
use crate::namespace::{self, system};

const NAMED: Ipv4Addr = Ipv4Addr::new(10, 244, 1, 1);

const SHOP: &str = "
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {type: ExternalName, externalName: cart.example, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop, namespace: shop}
spec:
  ingressClassName: bywash
  defaultBackend: {service: {name: cart, port: {number: 80}}}
";

const KUBECONFIG: &str = "
apiVersion: v1
kind: Config
current-context: named
contexts: [{name: named, context: {cluster: named, user: anybody}}]
clusters: [{name: named, cluster: {server: 'http://api.example:6443'}}]
users: [{name: anybody, user: {}}]
";

/// The image's root, read-only, with some files of ours in the folder `given`.
struct Root(PathBuf);

impl Root {
    /// In a mount namespace of the test's own.
    fn with(files: &[(&str, &str)]) -> Self {
        let root = Image::get().root.clone();
        mount(&["--bind", root.to_str().unwrap()], &root);
        mount(&["-o", "remount,bind,ro"], &root);
        for device in DEVICES {
            mount(&["--bind", &format!("/{device}")], &root.join(device));
        }
        let given = root.join("given");
        mount(&["-t", "tmpfs", "given"], &given);
        for (path, content) in files {
            let path = given.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        Self(root)
    }

    /// The program, as the image's user and without capabilities.
    fn command(&self, arguments: &[&str]) -> Command {
        let environment = &Image::get().config["config"]["Env"][0];
        let path = environment.as_str().unwrap().strip_prefix("PATH=");
        // By its place, because the image says where programs are, as it does to an engine.
        let mut command = Command::new("/usr/bin/unshare");
        command
            .env_clear()
            .env("PATH", path.unwrap())
            .args(["--user", "--map-user=65532", "--map-group=65532", "--wd=/"])
            .arg(format!("--root={}", self.0.display()))
            .arg("bywash")
            .args(arguments);
        command
    }
}

fn mount(arguments: &[&str], at: &Path) {
    let mounted = system("mount").args(arguments).arg(at).output().unwrap();
    let complaint = String::from_utf8_lossy(&mounted.stderr);
    assert!(mounted.status.success(), "mount {arguments:?}: {complaint}");
}

/// `bywash standalone` over the manifests that were given; killed when dropped.
struct Serving(Child);

impl Serving {
    async fn start(root: &Root, environment: &[(&str, &str)]) -> Self {
        let mut command = root.command(&[
            "standalone",
            "/given/manifests",
            "--allow-external-name",
            "--http-address=127.0.0.1:8080",
            "--https-address=none",
            "--log-format=json",
        ]);
        let child = command
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let (serving, told) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let mut serving = Some(serving);
            for line in log.lines().map_while(Result::ok) {
                if line.contains("\"message\":\"serving\"") {
                    serving.take().map(|serving| serving.send(()));
                }
            }
        });
        told.await.expect("it ended by itself");
        Self(child)
    }

    async fn get(&self) -> String {
        let mut stream = TcpStream::connect("127.0.0.1:8080").await.unwrap();
        let request = b"GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut told = String::new();
        stream.read_to_string(&mut told).await.unwrap();
        told
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Answers each question with one address.
async fn serve_names() {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 53)).await.unwrap();
    tokio::spawn(async move {
        let mut query = [0; 512];
        loop {
            let (length, from) = socket.recv_from(&mut query).await.unwrap();
            if let Some(answer) = answer(&query[..length], Says::Address(NAMED)) {
                socket.send_to(&answer, from).await.unwrap();
            }
        }
    });
}

async fn named_peer(port: u16) -> Peer {
    let address = (NAMED, port).into();
    Peer::start_at(&[address], "named", Fault::Echo)
        .await
        .unwrap()
}

/// Runs in a network of its own, with the image at hand.
fn alone<F: Future<Output = ()>>(name: &str, test: impl FnOnce() -> F) {
    Image::get();
    namespace::isolated(module_path!(), name, test);
}

#[test]
fn the_program_says_its_version() {
    alone("the_program_says_its_version", async || {
        let output = Root::with(&[]).command(&["--version"]).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said, format!("bywash {}\n", env!("CARGO_PKG_VERSION")));
    });
}

#[test]
fn an_external_service_is_reached_by_its_name() {
    alone("an_external_service_is_reached_by_its_name", async || {
        serve_names().await;
        let cart = named_peer(80).await;
        let root = Root::with(&[("manifests/shop.yaml", SHOP)]);
        let answer = Serving::start(&root, &[]).await.get().await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert_eq!(cart.requests(), 1);
    });
}

#[test]
fn a_collector_of_traces_is_reached_by_its_name() {
    alone("a_collector_of_traces_is_reached_by_its_name", async || {
        serve_names().await;
        let (_cart, collector) = (named_peer(80).await, named_peer(4318).await);
        let root = Root::with(&[("manifests/shop.yaml", SHOP)]);
        let environment = [
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                "http://collector.example:4318",
            ),
            ("OTEL_BSP_SCHEDULE_DELAY", "10"),
        ];
        let serving = Serving::start(&root, &environment).await;
        serving.get().await;
        collector.wait_for(|counts| counts.requests > 0).await;
    });
}

#[test]
fn the_api_server_is_reached_by_its_name() {
    alone("the_api_server_is_reached_by_its_name", async || {
        serve_names().await;
        let server = named_peer(6443).await;
        let root = Root::with(&[("kubeconfig", KUBECONFIG)]);
        let arguments = ["explain", "ingress/shop", "--kubeconfig=/given/kubeconfig"];
        let mut command = root.command(&arguments);
        let output = tokio::task::spawn_blocking(move || command.output());
        // What it is answered makes no sense, since the peer is no API server.
        let output = output.await.unwrap().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(server.requests() > 0, "{told}");
    });
}
