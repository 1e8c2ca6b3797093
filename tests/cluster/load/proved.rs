//! The load itself: it counts what failed, and nothing else, so that a count of none is worth something.

use std::net::SocketAddr;
use std::time::Duration;

use bywash::faults::script::{Plan, Script, Step};
use bywash::faults::{Fault, Peer};
use futures::{SinkExt, StreamExt};
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::{Client, KeepAlive, Load, Multiplexed, Talker, Tally};
use crate::tenant::Tenant;

trials![
    a_request_that_is_not_answered_is_a_failure,
    a_connection_that_was_closed_before_a_request_is_none,
    streams_that_were_not_processed_are_sent_again,
    streams_that_may_have_been_processed_are_failures,
    a_stream_that_is_turned_back_for_ever_is_a_failure,
    a_websocket_that_goes_away_is_opened_again_and_the_message_sent_again,
    a_websocket_that_ends_otherwise_is_a_failure,
    a_replica_that_is_killed_is_noticed_by_every_client,
];

const HOST: &str = "any.example";

/// What came of the requests.
#[derive(Debug, PartialEq)]
struct Figures {
    answered: u64,
    failed: usize,
    again: u64,
    connections: u64,
}

/// So many exchanges.
async fn figures(mut client: impl Client, exchanges: usize) -> Figures {
    let tally = Tally::default();
    for _ in 0..exchanges {
        client.exchange(&tally).await;
    }
    Figures {
        answered: tally.answered.into_inner(),
        failed: tally.failures.into_inner().unwrap().len(),
        again: tally.again.into_inner(),
        connections: tally.connections.into_inner(),
    }
}

async fn of_http_1_1(plan: impl Into<Plan>) -> Figures {
    let peer = Peer::start(plan).await.unwrap();
    figures(KeepAlive::new(Method::GET, peer.address(), HOST), 4).await
}

async fn a_request_that_is_not_answered_is_a_failure() {
    let works = || Script::from(Fault::Echo);
    for fault in [
        Fault::CloseAfterRequest,
        Fault::ResetAfterRequest,
        Fault::CutHead,
        Fault::ShortBody,
        Fault::Unavailable,
        Fault::StallInBody,
    ] {
        let got = of_http_1_1([works(), fault.into()]).await;
        assert_eq!((got.answered, got.failed), (2, 2), "{fault}");
    }
    let gone = of_http_1_1(Fault::Refuse).await;
    assert_eq!((gone.answered, gone.failed), (0, 4));
}

async fn a_connection_that_was_closed_before_a_request_is_none() {
    let announced = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let announced = Step::Send(Bytes::from_static(announced.as_bytes()));
    let expected = Figures {
        answered: 4,
        failed: 0,
        again: 0,
        connections: 4,
    };
    let closes = [Step::ReadBody, announced, Step::Finish];
    assert_eq!(of_http_1_1(Script::on_request(closes)).await, expected);

    // Without a word before, but seen before the next request.
    let closes = [Step::Echo, Step::Linger(Duration::from_millis(10))];
    let peer = Peer::start(Script::on_request(closes)).await.unwrap();
    let load = Load::start_seldom(1, peer.address(), HOST);
    load.flows(3).await;
    let counts = load.stop_without_failures().await;
    assert_eq!(counts.connections, counts.answered);
}

/// What a server does with the first streams of a connection.
#[derive(Clone, Copy)]
struct Streams {
    /// So many are awaited.
    opened: u32,
    /// So many of them are answered.
    answered: u32,
    /// So many of them were processed, as it says before it ends the connection; else it just ends it.
    processed: Option<u32>,
}

/// A server that does this on its first connections, one after the other.
async fn of_http_2(plan: &[Streams]) -> Figures {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Multiplexed::new(listener.local_addr().unwrap(), HOST);
    let serve = async {
        for streams in plan {
            let (stream, _) = listener.accept().await.unwrap();
            serve_streams(stream, *streams).await.unwrap();
        }
    };
    tokio::join!(figures(client, 1), serve).0
}

