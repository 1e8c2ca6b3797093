//! The life of a request, from its head to its answer.
//!
//! Each phase either goes on with less uncertainty or answers: read the head, take the fields that
//! are ours, find the route, send the request on (`relay`). Nothing here waits, and
//! nothing fails without a cause of the taxonomy.

use std::future::ready;
use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use futures::future::Either;
use http::header::{HOST, TRANSFER_ENCODING, USER_AGENT};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, Uri, Version};
use http_body::Body;
use hyper::body::Incoming;

use crate::failure::Cause;
use crate::routing::policy::Policy;
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::failures::Failures;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Traces;
use crate::telemetry::traces::context::Position;
use crate::upstream::registry::Registry;
use crate::upstream::upload::{ReplayMemory, Upload};

use super::account::{Account, Described};
use super::answer::{self, Asked};
use super::cdn_loop::LoopGuard;
use super::client::ClientContext;
use super::forwarded::{self, Client, Received, TrustedProxies};
use super::head::{self, Head};
use super::hop;
use super::relay::{Relay, Routed};
use super::request_id::RequestId;
use super::response_body::ResponseBody;
use super::serving::{LiveRoute, LiveTarget, Serving};
use super::settings::Settings;

const CHUNKED: HeaderValue = HeaderValue::from_static("chunked");

/// What every request of every worker shares.
pub struct Gateway {
    pub(super) serving: Arc<ArcSwap<Serving>>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) proxies: TrustedProxies,
    pub(super) observers: Arc<Observers>,
    relay: Arc<Relay>,
    loops: LoopGuard,
}

/// Who is told how requests ended.
#[derive(Clone, Debug)]
pub struct Observers {
    /// Of each.
    pub access_log: AccessLog,
    /// Of those that failed, or of which an attempt did.
    pub failures: Failures,
    /// Of those that are recorded.
    pub traces: Traces,
}

impl Gateway {
    /// A gateway that serves what `serving` holds. `identity` names this installation, the same for
    /// all its replicas and no other's: by it a request that comes back is recognized.
    pub fn new(
        (settings, identity): (&Settings, &str),
        serving: Arc<ArcSwap<Serving>>,
        registry: Arc<Registry>,
        metrics: Arc<Metrics>,
        observers: Observers,
    ) -> Arc<Self> {
        let relay = Relay {
            registry,
            client_body_timeout: settings.client_body_timeout,
            replay_memory: ReplayMemory::new(settings.replay_memory),
            validation_memory: ReplayMemory::new(settings.validation_memory),
        };
        Arc::new(Self {
            serving,
            metrics,
            proxies: TrustedProxies::new(&settings.trusted_proxies),
            observers: Arc::new(observers),
            relay: Arc::new(relay),
            loops: LoopGuard::new(identity),
        })
    }

