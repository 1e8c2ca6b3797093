//! `bywash probe`: what answers, and how long it is asked.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use crate::program::say;
use crate::upstream::Nobody;

/// Answers each connection with the next of these, and closes it.
fn server(answers: &'static [&'static str]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for answer in answers {
            let (mut client, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let read = client.read(&mut request).unwrap();
            assert!(request[..read].starts_with(b"GET / HTTP/1.1\r\n"));
            client.write_all(answer.as_bytes()).unwrap();
        }
    });
    url
}

const OURS: &str = "HTTP/1.1 404 Not Found\r\nserver: bywash\r\ncontent-length: 0\r\n\r\n";
const ANOTHERS: &str = "HTTP/1.1 404 Not Found\r\nserver: nginx\r\ncontent-length: 0\r\n\r\n";

#[test]
fn it_asks_again_where_nothing_answers_yet() {
    let url = server(&["", "", OURS]);
    let said = say(&["probe", &url]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(said.stdout, format!("{url} answers 404 Not Found\n"));
}

#[test]
fn what_another_program_answers_is_told_at_once() {
    let url = server(&[ANOTHERS]);
    let said = say(&["probe", &url, "--timeout=1h"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.stderr.contains("is another program there?"),
        "{said:?}"
    );
}

#[test]
fn without_an_answer_in_time_it_says_what_became_of_the_last_attempt() {
    let nobody = Nobody::listens();
    let said = say(&[
        "probe",
        &format!("http://{}/", nobody.address),
        "--timeout=300ms",
    ]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.stderr.contains("does not answer within 300ms"),
        "{said:?}"
    );
    assert!(said.stderr.contains("refused"), "{said:?}");
}
