//! One id, followed from what a client was shown to everything that is known of its request.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::client::{self, request};
use crate::control_plane::unused_address;
use crate::policy::HOST;
use crate::replica::Replica;
use crate::tenant::Tenant;
use crate::wait::{SOON, eventually};

trials![the_id_on_an_error_page_leads_to_log_recorder_trace_and_event,];

/// Takes spans as a collector of OpenTelemetry does.
struct Collector {
    address: SocketAddr,
    spans: mpsc::UnboundedReceiver<Span>,
    _serving: JoinSet<()>,
}

impl Collector {
    async fn start() -> Self {
        let address = unused_address();
        let listener = TcpListener::bind(address).await.unwrap();
        let (sender, spans) = mpsc::unbounded_channel();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(take(TokioIo::new(stream), sender.clone()));
            }
        });
        Self {
            address,
            spans,
            _serving: serving,
        }
    }

    /// The span that has this attribute.
    async fn span(&mut self, name: &str, value: &str) -> Span {
        let wanted = Some(StringValue(value.to_owned()));
        loop {
            let span = timeout(SOON, self.spans.recv()).await;
            let span = span.expect("a span with this attribute").unwrap();
            let mut attributes = span.attributes.iter();
            let found = attributes.any(|it| {
                let has = it.value.as_ref().and_then(|it| it.value.clone());
                it.key == name && has == wanted
            });
            if found {
                return span;
            }
        }
    }
}

async fn take(stream: TokioIo<tokio::net::TcpStream>, spans: mpsc::UnboundedSender<Span>) {
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let spans = spans.clone();
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let batch = ExportTraceServiceRequest::decode(body).unwrap();
            let scopes = batch
                .resource_spans
                .into_iter()
                .flat_map(|it| it.scope_spans);
            for span in scopes.flat_map(|it| it.spans) {
                let _test_ended = spans.send(span);
            }
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }
    });
    let _closed = http1::Builder::new()
        .serve_connection(stream, service)
        .await;
}

/// A Service that leads to a port where nothing listens, and its slice says so.
async fn misdirected(shop: &Tenant) -> EndpointSlice {
    let web = shop.workload("web", 1).await;
    web.slices().await;
    let wrong = json!({"spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8081}]}});
    shop.patch(&web.service, wrong).await;
    web.slices_at(8081).await.remove(0)
}

/// The line of the access log.
async fn logged(bywash: &Replica, id: &str) -> Value {
    eventually("line of the access log", SOON, async || {
        let log = bywash.log();
        let lines = log.lines().filter_map(|it| serde_json::from_str(it).ok());
        let mut lines = lines.filter(|it: &Value| it["id"] == id);
        lines.next().ok_or("none with the id".to_owned())
    })
    .await
}

/// What the flight recorder has.
async fn recorded(bywash: &Replica, shop: &Tenant, id: &str) -> Value {
    let namespace = &shop.name;
    let path = format!("/debug/failures?namespace={namespace}&ingress=shop&id={id}");
    eventually("record of the failure", SOON, async || {
        let reply = client::send(bywash.admin, request("localhost", &path)).await;
        let mut found: Value = serde_json::from_str(&reply.unwrap().body).unwrap();
        let failed = found["routes"][0]["failed"][0].take();
        (!failed.is_null())
            .then_some(failed)
            .ok_or(found.to_string())
    })
    .await
}

async fn the_id_on_an_error_page_leads_to_log_recorder_trace_and_event() {
    let shop = Tenant::new().await;
    let slice = misdirected(&shop).await;
    let ingress = shop.ingress("shop", HOST, "web").await;
    let mut collector = Collector::start().await;
    let endpoint = format!("http://{}", collector.address);
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
    ];
    let mut bywash = Replica::start_under(&environment, &shop, "bywash-0");
    bywash.ready().await;
    bywash.processed(&ingress).await;
    bywash.processed(&slice).await;

    // The only request: whatever is told is told of this one.
    let mut asked = request(HOST, "/cart?token=secret");
    let html = HeaderValue::from_static("text/html");
    asked.headers_mut().insert(header::ACCEPT, html);
    let page = client::send(bywash.http, asked).await.unwrap();
    assert_eq!(page.status, StatusCode::BAD_GATEWAY);
    let id = page.headers["x-request-id"].to_str().unwrap();
    assert!(
        page.body.contains("<html") && page.body.contains(id),
        "{}",
        page.body
    );

    let logged = logged(&bywash, id).await;
    assert_eq!(logged["cause"], "connection_refused");
    let recorded = recorded(&bywash, &shop, id).await;
    assert_eq!(recorded["attempts"], logged["attempts"]);

    let span = collector.span("bywash.request_id", id).await;
    let ended = span.status.unwrap();
    assert_eq!(ended.code, 2, "{ended:?}");
    let event = shop.event(&ingress, id).await;
    assert_eq!(event.reason.as_deref(), Some("ConnectionRefused"));
    let note = event.message.unwrap();
    assert!(
        note.contains("at web-0 (") && !note.contains("secret"),
        "{note}"
    );
}
