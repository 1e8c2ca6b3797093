//! HTTP/2 towards clients, HTTP/1.1 towards endpoints.

use bytes::Bytes;
use bywash::faults::script::Script;
use bywash::faults::{Fault, Peer};
use bywash::routing::policy::Policy;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{Request, Response};
use tokio::net::TcpStream;

use super::client::{until, within};
use super::gateway::{Gateway, SHORT, Setup, addresses};
use super::upgrade::{heard, said};

/// Prior knowledge, on the plain port.
async fn connect(gateway: &Gateway) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (send, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    send.ready().await.unwrap()
}

fn get(path: &str) -> http::request::Builder {
    Request::builder().uri(format!("http://shop.test{path}"))
}

async fn head(response: ResponseFuture) -> Response<RecvStream> {
    within("a response", response).await.unwrap()
}

async fn described(response: ResponseFuture) -> serde_json::Value {
    let response = head(response).await;
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    let mut whole = Vec::new();
    while let Some(data) = within("the body", body.data()).await {
        whole.extend_from_slice(&data.unwrap());
    }
    serde_json::from_slice(&whole).unwrap()
}

fn field(described: &serde_json::Value, name: &str) -> Option<String> {
    let fields = described["headers"].as_array().unwrap();
    let field = fields.iter().find(|field| field[0] == name)?;
    Some(field[1].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_request_arrives_as_http_1_1() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    let mut send = connect(&gateway).await;
    let request = get("/a/../b?q")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .body(())
        .unwrap();
    let (response, _) = send.send_request(request, true).unwrap();
    let described = described(response).await;
    assert_eq!(described["target"], "/b?q");
    assert_eq!(described["version"], "HTTP/1.1");
    assert_eq!(field(&described, "host").as_deref(), Some("shop.test"));
    assert_eq!(field(&described, "cookie").as_deref(), Some("a=1; b=2"));
}

#[tokio::test]
async fn an_upload_with_trailers_arrives_whole() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    let mut send = connect(&gateway).await;
    let request = get("/").method("POST").body(()).unwrap();
    let (response, mut upload) = send.send_request(request, false).unwrap();
    upload
        .send_data(Bytes::from_static(b"body"), false)
        .unwrap();
    upload.send_trailers(http::HeaderMap::new()).unwrap();
    assert_eq!(described(response).await["body_bytes"], 4);
}

#[tokio::test]
async fn a_stream_that_the_client_resets_ends_its_request_to_the_endpoint() {
    let peer = Peer::start(Fault::StallBeforeHead).await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    let mut send = connect(&gateway).await;
    let (_response, mut stream) = send.send_request(get("/").body(()).unwrap(), true).unwrap();
    until(&peer, |counts| counts.requests == 1).await;
    stream.send_reset(h2::Reason::CANCEL);
    until(&peer, |counts| counts.ended == 1).await;
    let entry = gateway.logged().await;
    assert_eq!(
        (entry.status, entry.cause.as_deref()),
        (499, Some("client_aborted"))
    );
    assert_eq!(peer.requests(), 1);
}

#[tokio::test]
async fn a_body_that_breaks_off_resets_the_stream_and_the_connection_lives() {
    let broken = Peer::start(Fault::CutChunks).await.unwrap();
    let gateway = Gateway::before(&[&broken]);
    let mut send = connect(&gateway).await;
    for _ in 0..2 {
        let (response, _) = send.send_request(get("/").body(()).unwrap(), true).unwrap();
        let mut body = head(response).await.into_body();
        let end = loop {
            match within("the end of the body", body.data()).await {
                Some(Ok(_)) => {}
                end => break end,
            }
        };
        let error = end.unwrap().unwrap_err();
        assert_eq!(error.reason(), Some(h2::Reason::INTERNAL_ERROR));
    }
}

#[tokio::test]
async fn what_came_before_the_break_reaches_the_client_before_the_reset() {
    let peer = Peer::start(Script::answer(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
    ))
    .await
    .unwrap();
    let gateway = Gateway::before(&[&peer]);
    let mut send = connect(&gateway).await;
    let (response, _) = send.send_request(get("/").body(()).unwrap(), true).unwrap();
    let mut body = head(response).await.into_body();
    let data = within("the first half", body.data()).await;
    assert_eq!(data.unwrap().unwrap(), "half");
    let end = within("the end of the body", body.data()).await;
    let error = end.unwrap().unwrap_err();
    assert_eq!(error.reason(), Some(h2::Reason::INTERNAL_ERROR));
}

