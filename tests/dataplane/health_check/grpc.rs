//! Probes by the gRPC health checking protocol, against a server of HTTP/2.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use bywash::faults::{Fault, Peer};
use bywash::routing::policy::upstream::Probe;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::{BAD, DOWN, GOOD, check, probing, start};
use crate::dataplane::gateway::SHORT;

/// How a server answers a call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    /// With this status of `grpc.health.v1`.
    Health(u8),
    /// With a header section alone that says why the call failed.
    Failed(&'static str),
    /// Without saying how the call ended.
    NoStatus,
    /// As another application would.
    NotFound,
    Reset(Reason),
    Silence,
}

/// What was asked.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) head: http::request::Parts,
    message: Vec<u8>,
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    answer: Arc<Mutex<Answer>>,
    pub(super) calls: Arc<Mutex<Vec<Call>>>,
    _tasks: JoinSet<()>,
}

impl Server {
    async fn start(answer: Answer) -> Self {
        Self::start_with(answer, None).await
    }

    pub(super) async fn start_with(answer: Answer, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(Mutex::new(answer));
        let calls = Arc::<Mutex<Vec<Call>>>::default();
        let mut tasks = JoinSet::new();
        let (current, seen) = (Arc::clone(&answer), Arc::clone(&calls));
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, answer, calls) = (tls.clone(), Arc::clone(&current), Arc::clone(&seen));
                connections.spawn(async move {
                    match tls {
                        None => serve(stream, answer, calls).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, answer, calls).await;
                            }
                        }
                    }
                });
            }
        });
        Self {
            address,
            answer,
            calls,
            _tasks: tasks,
        }
    }

    fn now_answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: Arc<Mutex<Answer>>,
    calls: Arc<Mutex<Vec<Call>>>,
) {
    let Ok(mut connection) = h2::server::handshake(stream).await else {
        return;
    };
    let mut streams = JoinSet::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        let (answer, calls) = (*answer.lock().unwrap(), Arc::clone(&calls));
        streams.spawn(async move {
            let call = read(request).await;
            calls.lock().unwrap().push(call);
            reply(respond, answer).await;
        });
    }
}

async fn read(request: Request<RecvStream>) -> Call {
    let (head, mut body) = request.into_parts();
    let mut message = Vec::new();
    while let Some(Ok(data)) = body.data().await {
        message.extend_from_slice(&data);
    }
    Call { head, message }
}

async fn reply(mut respond: SendResponse<Bytes>, answer: Answer) {
    let head = Response::builder().header("content-type", "application/grpc");
    let status = |code| HeaderMap::from_iter([("grpc-status".parse().unwrap(), code)]);
    match answer {
        Answer::Health(health) => {
            let mut body = respond
                .send_response(head.body(()).unwrap(), false)
                .unwrap();
            let message = [0, 0, 0, 0, 2, 8, health];
            body.send_data(message.to_vec().into(), false).unwrap();
            body.send_trailers(status(HeaderValue::from_static("0")))
                .unwrap();
        }
        Answer::Failed(code) => {
            let head = head.header("grpc-status", code).body(()).unwrap();
            respond.send_response(head, true).unwrap();
        }
        Answer::NoStatus => {
            let mut body = respond
                .send_response(head.body(()).unwrap(), false)
                .unwrap();
            body.send_data(vec![0, 0, 0, 0, 2, 8, 1].into(), true)
                .unwrap();
        }
        Answer::NotFound => {
            let head = Response::builder().status(404).body(()).unwrap();
            respond.send_response(head, true).unwrap();
        }
        Answer::Reset(reason) => respond.send_reset(reason),
        Answer::Silence => std::future::pending().await,
    }
}

fn grpc(service: &str) -> Probe {
    Probe::Grpc {
        service: service.into(),
    }
}

#[tokio::test]
async fn an_endpoint_is_up_while_it_says_that_it_serves() {
    let server = Server::start(Answer::Health(1)).await;
    let gateway = probing(&[server.address], check(grpc("shop.Cart"))).start();
    gateway.until_metric(GOOD, |count| count >= 3.0).await;
    assert_eq!(gateway.metric(DOWN, ""), 0.0);
    for answer in [
        Answer::Health(2),
        Answer::Failed("12"),
        Answer::NoStatus,
        Answer::NotFound,
        Answer::Reset(Reason::REFUSED_STREAM),
    ] {
        server.now_answers(answer);
        gateway.until_metric(DOWN, |down| down == 1.0).await;
        server.now_answers(Answer::Health(1));
        gateway.until_metric(DOWN, |down| down == 0.0).await;
    }
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_in_time_is_down() {
    let server = Server::start(Answer::Silence).await;
    let mut check = check(grpc(""));
    check.timeout = SHORT;
    let gateway = probing(&[server.address], check).start();
    gateway.until_metric(DOWN, |down| down == 1.0).await;
}

#[tokio::test]
async fn a_call_is_one_of_grpc_for_the_service_that_is_named() {
    for (service, message) in [
        ("", &b"\0\0\0\0\0"[..]),
        ("shop", b"\0\0\0\0\x06\x0a\x04shop"),
    ] {
        let server = Server::start(Answer::Health(1)).await;
        let gateway = probing(&[server.address], check(grpc(service))).start();
        gateway.until_metric(GOOD, |count| count >= 1.0).await;
        let call = server.calls.lock().unwrap()[0].clone();
        let field = |name| call.head.headers[name].to_str().unwrap();
        assert_eq!(call.head.method, "POST");
        assert_eq!(call.head.uri.path(), "/grpc.health.v1.Health/Check");
        assert_eq!(
            call.head.uri.authority().unwrap().as_str(),
            server.address.to_string()
        );
        assert_eq!(
            (field("te"), field("content-type")),
            ("trailers", "application/grpc")
        );
        assert_eq!(call.message, message);
    }
}

#[tokio::test]
async fn what_does_not_speak_http_2_is_down() {
    for fault in [
        Fault::Echo,
        Fault::Garbage,
        Fault::AcceptAndClose,
        Fault::Refuse,
    ] {
        let peer: Peer = start(fault).await;
        let gateway = probing(&[peer.address()], check(grpc(""))).start();
        gateway.until_metric(BAD, |count| count >= 3.0).await;
        gateway.until_metric(DOWN, |down| down == 1.0).await;
    }
}
