//! The program, as a child process, and what its metrics say.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::log::{Entry, follow};
use crate::manifests::{Manifests, State};

/// For what should happen soon, on a machine that may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at the metrics.
const LOOK: Duration = Duration::from_millis(20);

/// The program; killed when dropped.
pub(crate) struct Gateway {
    child: Mutex<Child>,
    log: Mutex<Option<JoinHandle<Vec<Entry>>>>,
    manifests: Manifests,
    pub(crate) http: SocketAddr,
    metrics: SocketAddr,
}

/// `/metrics` at one moment.
pub(crate) struct Metrics(String);

impl Gateway {
    /// Over no manifests yet, as soon as its ports are bound.
    pub(crate) fn start() -> Self {
        let manifests = Manifests::new();
        let mut child = Command::new(env!("CARGO_BIN_EXE_bywash"))
            .arg("standalone")
            .arg(manifests.path())
            .args(["--http-address=127.0.0.1:0", "--https-address=none"])
            .args(["--metrics-address=127.0.0.1:0", "--admin-address=none"])
            .args(["--workers=2", "--access-log=json", "--log-format=json"])
            // So that the ids of the clients stand in the log.
            .arg("--trusted-proxies=127.0.0.0/8")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = follow(child.stdout.take().unwrap());
        let (listening, bound) = channel();
        let said = BufReader::new(child.stderr.take().unwrap());
        thread::spawn(move || {
            for line in said.lines().map_while(Result::ok) {
                println!("{line}");
                let line: Value = serde_json::from_str(&line).unwrap_or_default();
                if line["message"] == "listening" {
                    let _nobody_waits = listening.send(line);
                }
            }
        });
        let bound = bound.recv_timeout(PATIENCE).expect("the program starts");
        let address = |of: &str| bound[of].as_str().unwrap().parse().unwrap();
        Self {
            child: Mutex::new(child),
            log: Mutex::new(Some(log)),
            manifests,
            http: address("http"),
            metrics: address("metrics"),
        }
    }

    /// Changes the manifests, and waits until that is in force.
    pub(crate) async fn serve(&self, endpoints: &[(SocketAddr, State)], attempts: usize) {
        const GENERATION: &str = "bywash_config_generation";
        let started = |metrics: &Metrics| metrics.sum(GENERATION) > 0.0;
        let before = self.until("nothing is served yet", started).await;
        if self.manifests.write(endpoints, attempts) {
            let newer = |now: &Metrics| now.sum(GENERATION) > before.sum(GENERATION);
            self.until("a change is served", newer).await;
        }
    }

    /// Waits until the metrics say so.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Metrics) -> bool) -> Metrics {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let metrics = self.metrics().await;
            if holds(&metrics) {
                return metrics;
            }
            assert!(Instant::now() < deadline, "not so: {what}\n{}", metrics.0);
            tokio::time::sleep(LOOK).await;
        }
    }

    pub(crate) async fn metrics(&self) -> Metrics {
        let mut stream = TcpStream::connect(self.metrics).await.unwrap();
        let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        Metrics(text)
    }

    /// Ends it in good order; its access log.
    pub(crate) async fn end(&self) -> Vec<Entry> {
        let log = self.log.lock().unwrap().take().unwrap();
        let pid = self.child.lock().unwrap().id().to_string();
        let killed = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(killed.unwrap().success());
        let entries = tokio::task::spawn_blocking(|| log.join().unwrap());
        let entries = entries.await.unwrap();
        let status = self.child.lock().unwrap().wait().unwrap();
        assert!(status.success(), "the program ended with {status}");
        entries
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap();
        let _ended = child.kill();
        let _reaped = child.wait();
    }
}

impl Metrics {
    /// The sum of a metric over all its labels.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        self.by_label(name, None)
            .into_iter()
            .map(|(_, value)| value)
            .sum()
    }

    /// The values of a metric by one of its labels.
    pub(crate) fn by(&self, name: &str, label: &str) -> Vec<(String, f64)> {
        self.by_label(name, Some(label))
    }

    fn by_label(&self, name: &str, label: Option<&str>) -> Vec<(String, f64)> {
        let samples = self.0.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let (labels, value) = rest.rsplit_once(' ')?;
            if !(labels.is_empty() || labels.starts_with('{')) {
                return None;
            }
            let label = label.map_or("", |label| {
                let (_, value) = labels.split_once(&format!("{label}=\"")).unwrap();
                value.split('"').next().unwrap()
            });
            Some((label.to_owned(), value.parse().ok()?))
        });
        samples.collect()
    }
}
