//! HTTP/2 by prior knowledge, and what a hostile client of it can do.

use h2::client::{Connection, SendRequest};

use super::*;

async fn connect(address: SocketAddr) -> (SendRequest<Bytes>, Connection<TcpStream, Bytes>) {
    let stream = TcpStream::connect(address).await.unwrap();
    h2::client::handshake(stream).await.unwrap()
}

fn get(path: &str) -> Request<()> {
    let uri = format!("http://shop.example{path}");
    Request::builder().uri(uri).body(()).unwrap()
}

async fn text(response: h2::client::ResponseFuture) -> String {
    let mut body = timeout(PATIENCE, response)
        .await
        .unwrap()
        .unwrap()
        .into_body();
    let mut text = Vec::new();
    while let Some(data) = body.data().await {
        text.extend_from_slice(&data.unwrap());
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn prior_knowledge_is_understood_on_the_plain_port() {
    let server = start(&settings());
    let (mut send, connection) = connect(server.http).await;
    let connection = tokio::spawn(connection);
    let (one, _) = send.send_request(get("/1"), true).unwrap();
    let (two, _) = send.send_request(get("/2"), true).unwrap();
    assert_eq!(text(one).await, "/1 0");
    assert_eq!(text(two).await, "/2 0");
    drop(send);
    timeout(PATIENCE, connection)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_drain_lets_open_streams_finish() {
    let mut server = start(&settings());
    let (mut send, connection) = connect(server.http).await;
    let connection = tokio::spawn(connection);
    let (held, _) = send.send_request(get("/held"), true).unwrap();
    assert_eq!(server.next_seen().await, "/held");
    let gate = Arc::clone(&server.gate);
    let drain = tokio::spawn(server.plane.drain(PATIENCE));
    // After GOAWAY no stream can be opened.
    timeout(PATIENCE, async {
        while futures::future::poll_fn(|cx| send.poll_ready(cx))
            .await
            .is_ok()
        {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    gate.add_permits(1);
    assert_eq!(text(held).await, "held");
    timeout(PATIENCE, drain).await.unwrap().unwrap();
    timeout(PATIENCE, connection)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn an_idle_connection_is_told_to_go() {
    let server = start(&Settings {
        client_keepalive: Duration::from_millis(200),
        ..settings()
    });
    let (mut send, connection) = connect(server.http).await;
    let connection = tokio::spawn(connection);
    let (one, _) = send.send_request(get("/1"), true).unwrap();
    assert_eq!(text(one).await, "/1 0");
    timeout(PATIENCE, connection)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    timeout(PATIENCE, server.plane.emptied()).await.unwrap();
}

#[tokio::test]
async fn a_connection_without_settings_or_requests_ends() {
    let server = start(&Settings {
        client_keepalive: Duration::from_millis(200),
        client_header_timeout: Duration::from_millis(200),
        ..settings()
    });
    let mut client = Client::connect(server.http).await;
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(client.read_to_end().await.0.len() < 1000);
    timeout(PATIENCE, server.plane.emptied()).await.unwrap();
}

#[tokio::test]
async fn a_client_that_resets_its_streams_loses_its_connection() {
    let mut server = start(&settings());
    let (mut send, connection) = connect(server.http).await;
    let mut connection = tokio::spawn(connection);
    let abuse = async {
        for _ in 0..1000 {
            futures::future::poll_fn(|cx| send.poll_ready(cx))
                .await
                .ok()?;
            let (_, mut stream) = send.send_request(get("/held"), true).ok()?;
            // Only what reached the handler costs anything.
            server.seen.recv().await?;
            stream.send_reset(h2::Reason::CANCEL);
        }
        Some(())
    };
    let abuse = async {
        tokio::select! {
            went_through = abuse => went_through,
            _ = &mut connection => None,
        }
    };
    let went_through = timeout(PATIENCE, abuse).await.unwrap();
    assert_eq!(went_through, None);
    timeout(PATIENCE, server.plane.emptied()).await.unwrap();
}

#[tokio::test]
async fn extended_connect_is_offered() {
    let server = start(&settings());
    let (mut send, connection) = connect(server.http).await;
    tokio::spawn(connection);
    let (one, _) = send.send_request(get("/1"), true).unwrap();
    assert_eq!(text(one).await, "/1 0");
    assert!(send.is_extended_connect_protocol_enabled());
}

#[tokio::test]
async fn malformed_heads_are_refused_and_the_connection_lives() {
    let server = start(&settings());
    let (mut send, connection) = connect(server.http).await;
    tokio::spawn(connection);
    for request in [
        Request::builder()
            .uri("http://a.example/")
            .header("host", "b.example"),
        Request::builder().uri("http://user@a.example/"),
        Request::builder().uri("http://a.example/../x"),
        Request::builder().method("CONNECT").uri("a.example:443"),
    ] {
        let request = request.body(()).unwrap();
        let (response, _) = send.send_request(request, true).unwrap();
        let response = timeout(PATIENCE, response).await.unwrap().unwrap();
        assert!(response.status().is_client_error(), "{response:?}");
    }
    let (last, _) = send.send_request(get("/last"), true).unwrap();
    assert_eq!(text(last).await, "/last 0");
}

#[tokio::test]
async fn a_stream_that_the_client_does_not_read_is_reset_and_the_connection_lives() {
    let server = start(&Settings {
        client_write_timeout: Duration::from_millis(300),
        ..settings()
    });
    let (mut send, connection) = connect(server.http).await;
    tokio::spawn(connection);
    let (unread, _) = send.send_request(get("/endless"), true).unwrap();
    let mut body = timeout(PATIENCE, unread)
        .await
        .unwrap()
        .unwrap()
        .into_body();
    // Taken from the socket, but never released to the window.
    let end = loop {
        match timeout(PATIENCE, body.data()).await.unwrap() {
            Some(Ok(_)) => {}
            end => break end,
        }
    };
    let error = end.unwrap().unwrap_err();
    assert_eq!(error.reason(), Some(h2::Reason::CANCEL));
    drop(body); // gives the connection's window back
    let (other, _) = send.send_request(get("/1"), true).unwrap();
    assert_eq!(text(other).await, "/1 0");
}

#[tokio::test]
async fn a_stream_whose_endpoint_takes_its_time_is_not_reset() {
    let limit = Duration::from_millis(100);
    let mut server = start(&Settings {
        client_write_timeout: limit,
        ..settings()
    });
    let (mut send, connection) = connect(server.http).await;
    tokio::spawn(connection);
    let (slow, _) = send.send_request(get("/begun"), true).unwrap();
    let mut body = timeout(PATIENCE, slow).await.unwrap().unwrap().into_body();
    assert_eq!(server.next_seen().await, "/begun");
    assert_eq!(body.data().await.unwrap().unwrap(), "begun ");
    // Another stream that is not read has its limit pass meanwhile.
    let (unread, _) = send.send_request(get("/endless"), true).unwrap();
    let mut unread = timeout(PATIENCE, unread)
        .await
        .unwrap()
        .unwrap()
        .into_body();
    while let Some(Ok(_)) = timeout(PATIENCE, unread.data()).await.unwrap() {}
    drop(unread); // gives the connection's window back
    server.gate.add_permits(1);
    let rest = timeout(PATIENCE, body.data()).await.unwrap();
    assert_eq!(rest.unwrap().unwrap(), "and done");
}
