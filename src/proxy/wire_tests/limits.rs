//! Each time limit with a short value, and the limits on connections.

use std::time::Instant;

use super::*;

const SHORT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn an_idle_connection_is_closed_in_silence() {
    let server = start(&Settings {
        client_keepalive: SHORT,
        ..settings()
    });
    let mut fresh = Client::connect(server.http).await;
    assert_eq!(fresh.read_to_end().await.0, "");
    let server = start(&Settings {
        client_keepalive: 5 * SHORT,
        ..settings()
    });
    let mut used = Client::connect(server.http).await;
    used.send("GET /1 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    used.read_until("/1 0").await;
    let idle = Instant::now();
    used.send("GET /2 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    used.read_until("/2 0").await;
    let (rest, end) = used.read_to_end().await;
    assert_eq!(rest, "");
    end.unwrap();
    assert!(idle.elapsed() >= 5 * SHORT, "{:?}", idle.elapsed());
}

#[tokio::test]
async fn a_slow_head_is_answered_with_408() {
    let server = start(&Settings {
        client_header_timeout: SHORT,
        ..settings()
    });
    for part in [
        "G",
        "PRI",
        "PRI * HTTP/2.0\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n",
    ] {
        let mut client = Client::connect(server.http).await;
        client.send(part).await;
        let (answer, _) = client.read_to_end().await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{part:?}: {answer:?}");
    }
}

#[tokio::test]
async fn a_head_that_trickles_in_is_answered_with_408() {
    let server = start(&Settings {
        client_header_timeout: SHORT,
        ..settings()
    });
    let mut client = Client::connect(server.http).await;
    client.send("GET / HTTP/1.1\r\n").await;
    let (mut read, mut write) = client.0.into_split();
    let trickle = tokio::spawn(async move {
        let mut pause = tokio::time::interval(SHORT / 10);
        while write.write_all(b"x: y\r\n").await.is_ok() {
            pause.tick().await;
        }
    });
    let mut answer = [0; 12];
    timeout(PATIENCE, read.read_exact(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    timeout(PATIENCE, trickle).await.unwrap().unwrap();
}

#[tokio::test]
async fn the_second_head_of_a_connection_has_its_limit_too() {
    let server = start(&Settings {
        client_header_timeout: SHORT,
        ..settings()
    });
    let mut client = Client::connect(server.http).await;
    client.send("GET /1 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    client.read_until("/1 0").await;
    client.send("GET /2 HT").await;
    let (answer, _) = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer:?}");
}

#[tokio::test]
async fn a_request_that_takes_its_time_is_not_idle() {
    let mut server = start(&Settings {
        client_keepalive: SHORT,
        client_header_timeout: SHORT,
        ..settings()
    });
    let mut client = Client::connect(server.http).await;
    client.send("GET /held HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(server.next_seen().await, "/held");
    let mut other = Client::connect(server.http).await;
    other.read_to_end().await.1.unwrap(); // idle for as long
    server.gate.add_permits(1);
    client.read_until("held").await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let mut server = start(&Settings {
        client_write_timeout: SHORT,
        ..settings()
    });
    let mut client = Client::connect(server.http).await;
    client
        .send("GET /endless HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    assert_eq!(server.next_seen().await, "/endless");
    timeout(PATIENCE, server.plane.emptied()).await.unwrap();
    let (_, end) = client.read_to_end().await;
    assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_tunnel_has_no_limits_here() {
    let server = start(&Settings {
        client_keepalive: SHORT,
        client_header_timeout: SHORT,
        ..settings()
    });
    let mut client = Client::connect(server.http).await;
    client
        .send("GET /tunnel HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
        .await;
    client.read_until("\r\n\r\n").await;
    let mut idle = Client::connect(server.http).await;
    idle.read_to_end().await.1.unwrap();
    client.send("still here").await;
    client.read_until("still here").await;
}

#[tokio::test]
async fn an_http_1_0_body_that_fails_ends_with_a_reset() {
    let server = start(&settings());
    let mut client = Client::connect(server.http).await;
    client.send("GET /truncated HTTP/1.0\r\n\r\n").await;
    let (_, end) = client.read_to_end().await;
    assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_chunked_body_that_fails_has_no_last_chunk() {
    let server = start(&settings());
    let answer = exchange(server.http, "GET /truncated HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(answer.contains("some"), "{answer}");
    assert!(!answer.contains("\r\n0\r\n"), "{answer}");
}

#[tokio::test]
async fn one_connection_too_many_is_reset() {
    let server = start(&Settings {
        max_connections: 1,
        ..settings()
    });
    let mut first = Client::connect(server.http).await;
    first.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    first.read_until("/ 0").await;
    // The reset can be there before the connect has returned.
    let end = match TcpStream::connect(server.http).await {
        Ok(second) => Client(second).read_to_end().await.1,
        Err(error) => Err(error),
    };
    assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    drop(first);
    timeout(PATIENCE, server.plane.emptied()).await.unwrap();
    let close = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    assert!(exchange(server.http, close).await.ends_with("/ 0"));
}

#[tokio::test]
async fn connections_are_spread_over_the_workers() {
    let server = start(&settings());
    let mut clients = Vec::new();
    let mut workers = std::collections::BTreeSet::new();
    for _ in 0..64 {
        let mut client = Client::connect(server.http).await;
        client.send("GET /worker HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let answer = client.read_until("\r\n\r\n").await;
        assert!(answer.contains("content-length: 1"), "{answer}");
        workers.insert(client.0.read_u8().await.unwrap());
        clients.push(client);
    }
    assert_eq!(workers.into_iter().collect::<Vec<_>>(), b"01");
}
