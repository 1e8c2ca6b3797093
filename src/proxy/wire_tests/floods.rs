//! Frames of HTTP/2 that cost the sender nothing: whoever sends them without end is not listened to
//! without end.

use super::*;

/// As many bytes as nobody has a reason to take.
const FLOOD: usize = 64 * 1024 * 1024;

const PING: u8 = 6;
const SETTINGS: u8 = 4;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const DATA: u8 = 0;
const END_HEADERS: u8 = 4;

/// RFC 9113 section 4.1.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    let head = [0, 0, length, kind, flags, 0, 0, 0, stream];
    [&head, payload].concat()
}

/// The head of `POST /` to the host `a` (RFC 7541 appendix A).
fn post() -> Vec<u8> {
    frame(HEADERS, END_HEADERS, 1, b"\x83\x86\x84\x41\x01a")
}

/// Begins a connection, then repeats a frame until the server ends it; nothing is read.
async fn is_cut_short(opening: Vec<u8>, repeated: Vec<u8>) {
    let server = start(&Settings {
        client_write_timeout: Duration::from_millis(300),
        ..settings()
    });
    let mut client = Client::connect(server.http).await;
    let begin = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(),
        &frame(SETTINGS, 0, 0, &[]),
        &opening,
    ];
    client.0.write_all(&begin.concat()).await.unwrap();
    let many = repeated.repeat(1_000);
    let mut taken = 0;
    let sending = async {
        while taken < FLOOD && client.0.write_all(&many).await.is_ok() {
            taken += many.len();
        }
    };
    timeout(PATIENCE, sending).await.unwrap();
    assert!(taken < FLOOD);
    timeout(PATIENCE, server.plane.emptied()).await.unwrap();
    let mut other = Client::connect(server.http).await;
    other.send("GET /1 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    other.read_until("/1 0").await;
}

#[tokio::test]
async fn pings_whose_answers_are_not_read_end_the_connection() {
    is_cut_short(Vec::new(), frame(PING, 0, 0, &[0; 8])).await;
}

#[tokio::test]
async fn settings_whose_acknowledgements_are_not_read_end_the_connection() {
    is_cut_short(Vec::new(), frame(SETTINGS, 0, 0, &[])).await;
}

#[tokio::test]
async fn a_head_without_an_end_ends_the_connection() {
    let opening = frame(HEADERS, 0, 1, b"\x83");
    is_cut_short(opening, frame(CONTINUATION, 0, 1, b"\x86")).await;
}

#[tokio::test]
async fn data_frames_without_data_end_the_connection() {
    is_cut_short(post(), frame(DATA, 0, 1, &[])).await;
}