/// Frames as they are on the wire (RFC 9113 section 4.1), because no library sends what a bad server does.
async fn serve_streams(mut stream: TcpStream, streams: Streams) -> std::io::Result<()> {
    const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;
    const END: u8 = 0x5;
    const STATUS_200: u8 = 0x88;
    let frame = |kind, flags, stream: u32, payload: &[u8]| {
        let mut frame = vec![0, 0, u8::try_from(payload.len()).unwrap(), kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        frame
    };
    let id = |number: u32| number * 2 - 1;
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await?;
    let mut opened = 0;
    while opened < streams.opened {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        stream.read_exact(&mut vec![0; length as usize]).await?;
        opened += u32::from(head[3] == HEADERS);
    }
    if let Some(processed) = streams.processed {
        let last = if processed == 0 { 0 } else { id(processed) };
        let payload = [last.to_be_bytes(), [0; 4]].concat();
        stream.write_all(&frame(GOAWAY, 0, 0, &payload)).await?;
    }
    for number in 1..=streams.answered {
        let answer = frame(HEADERS, END, id(number), &[STATUS_200]);
        stream.write_all(&answer).await?;
    }
    stream.shutdown().await?;
    // Until the client has left, so that nothing is lost to a reset.
    while stream.read(&mut [0; 1024]).await? > 0 {}
    Ok(())
}

async fn streams_that_were_not_processed_are_sent_again() {
    let turned_back = |opened, processed| Streams {
        opened,
        answered: processed,
        processed: Some(processed),
    };
    let plan = [turned_back(4, 1), turned_back(3, 0), turned_back(3, 3)];
    let expected = Figures {
        answered: 4,
        failed: 0,
        again: 6,
        connections: 3,
    };
    assert_eq!(of_http_2(&plan).await, expected);
}

async fn streams_that_may_have_been_processed_are_failures() {
    for processed in [None, Some(4)] {
        let plan = [Streams {
            opened: 4,
            answered: 1,
            processed,
        }];
        let got = of_http_2(&plan).await;
        assert_eq!((got.answered, got.failed, got.again), (1, 3, 0));
    }
}

async fn a_stream_that_is_turned_back_for_ever_is_a_failure() {
    let plan = [Streams {
        opened: 4,
        answered: 0,
        processed: Some(0),
    }];
    let got = of_http_2(&plan.repeat(3)).await;
    assert_eq!((got.answered, got.failed, got.connections), (0, 4, 3));
}

/// A server that ends its first WebSocket after one echo, once the next message has come, and serves all others.
async fn of_websockets(last: Option<CloseCode>) -> Figures {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Talker::new(listener.local_addr().unwrap(), HOST);
    let serve = async {
        for ends in [true, false] {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            let mut heard = 0;
            while let Some(Ok(message)) = socket.next().await {
                heard += 1;
                match last {
                    _ if !ends || heard == 1 => drop(socket.send(message).await),
                    None => break,
                    Some(code) => {
                        let reason = "ends".into();
                        let close = Message::Close(Some(CloseFrame { code, reason }));
                        drop(socket.send(close).await);
                    }
                }
            }
        }
    };
    tokio::select! {
        figures = figures(client, 3) => figures,
        () = serve => unreachable!("the client keeps its connection"),
    }
}

async fn a_websocket_that_goes_away_is_opened_again_and_the_message_sent_again() {
    let expected = Figures {
        answered: 3,
        failed: 0,
        again: 1,
        connections: 2,
    };
    assert_eq!(of_websockets(Some(CloseCode::Away)).await, expected);
}

async fn a_websocket_that_ends_otherwise_is_a_failure() {
    for last in [None, Some(CloseCode::Error)] {
        let expected = Figures {
            answered: 2,
            failed: 1,
            again: 0,
            connections: 2,
        };
        assert_eq!(of_websockets(last).await, expected, "{last:?}");
    }
}

async fn a_replica_that_is_killed_is_noticed_by_every_client() {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    shop.ingress("shop", HOST, "web").await;
    let mut bywash = shop.controller().await;
    let start: [fn(usize, SocketAddr, &str) -> Load; 5] = [
        Load::start,
        Load::start_anew,
        Load::start_seldom,
        Load::start_http2,
        Load::start_websockets,
    ];
    let loads = start.map(|start| start(2, bywash.http, HOST));
    for load in &loads {
        load.flows(4).await;
    }
    bywash.kill();
    for load in loads {
        load.fails().await;
        let counts = load.stop().await;
        println!("{counts}");
        assert!(counts.failed > 0);
    }
}
