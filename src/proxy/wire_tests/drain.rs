//! Ending without losing what is in flight.

use super::*;
use crate::proxy::settings::RuntimeKind;

async fn drained(server: Server) {
    timeout(PATIENCE, server.plane.drain(PATIENCE))
        .await
        .unwrap();
}

/// The first answer to a new connection that is told to close.
async fn late_answer(other: &mut Client) -> String {
    loop {
        let mut late = Client::connect(other.0.peer_addr().unwrap()).await;
        late.send("GET /late HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let answer = late.read_until("/late 0").await;
        if answer.contains("connection: close") {
            late.read_to_end().await.1.unwrap();
            return answer;
        }
    }
}

#[tokio::test]
async fn a_drain_finishes_what_is_in_flight_and_closes() {
    for runtime in [RuntimeKind::PerCore, RuntimeKind::Shared] {
        let mut server = start(&Settings {
            runtime,
            ..settings()
        });
        let mut client = Client::connect(server.http).await;
        client.send("GET /held HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(server.next_seen().await, "/held");
        let gate = Arc::clone(&server.gate);
        let drain = tokio::spawn(drained(server));
        let told = timeout(PATIENCE, late_answer(&mut client)).await.unwrap();
        assert!(told.contains("/late 0"), "{told}");
        assert!(!drain.is_finished());
        gate.add_permits(1);
        let (answer, end) = client.read_to_end().await;
        assert!(answer.ends_with("held"), "{answer}");
        end.unwrap();
        drain.await.unwrap();
    }
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let server = start(&settings());
    let mut idle = Client::connect(server.http).await;
    idle.send("GET /1 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    idle.read_until("/1 0").await;
    let drain = tokio::spawn(drained(server));
    let (rest, end) = idle.read_to_end().await;
    assert_eq!(rest, "");
    end.unwrap();
    drain.await.unwrap();
}

#[tokio::test]
async fn a_request_that_meets_the_drain_on_an_idle_connection_is_answered() {
    let server = start(&settings());
    let mut idle = Client::connect(server.http).await;
    idle.send("GET /1 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    idle.read_until("/1 0").await;
    let drain = tokio::spawn(drained(server));
    timeout(PATIENCE, late_answer(&mut idle)).await.unwrap();
    idle.send("GET /2 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let (answer, end) = idle.read_to_end().await;
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(answer.ends_with("/2 0"), "{answer}");
    end.unwrap();
    drain.await.unwrap();
}

#[tokio::test]
async fn a_connection_that_has_not_spoken_yet_gets_a_moment() {
    let server = start(&settings());
    let address = server.http;
    let mut early = Client::connect(address).await;
    // Answered connections of the same worker say that the first one has been accepted.
    for _ in 0..16 {
        let mut other = Client::connect(address).await;
        other.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        other.read_until("/ 0").await;
    }
    let drain = tokio::spawn(drained(server));
    timeout(PATIENCE, late_answer(&mut early)).await.unwrap();
    early.send("GET /early HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let (answer, end) = early.read_to_end().await;
    assert!(answer.ends_with("/early 0"), "{answer}");
    end.unwrap();
    drain.await.unwrap();
}

#[tokio::test]
async fn what_is_left_at_the_deadline_is_cut_off() {
    let mut server = start(&settings());
    let address = server.http;
    let mut held = Client::connect(address).await;
    held.send("GET /held HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(server.next_seen().await, "/held");
    let mut tunnel = Client::connect(address).await;
    tunnel
        .send("GET /tunnel HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
        .await;
    tunnel.read_until("\r\n\r\n").await;
    let deadline = Duration::from_millis(300);
    timeout(PATIENCE, server.plane.drain(deadline))
        .await
        .unwrap();
    assert_eq!(held.read_to_end().await.0, "");
    assert_eq!(tunnel.read_to_end().await.0, "");
    assert!(TcpStream::connect(address).await.is_err());
}
