//! An upstream that answers with its name, when it is let.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::program::PATIENCE;

/// Answers one request after the other; ends with the test process.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    arrived: Receiver<()>,
    go: Sender<()>,
    answers: Arc<Mutex<Answers>>,
}

/// A port at which nothing listens, for as long as it is held: freed, it may be given to another.
pub(crate) struct Nobody {
    pub(crate) address: SocketAddr,
    _bound: Socket,
}

impl Nobody {
    pub(crate) fn listens() -> Self {
        let bound = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        bound.bind(&any.into()).unwrap();
        Self {
            address: bound.local_addr().unwrap().as_socket().unwrap(),
            _bound: bound,
        }
    }
}

/// When an upstream answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    AtOnce,
    After(Duration),
    WhenReleased,
}

impl Upstream {
    pub(crate) fn start(name: &'static str, answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (arrive, arrived) = channel();
        let (go, gone) = channel();
        let answers = Arc::new(Mutex::new(answers));
        let when = Arc::clone(&answers);
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
                let answers = *when.lock().unwrap();
                if !answers.wait(&gone) {
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
            answers,
        }
    }

    /// From the next request on it answers so.
    pub(crate) fn answer(&self, answers: Answers) {
        *self.answers.lock().unwrap() = answers;
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

impl Answers {
    /// Returns when the answer is due; false when there is nobody any more who could let it go.
    fn wait(self, gone: &Receiver<()>) -> bool {
        match self {
            Self::AtOnce => true,
            Self::After(time) => gone.recv_timeout(time) != Err(RecvTimeoutError::Disconnected),
            Self::WhenReleased => gone.recv().is_ok(),
        }
    }
}
