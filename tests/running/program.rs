//! The program as a child process.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http::{Answer, get};

/// For what should happen at once, on a machine that may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A program that serves; killed when dropped.
pub(crate) struct Program {
    child: Child,
    lines: Receiver<Value>,
    ended: Receiver<()>,
    pub(crate) http: SocketAddr,
    pub(crate) metrics: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// What a program that ended by itself has said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bywash"));
    command
        .args(arguments)
        .env_remove("KUBECONFIG")
        .env_remove("KUBERNETES_SERVICE_HOST")
        .env("HOME", "/nonexistent")
        .stdin(Stdio::null());
    command
}

/// Runs the program to its end.
pub(crate) fn say(arguments: &[&str]) -> Said {
    let output = command(arguments).output().unwrap();
    Said {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The same, started by a shell that has done something before.
pub(crate) fn say_under(preparation: &str, arguments: &[&str]) -> Said {
    let script = format!("{preparation} && exec \"$0\" \"$@\"");
    let output = Command::new("sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_bywash")])
        .args(arguments)
        .output()
        .unwrap();
    Said {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Program {
    /// `bywash standalone`, ready.
    pub(crate) fn standalone(directory: &Path, more: &[&str]) -> Self {
        let directory = directory.to_str().unwrap();
        let program = Self::start(&[&["standalone", directory], more].concat());
        program.said("serving");
        program
    }

    /// `bywash standalone`, ready, started by a shell that has done something before.
    pub(crate) fn standalone_under(preparation: &str, directory: &Path) -> Self {
        let mut shell = Command::new("sh");
        let script = format!("{preparation} && exec \"$0\" \"$@\"");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_bywash")]);
        let arguments = ["standalone", directory.to_str().unwrap()];
        let program = Self::spawn(shell, &arguments, Stdio::null());
        program.said("serving");
        program
    }

    /// `bywash standalone`, ready, with its stdout for the test to read.
    pub(crate) fn standalone_logging(directory: &Path, more: &[&str]) -> (Self, ChildStdout) {
        let directory = directory.to_str().unwrap();
        let arguments = [&["standalone", directory], more].concat();
        let mut program = Self::spawn(command(&[]), &arguments, Stdio::piped());
        program.said("serving");
        let stdout = program.child.stdout.take().unwrap();
        (program, stdout)
    }

    /// Any command that serves, as soon as its ports are bound.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::spawn(command(&[]), arguments, Stdio::null())
    }

    fn spawn(mut command: Command, arguments: &[&str], stdout: Stdio) -> Self {
        let common = [
            "--http-address=127.0.0.1:0",
            "--https-address=none",
            "--metrics-address=127.0.0.1:0",
            "--admin-address=127.0.0.1:0",
            "--workers=2",
            "--log-format=json",
        ];
        let mut child = command
            .args(arguments)
            .args(common)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (lines, ended) = follow(child.stderr.take().unwrap());
        let mut program = Self {
            child,
            lines,
            ended,
            http: ([0; 4], 0).into(),
            metrics: ([0; 4], 0).into(),
            admin: ([0; 4], 0).into(),
        };
        let listening = program.said("listening");
        let address = |purpose: &str| listening[purpose].as_str().unwrap().parse().unwrap();
        program.http = address("http");
        program.metrics = address("metrics");
        program.admin = address("admin");
        program
    }

    /// Waits for a line of the log with this message.
    pub(crate) fn said(&self, message: &str) -> Value {
        self.said_when(message, |_| true)
    }

    /// Waits for a line of the log with this message that is as asked for.
    pub(crate) fn said_when(&self, message: &str, is: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("it never said {message:?}"));
            let text = line["message"].as_str().unwrap_or_default();
            if text.starts_with(message) && is(&line) {
                return line;
            }
        }
    }

    /// Waits until the newest version of an Ingress named `name` in `shop` is served.
    pub(crate) fn processed(&self, name: &str) -> Answer {
        let query = format!("kind=Ingress&namespace=shop&name={name}");
        get(
            self.admin,
            "localhost",
            &format!("/debug/processed?{query}"),
        )
    }

    pub(crate) fn probe(&self, path: &str) -> Answer {
        get(self.metrics, "localhost", path)
    }

    /// Waits until `/metrics` has this line: a request is counted when it has ended, which a client
    /// may know a moment earlier.
    pub(crate) fn counted(&self, line: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let metrics = self.probe("/metrics").body;
            if metrics.lines().any(|counted| counted == line) {
                return;
            }
            assert!(Instant::now() < deadline, "no {line:?} in\n{metrics}");
        }
    }

    /// Waits until `/metrics` counts something under a name and a label.
    pub(crate) fn counted_when(&self, name: &str, label: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let metrics = self.probe("/metrics").body;
            let mut lines = metrics.lines();
            if lines.any(|line| line.starts_with(name) && line.contains(label)) {
                return;
            }
            assert!(Instant::now() < deadline, "no {name} {label} in\n{metrics}");
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id();
        let kill = format!("kill -{name} {pid}");
        let status = Command::new("sh").args(["-c", &kill]).status();
        assert!(status.unwrap().success());
    }

    /// Waits until it has ended.
    pub(crate) fn ended(mut self) -> ExitStatus {
        let ended = self.ended.recv_timeout(PATIENCE);
        assert!(ended.is_ok(), "it has not ended");
        self.child.wait().unwrap()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The lines of its log, and word of their end.
fn follow(stderr: impl Read + Send + 'static) -> (Receiver<Value>, Receiver<()>) {
    let (line, lines) = channel();
    let (end, ended) = channel();
    thread::spawn(move || {
        for text in BufReader::new(stderr).lines().map_while(Result::ok) {
            // Only shown when the test fails.
            println!("{text}");
            let parsed = serde_json::from_str(&text).unwrap_or(Value::Null);
            let _nobody_waits = line.send(parsed);
        }
        let _nobody_waits = end.send(());
    });
    (lines, ended)
}
