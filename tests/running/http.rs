//! The simplest client: one request on one connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::program::PATIENCE;

/// An answer, read to the end of its connection.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// A request that was sent and is not answered yet.
pub(crate) struct Pending(TcpStream);

impl Pending {
    pub(crate) fn answer(mut self) -> Answer {
        let mut text = String::new();
        self.0.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        Answer {
            status: status.unwrap_or_else(|| panic!("not an answer: {text:?}")),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }
}

pub(crate) fn send(address: SocketAddr, host: &str, path: &str) -> Pending {
    send_text(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
    )
}

/// Sends a request as it is written; it asks for the connection to be closed.
pub(crate) fn send_text(address: SocketAddr, request: &str) -> Pending {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    Pending(stream)
}

/// Sends what may never be taken, for as long as it is.
pub(crate) fn upload(address: SocketAddr, request: String) -> Pending {
    let stream = TcpStream::connect(address).unwrap();
    let mut writing = stream.try_clone().unwrap();
    std::thread::spawn(move || {
        let _given_up = writing.write_all(request.as_bytes());
    });
    Pending(stream)
}

pub(crate) fn get(address: SocketAddr, host: &str, path: &str) -> Answer {
    send(address, host, path).answer()
}
