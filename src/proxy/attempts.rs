//! The attempts of one request: endpoint by endpoint, until there is an answer or no more choice.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::time::Sleep;

use crate::failure::Cause;
use crate::report::hint::Hint;
use crate::report::outcome::{Attempt, Stop};
use crate::routing::policy::Policy;
use crate::telemetry::traces::Traced;
use crate::upstream::breaker::RequestPermit;
use crate::upstream::budget::Token;
use crate::upstream::classify::detail;
use crate::upstream::connection::Connection;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::live::Upstream;
use crate::upstream::registry::Registry;
use crate::upstream::upload::{ReplayMemory, RequestBody, Turn, Upload};
use crate::upstream::vanished::{LOOK, Watch};

use super::affinity::Affinity;
use super::clock::Clock;
use super::forwarded::Client;
use super::head::Upgrade;
use super::judge::{Verdict, is_idempotent, judge};
use super::response_body::{Lease, PAUSE};
use super::retry::{Failed, Next, Progress, closes};
use super::serving::LiveFallback;
use super::validate::AnswerBody;
use choosing::{Chosen, Tried};

mod booking;
mod choosing;
mod connecting;
mod fallback;
mod said;
mod validating;

pub(super) use said::{Reading, read as read_aside};

/// What the attempts of one request share.
pub(super) struct Attempts<'a> {
    pub(super) upstream: &'a Upstream,
    pub(super) policy: &'a Policy,
    pub(super) registry: &'a Registry,
    pub(super) worker: usize,
    /// The request as every endpoint gets it.
    pub(super) head: &'a Parts,
    pub(super) upgrade: Option<&'a Upgrade>,
    /// To which endpoints it belongs, if to any.
    pub(super) affinity: Option<Box<Affinity>>,
    pub(super) upload: Option<Arc<Upload>>,
    pub(super) clock: Clock,
    pub(super) timer: Pin<Box<Sleep>>,
    /// For what is kept of answers.
    pub(super) memory: &'a Arc<ReplayMemory>,
    /// For answers that are held back until they were found valid.
    pub(super) validation_memory: &'a Arc<ReplayMemory>,
    /// A valid answer to an earlier attempt, which is given if nothing better comes.
    pub(super) said: Option<Reading>,
    /// When the request's head had been read.
    pub(super) begun: Instant,
    /// What has been tried, in the account of the request, which may be closed at any moment.
    pub(super) made: &'a mut Vec<Attempt>,
    pub(super) progress: Progress,
    /// Counts the request where requests are limited.
    pub(super) admitted: Option<RequestPermit>,
    /// Where the request stands in a trace, if it is recorded.
    pub(super) traced: Option<Traced>,
    /// Who sent it.
    pub(super) sender: Client,
    /// What stands in for the upstream, until it is asked.
    pub(super) fallback: Option<&'a LiveFallback>,
    /// Why it was asked, while what it says is what counts.
    pub(super) instead: Option<Cause>,
}

/// A response head, and the connection on which its body follows.
pub(super) struct Answer {
    pub(super) response: Response<AnswerBody>,
    pub(super) lease: Lease,
    pub(super) switched: bool,
}

/// One attempt that failed. It goes from hand to hand as a pointer, as an answer does: both are large.
struct Miss {
    failed: Failed,
    status: Option<u16>,
    detail: Option<Box<str>>,
    /// What its bytes suggest beyond the cause.
    hint: Option<Box<Hint>>,
    /// A valid answer that is given to the client if nothing better comes.
    answer: Option<Box<Answer>>,
    /// Whether the upstream that stands in is asked after this.
    falls_back: bool,
    /// The endpoint had waited for the client, and gave up.
    tired: bool,
}

impl From<Cause> for Miss {
    fn from(cause: Cause) -> Self {
        let failed = Failed {
            cause,
            unsent: false,
            stale: false,
        };
        Self {
            failed,
            status: None,
            detail: None,
            hint: None,
            answer: None,
            falls_back: false,
            tired: false,
        }
    }
}

impl From<Cause> for Box<Miss> {
    fn from(cause: Cause) -> Self {
        Self::new(cause.into())
    }
}

