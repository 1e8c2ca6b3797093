//! A request that has a route: sent on, and its answer passed back.
//!
//! Which upstream answered is known here: what the client, the log and the metrics are told of an
//! answer of the one that stands in is told from here, so that no such answer looks like the route's
//! own.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, SERVER, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version, response};
use hyper::upgrade::OnUpgrade;
use tokio::time::Sleep;

use crate::failure::Cause;
use crate::routing::policy::{Policy, Timeouts};
use crate::upstream::registry::Registry;
use crate::upstream::upload::{ReplayMemory, Upload};

use super::account::Account;
use super::affinity::Affinity;
use super::answer::{self, Asked, SERVER_NAME, X_REQUEST_ID};
use super::attempts::{Answer, Attempts, read_aside};
use super::client::InProgress;
use super::clock::Clock;
use super::forwarded::Client;
use super::head::Upgrade;
use super::hop;
use super::response_body::{ResponseBody, Streaming};
use super::retry::Progress;
use super::serving::{LiveRoute, LiveTarget};
use super::tunnel;

const SEC_WEBSOCKET_ACCEPT: HeaderName = HeaderName::from_static("sec-websocket-accept");

/// A request that has a route.
pub(super) struct Routed {
    pub(super) upgrade: Option<Upgrade>,
    /// The request as endpoints get it.
    pub(super) parts: Parts,
    pub(super) upload: Option<Arc<Upload>>,
    /// The way to leave HTTP, if the request asks for it.
    pub(super) on_upgrade: Option<OnUpgrade>,
    pub(super) asked: Asked,
    /// Who sent it.
    pub(super) sender: Client,
    pub(super) route: Arc<LiveRoute>,
    pub(super) policy: Arc<Policy>,
    pub(super) account: Box<Account>,
}

/// What sending on needs, for all requests.
pub(super) struct Relay {
    pub(super) registry: Arc<Registry>,
    pub(super) client_body_timeout: Duration,
    pub(super) replay_memory: Arc<ReplayMemory>,
    pub(super) validation_memory: Arc<ReplayMemory>,
}

impl Relay {
    /// Sends a request on, and passes the answer back.
    pub(super) async fn forward(
        self: Arc<Self>,
        worker: usize,
        mut request: Box<Routed>,
    ) -> Response<ResponseBody> {
        let (route, own) = (Arc::clone(&request.route), Arc::clone(&request.policy));
        // What is passed on without help gets none from another upstream either.
        let fallback = route.fallback.as_ref().filter(|_| !request.asked.bare);
        let (upstream, policy, unavailable) = match (&route.target, fallback) {
            (LiveTarget::Upstream(upstream), _) => (upstream, &own, None),
            (LiveTarget::Unavailable(cause, _), Some(fallback)) => {
                (&fallback.upstream, &fallback.policy, Some(*cause))
            }
            (LiveTarget::Unavailable(cause, _), None) => {
                return request.fails(*cause);
            }
        };
        let started = request.account.started;
        let upload = request.upload.take();
        // Most need no second attempt.
        request.account.attempts.reserve_exact(1);
        let mut attempts = Attempts {
            upstream,
            policy,
            registry: &self.registry,
            worker,
            head: &request.parts,
            upgrade: request.upgrade.as_ref(),
            affinity: Affinity::of(
                &upstream.policy().load_balancing,
                &request.parts.headers,
                request.sender,
            ),
            sender: request.sender,
            clock: Clock::start(
                started,
                &own,
                (&request.parts.headers, self.client_body_timeout),
                &upload,
            ),
            upload,
            timer: Box::pin(tokio::time::sleep(own.timeouts.request)),
            memory: &self.replay_memory,
            validation_memory: &self.validation_memory,
            said: None,
            begun: started,
            traced: request.account.traced,
            made: &mut request.account.attempts,
            progress: Progress::default(),
            admitted: None,
            fallback,
            instead: None,
        };
        let result = match unavailable {
            None => attempts.run().await,
            Some(cause) => attempts.run_without(cause).await,
        };
        let said = match &result {
            Ok(_) => None,
            Err(_) => attempts.said().await,
        };
        let Attempts {
            timer,
            upload,
            fallback: unasked,
            instead,
            ..
        } = attempts;
        if unasked.is_none() && fallback.is_some() {
            route.metrics.fell_back(worker);
        }
        let by_fallback = instead.zip(fallback);
        let mut answer = match result {
            Ok(answer) => answer,
            Err(cause) => return fail((cause, said, instead), upload, request),
        };
        let mut timeouts = &own.timeouts;
        if let Some((cause, fallback)) = by_fallback {
            timeouts = &fallback.policy.timeouts;
            request.mark(cause, answer.response.headers_mut());
        }
        self.pass((answer, timer), timeouts, request)
    }

    /// What an endpoint answered, as the client gets it.
    fn pass(
        &self,
        (answer, timer): (Box<Answer>, Pin<Box<Sleep>>),
        timeouts: &Timeouts,
        request: Box<Routed>,
    ) -> Response<ResponseBody> {
        if answer.switched {
            return switch(answer, timeouts.tunnel, request);
        }
        if request.has_page_for(answer.response.status()) {
            let theirs = head_of(&answer.response);
            // Of its body only the connection is of use.
            drop(read_aside(answer, &self.replay_memory));
            return request.show(theirs);
        }
        let limits = (timeouts.read, self.client_body_timeout);
        respond(answer, timer, limits, request.account)
    }
}

