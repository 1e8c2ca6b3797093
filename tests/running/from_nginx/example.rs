//! A copy of the example in which scripted servers have taken the place of the addresses.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ChildStdout;
use std::sync::atomic::{AtomicU8, Ordering};

use bywash::faults::script::Plan;
use bywash::faults::{Counts, Fault, Peer};
use serde_json::Value;

use crate::http::{Answer, send_text};
use crate::manifests::Manifests;
use crate::program::Program;

pub(crate) const HOST: &str = "shop.example";

/// The example with servers of ours.
pub(crate) struct Example {
    pub(crate) manifests: Manifests,
    pub(crate) first: Peer,
    pub(crate) backup: Peer,
}

impl Example {
    /// These texts of the manifests are replaced.
    pub(crate) async fn with(first: impl Into<Plan>, changes: &[(&str, &str)]) -> Self {
        let (network, first, backup) = servers(first.into()).await;
        let manifests = Manifests::empty();
        let mut changes: BTreeMap<&str, &str> = changes.iter().copied().collect();
        let prefix = format!("{network}.");
        changes.insert("10.0.0.", &prefix);
        let mut made = BTreeMap::<&str, usize>::new();
        for (name, mut text) in documents() {
            for (from, to) in &changes {
                *made.entry(from).or_default() += text.matches(from).count();
                text = text.replace(from, to);
            }
            manifests.write(&name, &text);
        }
        assert!(made.values().all(|count| *count > 0), "{made:?}");
        Self {
            manifests,
            first,
            backup,
        }
    }

    pub(crate) fn run(&self) -> Program {
        Program::standalone(self.manifests.path(), &[])
    }

    pub(crate) fn run_logging(&self) -> (Program, ChildStdout) {
        Program::standalone_logging(self.manifests.path(), &[])
    }

    pub(crate) fn requests(&self) -> (usize, usize) {
        (self.first.requests(), self.backup.requests())
    }
}

/// The manifests of the example, by the names of their files.
fn documents() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/from-nginx");
    let mut documents = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.ends_with(".yaml") {
            documents.push((name, fs::read_to_string(path).unwrap()));
        }
    }
    assert!(documents.len() >= 4);
    documents
}

/// Both servers, at port 8080 of the last numbers that the example has, on a network of their own.
async fn servers(first: Plan) -> (String, Peer, Peer) {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    for _ in 0..u8::MAX {
        let process = 100 + std::process::id() % 150;
        let network = format!("127.{process}.{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let at = |number: u8| -> SocketAddr { format!("{network}.{number}:8080").parse().unwrap() };
        let peer = async |number, name, plan| Peer::start_at(&[at(number)], name, plan).await;
        let started = (
            peer(11, "first", first.clone()).await,
            peer(12, "backup", Fault::Echo.into()).await,
        );
        if let (Ok(first), Ok(backup)) = started {
            return (network, first, backup);
        }
    }
    panic!("no network is free");
}

pub(crate) fn post(program: &Program, path: &str) -> Answer {
    let text = format!(
        "POST {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nContent-Length: 8\r\n\r\nan order"
    );
    send_text(program.http, &text).answer()
}

/// Which server answered; its name stands in the answer.
pub(crate) fn by(answer: &Answer) -> String {
    let described: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let name = described["backend"].as_str().unwrap_or_default().to_owned();
    let marked = answer.head.contains("details=\"fallback: ");
    assert_eq!(marked, name == "backup", "{answer:?}");
    name
}

/// Ends the program: all that it has logged.
pub(crate) fn logged(program: Program, mut stdout: ChildStdout) -> Vec<Value> {
    program.signal("TERM");
    assert_eq!(program.ended().code(), Some(0));
    let mut text = String::new();
    stdout.read_to_string(&mut text).unwrap();
    let lines = BufReader::new(text.as_bytes()).lines().map(Result::unwrap);
    lines
        .map(|line| serde_json::from_str(&line).unwrap())
        .collect()
}

pub(crate) async fn until(peer: &Peer, condition: impl FnMut(&Counts) -> bool) -> Counts {
    let reached = tokio::time::timeout(crate::program::PATIENCE, peer.wait_for(condition));
    reached.await.expect("something to reach a server")
}