impl<'a> Attempts<'a> {
    /// Tries the endpoints of one upstream until there is an answer.
    async fn ask(&mut self) -> Result<Box<Answer>, Box<Miss>> {
        self.progress.idempotent = is_idempotent(&self.head.method);
        self.admitted = match self.upstream.admit() {
            Ok(admitted) => admitted,
            Err(cause) => return Err(self.end(None, (cause, Stop::Cause))),
        };
        let mut tried = Tried::default();
        let mut again: Option<Chosen> = None;
        let mut last: Option<Failed> = None;
        let mut paid: Option<Token<'a>> = None;
        // Whether no attempt has followed the failed one yet.
        let mut follows = false;
        let budget = &self.policy.retry.budget;
        self.upstream.budget().deposit(budget, Instant::now());
        if !self.upstream.is_known() {
            // Without them the choice says why.
            let _ = tokio::time::timeout(self.connect_time(), self.upstream.known()).await;
        }
        loop {
            // One that drains by now, or is gone, closed the connection for that reason.
            let same = again.take();
            let same = same.filter(|same| self.upstream.uses(&same.endpoint));
            let reconnecting = same.is_some();
            let chosen = match same {
                Some(same) => same,
                None => match self.next(&tried).await {
                    Ok(chosen) => chosen,
                    Err(why) => return Err(self.end(last, why)),
                },
            };
            if !reconnecting {
                tried.endpoints.push(chosen.endpoint.address());
            }
            let started = Instant::now();
            self.begin(&chosen, started);
            if std::mem::take(&mut follows) {
                self.upstream.metrics().retry(self.worker);
            }
            if let Some(paid) = &mut paid {
                paid.spend();
            }
            let mut miss = match self.attempt(&chosen.endpoint, reconnecting).await {
                Ok(Some(mut answer)) => {
                    self.taken(chosen, started, &mut answer);
                    return Ok(answer);
                }
                Ok(None) => {
                    // It was not tried: what follows is as much the first attempt as this was.
                    self.made.pop();
                    if let Some(paid) = &mut paid {
                        paid.keep();
                    }
                    if !reconnecting {
                        tried.endpoints.pop();
                    }
                    continue;
                }
                Err(miss) => miss,
            };
            let on = (&*chosen.endpoint, chosen.trial.is_some());
            let next = self.judge_miss(on, started, &mut miss, &mut paid);
            follows = true;
            if next == Next::Reconnect {
                last = Some(miss.failed);
                again = Some(chosen);
                continue;
            }
            tried.failed(chosen.endpoint.address(), miss.failed);
            self.hold_against(&chosen.endpoint, chosen.trial, miss.failed);
            if let Next::Stop(_) = next {
                return Err(miss);
            }
            last = Some(miss.failed);
            let said = miss.answer.and_then(|it| said::read(it, self.memory));
            self.said = said.or(self.said.take());
        }
    }

    /// What the application said to an attempt that was followed by others.
    pub(super) async fn said(&mut self) -> Option<Response<Bytes>> {
        let (said, _) = self.said.take()?.await.ok()??;
        Some(said)
    }

    /// The request is under way for as long as its answer is.
    fn give(&mut self, answer: &mut Answer) {
        // Upgraded connections count as such, not as requests.
        let admitted = self.admitted.take();
        answer.lease.admitted = admitted.filter(|_| !answer.switched);
    }

    /// Books the answer, and has the client come back to where it is from.
    fn taken(&mut self, chosen: Chosen, started: Instant, answer: &mut Answer) {
        if let Some(affinity) = &self.affinity
            && chosen.trial.is_none()
        {
            let fields = answer.response.headers_mut();
            affinity.keep(self.upstream, chosen.pin, fields);
        }
        self.succeeded((&chosen.endpoint, chosen.trial), started, answer);
        self.give(answer);
    }

