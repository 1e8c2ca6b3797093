//! Every fault, as a plain socket sees it.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::script::{Script, Step, send};
use super::{Counts, Fault, Peer};

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

async fn connected(peer: &Peer) -> TcpStream {
    TcpStream::connect(peer.address()).await.unwrap()
}

/// Everything until the end, and whether that was a reset.
async fn read_all(stream: &mut TcpStream) -> (String, bool) {
    let mut bytes = Vec::new();
    let reset = match stream.read_to_end(&mut bytes).await {
        Ok(_) => false,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => true,
        Err(error) => panic!("{error}"),
    };
    (String::from_utf8_lossy(&bytes).into_owned(), reset)
}

/// What comes back on a fresh connection for these bytes, until the peer ends it.
async fn answer_of(fault: Fault, request: &str) -> (String, bool) {
    let peer = Peer::start(fault).await.unwrap();
    let mut stream = connected(&peer).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    read_all(&mut stream).await
}

async fn read_some(stream: &mut TcpStream, bytes: usize) -> String {
    let mut buffer = vec![0; bytes];
    stream.read_exact(&mut buffer).await.unwrap();
    String::from_utf8(buffer).unwrap()
}

#[test]
fn every_fault_is_known_by_its_name() {
    for fault in Fault::ALL {
        assert_eq!(fault.name().parse::<Fault>().as_ref(), Ok(fault));
    }
    let unknown = "fine".parse::<Fault>().unwrap_err();
    assert_eq!(unknown.to_string(), "no backend is called \"fine\"");
}

#[tokio::test]
async fn a_refusing_peer_keeps_its_port_and_refuses() {
    let peer = Peer::start(Fault::Refuse).await.unwrap();
    let refused = TcpStream::connect(peer.address()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let taken = tokio::net::TcpListener::bind(peer.address()).await;
    assert_eq!(taken.unwrap_err().kind(), ErrorKind::AddrInUse);
}

#[tokio::test]
async fn an_ignoring_peer_lets_no_connection_come_about() {
    let peer = Peer::start(Fault::Ignore).await.unwrap();
    let connect = TcpStream::connect(peer.address());
    let connected = tokio::time::timeout(Duration::from_millis(200), connect).await;
    assert!(connected.is_err());
}

#[tokio::test]
async fn closing_is_told_apart_from_resetting() {
    assert_eq!(
        answer_of(Fault::CloseAfterRequest, GET).await,
        (String::new(), false)
    );
    assert_eq!(
        answer_of(Fault::ResetAfterRequest, GET).await,
        (String::new(), true)
    );
    let (half, reset) = answer_of(Fault::ShortBody, GET).await;
    assert!(half.ends_with("content-length: 8\r\n\r\nhalf") && !reset);
    let (half, reset) = answer_of(Fault::ResetInBody, GET).await;
    assert!(half.ends_with("content-length: 8\r\n\r\nhalf") && reset);
    let (head, reset) = answer_of(Fault::CutHead, GET).await;
    assert!(head.ends_with("content-ty") && !reset);
    let (head, reset) = answer_of(Fault::ResetInHead, GET).await;
    assert!(head.ends_with("content-ty") && reset);
}

#[tokio::test]
async fn a_connection_can_end_before_any_request() {
    for (fault, resets) in [
        (Fault::AcceptAndClose, false),
        (Fault::AcceptAndReset, true),
    ] {
        let peer = Peer::start(fault).await.unwrap();
        let mut stream = connected(&peer).await;
        assert_eq!(read_all(&mut stream).await, (String::new(), resets));
        drop(stream);
        let counts = peer.wait_for(|counts| counts.ended == 1).await;
        assert_eq!((counts.connections, counts.requests), (1, 0));
    }
}

#[tokio::test]
async fn a_rejected_upload_ends_in_fin_or_in_reset() {
    let upload = format!(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 900000\r\n\r\n{}",
        "a".repeat(200_000)
    );
    let (answer, reset) = answer_of(Fault::RejectAndFinish, &upload).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && !reset);
    let (answer, reset) = answer_of(Fault::RejectAndReset, &upload).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && reset);
}

#[tokio::test]
async fn the_working_backend_describes_each_request_on_a_kept_connection() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let mut stream = connected(&peer).await;
    stream
        .write_all(b"PUT /a?b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-T: u\r\n\r\n")
        .await
        .unwrap();
    stream
        .write_all(b"HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let (answers, _) = read_all(&mut stream).await;
    let (_, rest) = answers.split_once("\r\n\r\n").unwrap();
    let (first, second) = rest.split_once('\n').unwrap();
    let first: serde_json::Value = serde_json::from_str(first).unwrap();
    assert_eq!(first["method"], "PUT");
    assert_eq!(first["target"], "/a?b");
    assert_eq!(first["headers"][0], serde_json::json!(["Host", "h"]));
    assert_eq!(first["body_bytes"], 5);
    assert_eq!(first["trailers"][0], serde_json::json!(["X-T", "u"]));
    assert!(second.ends_with("connection: close\r\n\r\n"), "{second}");
}

#[tokio::test]
async fn an_upgrade_is_granted_and_echoed() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let mut stream = connected(&peer).await;
    stream
        .write_all(
            b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\nearly",
        )
        .await
        .unwrap();
    let head = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: other\r\n\r\n";
    let all = format!("{head}early");
    assert_eq!(read_some(&mut stream, all.len()).await, all);
    stream.write_all(b"more").await.unwrap();
    assert_eq!(read_some(&mut stream, 4).await, "more");
}