    /// Answers a request.
    ///
    /// What needs no waiting is done at once, so that the future holds little: one lives in every
    /// connection.
    pub(super) fn handle(
        &self,
        client: &Arc<ClientContext>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<ResponseBody>> + Send + use<> {
        match self.route(client, request) {
            Break(response) => Either::Left(ready(response)),
            Continue(routed) => {
                let relay = Arc::clone(&self.relay);
                Either::Right(relay.forward(client.worker, routed))
            }
        }
    }

    /// Finds the route of a request, or answers it without one.
    fn route(
        &self,
        client: &Arc<ClientContext>,
        request: Request<Incoming>,
    ) -> ControlFlow<Response<ResponseBody>, Box<Routed>> {
        let started = Instant::now();
        let (mut parts, body) = request.into_parts();
        let checked = head::check(&parts);
        let parent = Position::take(&mut parts.headers);
        let id = RequestId::assign(&mut parts.headers, client.peer.trusted, parent);
        let traced = self.observers.traces.begin(parent, &mut parts.headers);
        let serving = self.serving.load();
        let described = self.describe(client, &parts, checked.as_ref().ok());
        let counts = (Arc::clone(&serving.unrouted), Arc::clone(&self.observers));
        let mut account = Account::open((started, Arc::clone(client)), id, counts, described);
        account.traced = traced;
        let mut asked = Asked::of(&parts);
        let head = match checked {
            Ok(head) => head,
            Err(fault) => {
                return Break(answer::failure(
                    Cause::BadRequest(fault),
                    &asked,
                    &parts.headers,
                    account,
                ));
            }
        };
        let Some(route) = serving.table.lookup(&head.host, head.path()).cloned() else {
            return Break(answer::failure(
                Cause::NoRoute,
                &asked,
                &parts.headers,
                account,
            ));
        };
        drop(serving);
        account.route = Some(Arc::clone(&route));
        let policy = policy_of(&route, head.path(), &mut asked, &mut account);
        let sender = match self.take_over(&mut parts, &head, client) {
            Ok(sender) => sender,
            Err(cause) => return Break(answer::failure(cause, &asked, &parts.headers, account)),
        };
        account.sent_by(sender.address);
        if let Some(maintenance) = &policy.maintenance
            && maintenance.concerns(sender.address)
        {
            asked.retry_after = Some(maintenance.retry_after);
            return Break(answer::failure(
                Cause::Maintenance,
                &asked,
                &parts.headers,
                account,
            ));
        }
        if route.redirects && !sender.https && !is_acme_challenge(&head) {
            return Break(answer::redirect_to_https(&head, &asked.method, account));
        }
        if let LiveTarget::Unavailable(cause, _) = route.target
            && (asked.bare || route.fallback.is_none())
        {
            return Break(answer::failure(cause, &asked, &parts.headers, account));
        }
        let on_upgrade = parts.extensions.remove();
        let upload = (has_content(&body) && head.upgrade.is_none()).then(|| {
            let kept = (policy.retry.buffer_bytes, &self.relay.replay_memory);
            Upload::new(body, kept, hop::trailers)
        });
        if upload
            .as_ref()
            .is_some_and(|upload| upload.length().is_none())
        {
            // Without it hyper sends no content with methods that rarely have one.
            parts.headers.insert(TRANSFER_ENCODING, CHUNKED);
        }
        Continue(Box::new(Routed {
            upgrade: head.upgrade,
            parts,
            upload,
            on_upgrade,
            asked,
            sender,
            route,
            policy,
            account,
        }))
    }

    /// Makes the fields of the request those of a gateway; says who sent it.
    fn take_over(
        &self,
        parts: &mut Parts,
        head: &Head,
        client: &ClientContext,
    ) -> Result<Client, Cause> {
        hop::request(&mut parts.headers).map_err(Cause::BadRequest)?;
        self.loops.pass(&mut parts.headers)?;
        let received = Received {
            peer: &client.peer,
            tls: client.tls.is_some(),
            authority: &head.authority,
            port: head.port,
        };
        let sender = forwarded::rewrite(&mut parts.headers, received, &self.proxies);
        parts.headers.insert(HOST, head.authority.clone());
        if let Some(upgrade) = &head.upgrade {
            hop::offer_upgrade(&mut parts.headers, upgrade);
            if upgrade.extended_connect {
                parts.method = Method::GET;
            }
        }
        parts.uri = Uri::from(head.target.clone());
        parts.version = Version::HTTP_11;
        Ok(sender)
    }

    fn describe(&self, client: &ClientContext, parts: &Parts, head: Option<&Head>) -> Described {
        let is_told = self.observers.access_log.is_on() || self.observers.traces.is_on();
        let user_agent = is_told.then(|| parts.headers.get(USER_AGENT).cloned());
        Described {
            client: client.peer.address.ip(),
            method: parts.method.clone(),
            host: head.map(|head| Arc::clone(&head.host)).unwrap_or_default(),
            target: match head {
                Some(head) => Some(head.target.clone()),
                None => parts.uri.path_and_query().cloned(),
            },
            version: parts.version,
            user_agent: user_agent.flatten(),
        }
    }
}

/// Over HTTP/2 a body of length zero may still be open.
fn has_content(body: &Incoming) -> bool {
    !body.is_end_stream() && body.size_hint().exact() != Some(0)
}

/// The policy of a request, and what it means for an answer of ours and for the account.
fn policy_of(
    route: &LiveRoute,
    path: &str,
    asked: &mut Asked,
    account: &mut Account,
) -> Arc<Policy> {
    asked.proxy_status = route.policy.proxy_status;
    let unaided = route.unaided(path);
    if unaided.is_some() {
        asked.bare = true;
        account.unlogged();
    }
    Arc::clone(unaided.unwrap_or(&route.policy))
}

/// RFC 8555 section 8.3: validation starts with plain HTTP.
fn is_acme_challenge(head: &Head) -> bool {
    head.path().starts_with("/.well-known/acme-challenge/")
}
