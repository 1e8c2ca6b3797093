//! An upstream that answers with its name, when it is let.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use crate::program::PATIENCE;

/// Answers one request after the other; ends with the test process.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    arrived: Receiver<()>,
    go: Sender<()>,
}

/// When an upstream answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    AtOnce,
    WhenReleased,
}

impl Upstream {
    pub(crate) fn start(name: &'static str, answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (arrive, arrived) = channel();
        let (go, gone) = channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let head = BufReader::new(stream.try_clone().unwrap()).lines();
                let lines = head
                    .map_while(Result::ok)
                    .take_while(|line| !line.is_empty());
                if lines.count() == 0 {
                    continue;
                }
                let _nobody_waits = arrive.send(());
                if answers == Answers::WhenReleased && gone.recv().is_err() {
                    return;
                }
                let length = name.len();
                let _client_gone = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{name}"
                );
            }
        });
        Self {
            address,
            arrived,
            go,
        }
    }

    /// Waits until a request has reached it.
    pub(crate) fn reached(&self) {
        self.arrived.recv_timeout(PATIENCE).unwrap();
    }

    /// Lets it answer one request.
    pub(crate) fn release(&self) {
        self.go.send(()).unwrap();
    }
}