impl Routed {
    /// There is no answer, for this reason.
    fn fails(self, cause: Cause) -> Response<ResponseBody> {
        answer::failure(cause, &self.asked, &self.parts.headers, self.account)
    }

    /// Whether an error of the application's is shown as a page of ours.
    fn has_page_for(&self, status: StatusCode) -> bool {
        let error = status.is_client_error() || status.is_server_error();
        error && !self.asked.bare && {
            let pages = &self.route.pages;
            pages.instead_of_theirs(status.as_u16(), &self.parts.headers)
        }
    }

    /// An error of the application's, as a page of ours.
    fn show(self, mut theirs: response::Parts) -> Response<ResponseBody> {
        let Self {
            asked,
            parts,
            route,
            mut account,
            ..
        } = self;
        own_fields(&mut theirs, &account);
        account.responding(theirs.status.as_u16(), None);
        let own = (&route.pages, &parts.headers);
        answer::instead_of_theirs(theirs, &asked, own, account)
    }

    /// An answer is that of the upstream that stands in.
    fn mark(&mut self, cause: Cause, fields: &mut HeaderMap) {
        self.account.by_fallback = true;
        // Its own last attempt is the last of all.
        let last = self.account.attempts.last();
        let endpoint = last.and_then(|attempt| attempt.endpoint);
        answer::mark_fallback(fields, cause, (self.asked.proxy_status, endpoint));
    }
}

/// The last attempt brought no answer; an earlier one may have.
fn fail(
    (cause, said, instead): (Cause, Option<Response<Bytes>>, Option<Cause>),
    upload: Option<Arc<Upload>>,
    mut request: Box<Routed>,
) -> Response<ResponseBody> {
    request.account.bytes_received = upload.map_or(0, |upload| upload.taken());
    if let Some(mut said) = said {
        if let Some(instead) = instead {
            request.mark(instead, said.headers_mut());
        }
        if request.has_page_for(said.status()) {
            return request.show(said.into_parts().0);
        }
        return repeat(said, request.account);
    }
    // The cause is the route's own upstream's.
    let attempts = &request.account.attempts;
    let own = attempts.iter().rfind(|attempt| !attempt.fallback);
    request.asked.next_hop = own.and_then(|attempt| attempt.endpoint);
    request.asked.received = own.and_then(|attempt| attempt.status);
    request.fails(cause)
}

/// The endpoint's answer, on its way to the client.
fn respond(
    answer: Box<Answer>,
    timer: Pin<Box<Sleep>>,
    (read_timeout, client_body_timeout): (Duration, Duration),
    mut account: Box<Account>,
) -> Response<ResponseBody> {
    let Answer {
        response, lease, ..
    } = *answer;
    let (mut parts, incoming) = response.into_parts();
    own_fields(&mut parts, &account);
    account.responding(parts.status.as_u16(), None);
    let body = ResponseBody::Upstream(Box::new(Streaming {
        incoming,
        lease: Some(lease),
        account,
        timer,
        read_timeout,
        client_body_timeout,
        waiting: false,
        broken: None,
        given: None,
        client_paused: false,
    }));
    Response::from_parts(parts, body)
}

/// What an endpoint said to an attempt that was followed by others, none of which brought an answer.
fn repeat(said: Response<Bytes>, mut account: Box<Account>) -> Response<ResponseBody> {
    let (mut parts, content) = said.into_parts();
    own_fields(&mut parts, &account);
    account.responding(parts.status.as_u16(), None);
    let content = Some(content).filter(|content| !content.is_empty());
    Response::from_parts(parts, ResponseBody::own(content, Some(account)))
}

/// The endpoint agreed to leave HTTP: the client is told, and bytes flow from then on.
fn switch(mut answer: Box<Answer>, idle: Duration, request: Box<Routed>) -> Response<ResponseBody> {
    let mut account = request.account;
    let upstream = hyper::upgrade::on(&mut answer.response);
    let Answer {
        response, lease, ..
    } = *answer;
    let (mut parts, _) = response.into_parts();
    let agreed = parts.headers.remove(UPGRADE);
    let websocket = agreed
        .as_ref()
        .is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"websocket"));
    own_fields(&mut parts, &account);
    if request
        .upgrade
        .is_some_and(|upgrade| upgrade.extended_connect)
    {
        parts.status = StatusCode::OK;
        parts.headers.remove(SEC_WEBSOCKET_ACCEPT);
    } else if let Some(agreed) = agreed {
        let headers = &mut parts.headers;
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, agreed);
    }
    account.responding(parts.status.as_u16(), None);
    if let Some(client) = request.on_upgrade {
        let terms = tunnel::Terms { idle, websocket };
        let streams = (client, upstream);
        // From here on, lest the connection seems idle in between.
        let in_progress = InProgress::tunnel(&account.client.state);
        let held = (lease, in_progress);
        tokio::spawn(tunnel::run(streams, terms, held, account));
    }
    Response::from_parts(parts, ResponseBody::own(None, None))
}

/// A head of its own.
fn head_of<B>(response: &Response<B>) -> response::Parts {
    let mut head = Response::new(());
    *head.status_mut() = response.status();
    *head.headers_mut() = response.headers().clone();
    head.into_parts().0
}

/// Makes the fields of a response those of a gateway.
fn own_fields(parts: &mut response::Parts, account: &Account) {
    parts.version = Version::HTTP_11;
    hop::response(parts.status, &mut parts.headers);
    parts.headers.insert(X_REQUEST_ID, account.id.field());
    parts.headers.entry(SERVER).or_insert(SERVER_NAME);
}