async fn ask_for_websocket(
    send: &mut SendRequest<Bytes>,
) -> (Response<RecvStream>, SendStream<Bytes>) {
    // The server's settings have to be here first.
    let (response, _) = send.send_request(get("/").body(()).unwrap(), true).unwrap();
    head(response).await;
    assert!(send.is_extended_connect_protocol_enabled());
    let request = get("/chat")
        .method("CONNECT")
        .extension(h2::ext::Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13")
        .body(())
        .unwrap();
    let (response, upload) = send.send_request(request, false).unwrap();
    (head(response).await, upload)
}

/// RFC 8441: what HTTP/1.1 does with 101, HTTP/2 does with an extended CONNECT and 200.
#[tokio::test]
async fn a_websocket_over_http_2_reaches_an_endpoint_of_http_1_1() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    let mut send = connect(&gateway).await;
    let (response, mut upload) = ask_for_websocket(&mut send).await;
    assert_eq!(response.status(), 200);
    assert!(!response.headers().contains_key("upgrade"));
    let mut download = response.into_body();
    for message in ["first", "second"] {
        upload.send_data(said(message).into(), false).unwrap();
        let mut echoed = Vec::new();
        while echoed.len() < heard(message).len() {
            let data = within("the echo", download.data()).await.unwrap().unwrap();
            download
                .flow_control()
                .release_capacity(data.len())
                .unwrap();
            echoed.extend_from_slice(&data);
        }
        assert_eq!(echoed, heard(message));
    }
    let request = peer.received().remove(0).bytes;
    let request = String::from_utf8_lossy(&request).to_lowercase();
    assert!(request.contains("get /chat http/1.1"), "{request}");
    assert!(request.contains("sec-websocket-key:"), "{request}");
    upload.send_reset(h2::Reason::CANCEL);
    until(&peer, |counts| counts.ended == counts.connections).await;
}

/// A body is whole with its last byte, although the stream may end later.
#[tokio::test]
async fn the_limit_for_an_answer_runs_once_the_announced_length_is_there() {
    let peer = Peer::start(Fault::StallBeforeHead).await.unwrap();
    let gateway = Gateway::with(&[&peer], |policy| policy.timeouts.request = SHORT);
    let mut send = connect(&gateway).await;
    let request = get("/").method("POST").header("content-length", "4");
    let (response, mut upload) = send.send_request(request.body(()).unwrap(), false).unwrap();
    upload
        .send_data(Bytes::from_static(b"body"), false)
        .unwrap();
    assert_eq!(head(response).await.status(), 504);
    assert_eq!(gateway.logged().await.causes(), ["deadline_exceeded"]);
}

#[tokio::test]
async fn a_body_is_forwarded_whatever_the_method_and_however_it_ends() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    let mut send = connect(&gateway).await;
    for (length, chunks) in [
        (None, vec!["bo", "dy", ""]),
        (None, vec![""]),
        (Some("4"), vec!["body", ""]),
        (Some("0"), vec![""]),
    ] {
        let mut request = get("/");
        if let Some(length) = length {
            request = request.header("content-length", length);
        }
        let request = request.body(()).unwrap();
        let (response, mut upload) = send.send_request(request, false).unwrap();
        for chunk in &chunks {
            upload
                .send_data(Bytes::from(*chunk), chunk.is_empty())
                .unwrap();
        }
        let bytes = chunks.concat().len();
        assert_eq!(described(response).await["body_bytes"], bytes, "{chunks:?}");
    }
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn a_connection_idles_again_when_the_websockets_on_it_have_ended() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let mut setup = Setup::to(&addresses(&[&peer]), Policy::default());
    setup.settings.client_keepalive = SHORT;
    let gateway = setup.start();
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (mut send, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let (response, mut upload) = ask_for_websocket(&mut send).await;
    // The time is what is tested here.
    tokio::time::sleep(3 * SHORT).await;
    upload.send_data(said("still here").into(), false).unwrap();
    let echo = within("the echo", response.into_body().data()).await;
    echo.unwrap().unwrap();
    upload.send_reset(h2::Reason::CANCEL);
    let ended = within("the end of the connection", connection).await;
    ended.unwrap().unwrap();
}

/// The application ignored the wish to switch (RFC 9110 section 7.8), which is no failure of its own.
#[tokio::test]
async fn a_websocket_where_there_is_none_is_the_clients_fault() {
    let peer = Peer::start(Script::answer(
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n",
    ));
    let peer = peer.await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    let mut send = connect(&gateway).await;
    let (response, _) = ask_for_websocket(&mut send).await;
    assert_eq!(response.status(), 400);
    assert_eq!(gateway.logged().await.cause, None);
    assert_eq!(gateway.logged().await.causes(), ["bad_request"]);
}

/// HTTP/1.1 would refuse them; what is left of the length is one number.
#[tokio::test]
async fn a_length_with_two_readings_does_not_reach_an_endpoint() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    let mut send = connect(&gateway).await;
    let request = get("/").method("POST").header("content-length", "4");
    let request = request.header("content-length", "4").body(()).unwrap();
    let (response, mut upload) = send.send_request(request, false).unwrap();
    upload.send_data(Bytes::from_static(b"body"), true).unwrap();
    let described = described(response).await;
    assert_eq!(described["body_bytes"], 4);
    let fields = described["headers"].to_string();
    assert_eq!(fields.matches("content-length").count(), 1, "{fields}");
    let request = get("/").method("POST").header("content-length", "");
    let (response, _) = send.send_request(request.body(()).unwrap(), true).unwrap();
    assert_eq!(head(response).await.status(), 400);
}
