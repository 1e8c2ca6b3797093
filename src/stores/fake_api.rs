//! An API server for tests: objects by path, patches merged, watches that stay open.
//!
//! It knows nothing of Kubernetes but the manners: enough to see what is asked of a server, in which
//! order, and what becomes of a client whose server refuses or fails. What real servers do with the
//! same requests is tested against a real one.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::{Method, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

/// A running server; it ends with the runtime of the test.
pub(crate) struct FakeApi {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    /// Every path that contains this waits for its answer.
    held: watch::Sender<Option<&'static str>>,
    requests: mpsc::UnboundedReceiver<Request>,
}

/// What was asked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// Without the query.
    pub(crate) path: String,
    pub(crate) body: Value,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    /// Every path that contains this is answered with this status.
    refused: Option<(&'static str, StatusCode)>,
}

impl FakeApi {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::<Mutex<State>>::default();
        let (log, requests) = mpsc::unbounded_channel();
        let (held, holds) = watch::channel(None);
        tokio::spawn(accept(listener, Arc::clone(&state), (log, holds)));
        Self {
            address,
            state,
            held,
            requests,
        }
    }

    pub(crate) fn config(&self) -> kube::Config {
        kube::Config::new(format!("http://{}", self.address).parse().unwrap())
    }

    /// Every path that contains `part` is answered with `status` from now on.
    pub(crate) fn refuse(&self, part: &'static str, status: StatusCode) {
        self.state().refused = Some((part, status));
    }

    pub(crate) fn refuse_nothing(&self) {
        self.state().refused = None;
    }

    /// Whatever is asked of a path that contains `part` is answered only when nothing is held any more.
    pub(crate) fn hold(&self, part: &'static str) {
        self.held.send_replace(Some(part));
    }

    pub(crate) fn hold_nothing(&self) {
        self.held.send_replace(None);
    }

    /// The next request; far more patience than it takes.
    pub(crate) async fn next(&mut self) -> Request {
        let next = tokio::time::timeout(Duration::from_secs(30), self.requests.recv());
        next.await.unwrap().unwrap()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

/// What is asked is told there; what is held is told here.
type Test = (
    mpsc::UnboundedSender<Request>,
    watch::Receiver<Option<&'static str>>,
);

async fn accept(listener: TcpListener, state: Arc<Mutex<State>>, test: Test) {
    while let Ok((stream, _)) = listener.accept().await {
        let (state, test) = (Arc::clone(&state), test.clone());
        let service = service_fn(move |request| answer(request, Arc::clone(&state), test.clone()));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

async fn answer(
    request: http::Request<Incoming>,
    state: Arc<Mutex<State>>,
    (log, mut held): Test,
) -> Result<Answer, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let request = Request {
        method: head.method,
        path: head.uri.path().to_owned(),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    };
    // The test may have seen enough.
    let _ = log.send(request.clone());
    let is_free = |held: &Option<&str>| held.is_none_or(|part| !request.path.contains(part));
    let _ = held.wait_for(is_free).await;
    let query = head.uri.query().unwrap_or_default();
    let mut query = form_urlencoded::parse(query.as_bytes());
    let watch = query
        .clone()
        .any(|it| it == ("watch".into(), "true".into()));
    let limit = query.find_map(|(name, value)| (name == "limit").then(|| value.parse().ok())?);
    let (status, body) = state.lock().unwrap().answer(request, limit);
    let body = Bytes::from(body.to_string());
    let body = if watch && status == StatusCode::OK {
        let never = stream::pending::<Result<Frame<Bytes>, Infallible>>();
        BodyExt::boxed(StreamBody::new(never))
    } else {
        Full::new(body).boxed()
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    Ok(response)
}

impl State {
    /// A list of more than the limit is cut off.
    fn answer(&mut self, request: Request, limit: Option<usize>) -> (StatusCode, Value) {
        let Request { method, path, body } = request;
        if let Some((part, status)) = self.refused
            && path.contains(part)
        {
            return (status, failure(status));
        }
        if method == Method::POST {
            let name = body["metadata"]["name"].as_str().unwrap();
            self.objects.insert(format!("{path}/{name}"), body.clone());
            return (StatusCode::CREATED, body);
        }
        if method == Method::PATCH {
            let object = self.objects.entry(path).or_insert(Value::Null);
            merge(object, body);
            return (StatusCode::OK, object.clone());
        }
        let collection = path
            .rsplit('/')
            .next()
            .is_some_and(|last| last.ends_with('s'));
        match self.objects.get(&path) {
            Some(object) => (StatusCode::OK, object.clone()),
            None if collection => {
                let mut items = self.items(&path);
                let mut metadata = json!({"resourceVersion": "1"});
                if let Some(limit) = limit.filter(|limit| *limit < items.len()) {
                    items.truncate(limit);
                    metadata["continue"] = json!("the rest");
                }
                (
                    StatusCode::OK,
                    json!({"metadata": metadata, "items": items}),
                )
            }
            None => (StatusCode::NOT_FOUND, failure(StatusCode::NOT_FOUND)),
        }
    }

    fn items(&self, collection: &str) -> Vec<&Value> {
        let within = |path: &str| {
            let rest = path.strip_prefix(collection)?.strip_prefix('/')?;
            Some(!rest.contains('/'))
        };
        let objects = self.objects.iter();
        let items = objects.filter(|(path, _)| within(path).unwrap_or(false));
        items.map(|(_, object)| object).collect()
    }
}

fn failure(status: StatusCode) -> Value {
    // Clients go by the reason, and by the code only where they do not know the reason.
    let reason = match status {
        StatusCode::FORBIDDEN => "Forbidden",
        StatusCode::NOT_FOUND => "NotFound",
        _ => "InternalError",
    };
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "refused by the test", "reason": reason, "code": status.as_u16(),
    })
}

/// RFC 7396.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(&key);
        } else {
            merge(&mut target[&key], value);
        }
    }
}