    /// Nothing, where the endpoint left before there was a connection to it.
    async fn attempt(
        &mut self,
        endpoint: &Arc<Endpoint>,
        reconnecting: bool,
    ) -> Result<Option<Box<Answer>>, Box<Miss>> {
        let in_flight = endpoint.begin();
        let connection = self.connection(endpoint, reconnecting).await?;
        let Some((mut connection, asked)) = connection else {
            return Ok(None);
        };
        let body = match &self.upload {
            None => RequestBody::empty(),
            Some(upload) => upload.next_attempt().ok_or(Cause::Internal)?,
        };
        let mut head = self.head.clone();
        if let Some(traced) = &self.traced {
            let index = self.made.len().saturating_sub(1);
            traced.attempt(index).write(&mut head.headers);
        }
        let request = Request::from_parts(head, body);
        let exchanged = self.exchange((&mut connection, asked), request).await;
        self.moved(connection.moved());
        let response = exchanged?;
        let retry = &self.policy.retry;
        let verdict = judge(&response, &self.head.method, self.upgrade, retry);
        let status = response.status().as_u16();
        let lease = Lease {
            connection,
            endpoint: Arc::clone(endpoint),
            upload: self.upload.clone(),
            in_flight,
            worker: self.worker,
            admitted: None,
            pool: self.upstream.policy().connection_pool,
            faulty: self.upstream.counts_against(status),
            trial: None,
        };
        let response = match verdict {
            Verdict::Accept | Verdict::Retry => self.validated(response, &lease).await?,
            Verdict::Switch | Verdict::Invalid(_) => response.map(AnswerBody::from),
        };
        let answer = Box::new(Answer {
            response,
            lease,
            switched: verdict == Verdict::Switch,
        });
        match verdict {
            Verdict::Accept | Verdict::Switch => Ok(Some(answer)),
            Verdict::Retry => Err(Box::new(Miss {
                status: Some(status),
                answer: Some(answer),
                ..Cause::RetriedStatus(status).into()
            })),
            Verdict::Invalid(cause) => Err(Box::new(Miss {
                status: Some(status),
                ..cause.into()
            })),
        }
    }

    /// Sends the request to an endpoint that is `asked` since then, and waits for the head, within the
    /// limit of whoever is to move next.
    async fn exchange(
        &mut self,
        (connection, asked): (&mut Connection, Instant),
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Box<Miss>> {
        let reused = connection.is_reused();
        let mut watch = connection.guard(self.upload.is_some(), self.upgrade.is_some());
        let mut exchange = std::pin::pin!(connection.exchange(request));
        let result = loop {
            let (deadline, cause) = self.clock.limit(self.upload.as_deref(), asked);
            if deadline <= Instant::now() {
                return Err(self.client_fault().unwrap_or(cause).into());
            }
            let uploading =
                matches!(turn(self.upload.as_deref()), Some(turn) if !turn.is_finished());
            let wake = match watch {
                Some(_) if uploading => Instant::now() + LOOK.min(self.clock.attention()),
                Some(_) => Instant::now() + LOOK,
                None => deadline,
            };
            self.timer.as_mut().reset(wake.min(deadline).into());
            tokio::select! {
                biased;
                result = &mut exchange => break result,
                () = finished(self.upload.as_deref()), if uploading => {}
                () = &mut self.timer => {}
            }
            let gone = |watch: &mut Watch| watch.is_gone(Instant::now());
            if asked.elapsed() >= LOOK && watch.as_mut().is_some_and(gone) {
                return Err(Cause::PeerVanished.into());
            }
        };
        result.map_err(|error| match self.client_fault() {
            Some(fault) => fault.into(),
            None => Box::new(Miss {
                failed: Failed {
                    cause: error.cause,
                    unsent: error.unsent,
                    stale: reused && !error.answered && closes(error.cause),
                },
                hint: error.hint,
                detail: Some(detail(&error.detail)),
                tired: !error.answered && closes(error.cause) && self.client_is_slow(),
                ..error.cause.into()
            }),
        })
    }

    /// A broken message of the client's breaks the exchange, but it is not the endpoint's fault.
    fn client_fault(&self) -> Option<Cause> {
        self.upload.as_ref().and_then(|upload| upload.fault())
    }

    /// Whether the client has not gone on with its body for so long that others lose patience.
    fn client_is_slow(&self) -> bool {
        let turn = turn(self.upload.as_deref());
        matches!(turn, Some(Turn::Client(since)) if since.elapsed() > PAUSE)
    }
}

fn turn(upload: Option<&Upload>) -> Option<Turn> {
    upload.map(Upload::turn)
}

async fn finished(upload: Option<&Upload>) {
    match upload {
        Some(upload) => upload.finished().await,
        None => std::future::pending().await,
    }
}