/// The key is that of RFC 6455 section 1.3; a frame that came with the head is not lost.
#[tokio::test]
async fn a_websocket_is_granted_with_the_key_of_its_request() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let mut stream = connected(&peer).await;
    let request = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\
        \x81\x82\x01\x01\x01\x01ij";
    stream.write_all(request).await.unwrap();
    let head = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    assert_eq!(read_some(&mut stream, head.len()).await, head);
    let mut frame = [0; 4];
    stream.read_exact(&mut frame).await.unwrap();
    assert_eq!(&frame, b"\x81\x02hk");
}

#[tokio::test]
async fn what_reached_a_peer_is_counted_and_kept() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let mut streams = [connected(&peer).await, connected(&peer).await];
    peer.wait_for(|counts| counts.connections == 2).await;
    streams[0]
        .write_all(GET.repeat(2).as_bytes())
        .await
        .unwrap();
    streams[1].write_all(b"half a requ").await.unwrap();
    let expected = (GET.len() * 2 + 11) as u64;
    let counts = peer.wait_for(|counts| counts.received == expected && counts.requests == 2);
    let counts = counts.await;
    assert_eq!((counts.connections, counts.ended), (2, 0));
    let received = peer.received();
    let both = streams
        .each_ref()
        .map(|stream| stream.local_addr().unwrap());
    for (from, bytes, requests) in [
        (both[0], GET.repeat(2), 2),
        (both[1], "half a requ".into(), 0),
    ] {
        let one = received.iter().find(|one| one.from == Some(from)).unwrap();
        assert_eq!(one.bytes, bytes.as_bytes());
        assert_eq!(one.requests, requests);
    }
}

#[tokio::test]
async fn scripts_that_are_queued_serve_once_each() {
    let peer = Peer::start(Script::answer("last\n")).await.unwrap();
    peer.once(Script::on_connection([Step::Finish]));
    peer.once(Script::answer("first\n"));
    assert_eq!(read_all(&mut connected(&peer).await).await.0, "");
    let mut stream = connected(&peer).await;
    stream.write_all(GET.repeat(3).as_bytes()).await.unwrap();
    assert_eq!(read_some(&mut stream, 16).await, "first\nlast\nlast\n");
}

#[tokio::test]
async fn a_plan_goes_round() {
    let plan = [Script::answer("a"), Script::answer("b")];
    let peer = Peer::start(plan).await.unwrap();
    let mut stream = connected(&peer).await;
    stream.write_all(GET.repeat(5).as_bytes()).await.unwrap();
    assert_eq!(read_some(&mut stream, 5).await, "ababa");
}

#[tokio::test]
async fn a_gate_opens_when_told() {
    let peer = Peer::start(Fault::StrayWhenIdle).await.unwrap();
    let mut stream = connected(&peer).await;
    stream.write_all(GET.as_bytes()).await.unwrap();
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n";
    assert_eq!(read_some(&mut stream, ok.len()).await, ok);
    peer.wait_for(|counts| counts.waiting == 1).await;
    peer.open(1);
    assert_eq!(read_some(&mut stream, 5).await, "stray");
    assert_eq!(peer.counts().waiting, 0);
}

#[tokio::test]
async fn a_reused_connection_ends_with_the_second_request() {
    for (fault, resets) in [(Fault::CloseOnReuse, false), (Fault::ResetOnReuse, true)] {
        let peer = Peer::start(fault).await.unwrap();
        let mut stream = connected(&peer).await;
        stream.write_all(GET.as_bytes()).await.unwrap();
        assert!(read_some(&mut stream, 41).await.ends_with("ok\n"));
        stream.write_all(GET.as_bytes()).await.unwrap();
        assert_eq!(read_all(&mut stream).await, (String::new(), resets));
        assert_eq!(peer.requests(), 1);
    }
}

#[tokio::test]
async fn a_lingering_peer_serves_what_comes_in_time_and_closes_what_idles() {
    let idle = Duration::from_millis(100);
    let plan = Script::on_request([Step::ReadBody, send("ok"), Step::Linger(idle)]);
    let peer = Peer::start(plan).await.unwrap();
    let mut stream = connected(&peer).await;
    stream.write_all(GET.repeat(2).as_bytes()).await.unwrap();
    assert_eq!(read_all(&mut stream).await, ("okok".into(), false));
    drop(stream);
    let mut gone = connected(&peer).await;
    gone.write_all(GET.as_bytes()).await.unwrap();
    assert_eq!(read_some(&mut gone, 2).await, "ok");
    drop(gone);
    let counts = peer.wait_for(|counts| counts.ended == 2).await;
    assert_eq!((counts.requests, counts.left), (3, 1));
}

#[tokio::test]
async fn several_addresses_share_script_and_counters() {
    let any = "127.0.0.1:0".parse().unwrap();
    let peer = Peer::start_at(&[any, any], "two", Script::answer("b"))
        .await
        .unwrap();
    peer.once(Script::on_request([
        Step::ReadBody,
        send("a"),
        Step::Finish,
    ]));
    let mut answers = String::new();
    for address in peer.addresses() {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(GET.as_bytes()).await.unwrap();
        answers += &read_some(&mut stream, 1).await;
    }
    assert_eq!(answers, "ab");
    let two = |counts: &Counts| (counts.connections, counts.requests) == (2, 2);
    peer.wait_for(two).await;
}

#[tokio::test]
async fn a_stopped_peer_leaves_its_port() {
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let address = peer.address();
    peer.shutdown().await;
    let refused = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}
