//! The clocks of a request: who is to move next, and until when.
//!
//! The time for a response runs only while we wait for the upstream: from the moment that the
//! request body is out, or from the start if there is none. While the body moves, the limit is that
//! of whoever it waits for: the client's for the next bytes, or the endpoint's for taking them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;

use crate::failure::{Cause, ClientFault};
use crate::routing::policy::Policy;
use crate::upstream::upload::{Turn, Upload};

use super::grpc;

/// The clock of one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// When the first attempt could begin.
    started: Instant,
    /// When the request body was out; the start, if there is none.
    uploaded: Option<Instant>,
    request: Duration,
    /// Whether that is less than the policy allows, as the caller wants it.
    shortened: bool,
    per_try: Option<Duration>,
    send: Duration,
    client_body: Duration,
}

impl Clock {
    /// Starts the clock; `client_body` is how long the client may pause within its body. A gRPC call
    /// brings its own time.
    pub(super) fn start(
        started: Instant,
        policy: &Policy,
        (headers, client_body): (&HeaderMap, Duration),
        upload: &Option<Arc<Upload>>,
    ) -> Self {
        let allowed = policy.timeouts.request;
        let request = grpc::timeout(headers).unwrap_or(allowed);
        Self {
            started,
            uploaded: upload.is_none().then_some(started),
            request,
            shortened: request < allowed,
            per_try: policy.retry.per_try,
            send: policy.timeouts.send,
            client_body,
        }
    }

    /// The request goes on at another upstream: what concerns attempts begins anew, what is left of
    /// the request's time stays as it is.
    pub(super) fn go_on_under(&mut self, policy: &Policy) {
        self.started = Instant::now();
        self.per_try = policy.retry.per_try;
        self.send = policy.timeouts.send;
    }

    /// What has failed when the request's time is over. Where the caller allows it less than the policy
    /// does, that says nothing of an endpoint.
    pub(super) fn over(&self) -> Cause {
        match self.shortened {
            true => Cause::CallerDeadline,
            false => Cause::DeadlineExceeded,
        }
    }

    /// Since the request began, or went on at another upstream.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// What is left of the request's time; `None` while its body is still coming.
    pub(super) fn left(&self) -> Option<Duration> {
        let uploaded = self.uploaded?;
        Some((uploaded + self.request).saturating_duration_since(Instant::now()))
    }

    /// How long an attempt may take until there is a connection, where attempts are limited.
    pub(super) fn per_try(&self) -> Option<Duration> {
        self.per_try
    }

    /// While a body moves, whose turn it is changes unseen: how long it may go unlooked at.
    pub(super) fn attention(&self) -> Duration {
        self.send.min(self.client_body)
    }

    /// Until when an attempt that began at `attempt` may go on as it is, and what failed then.
    pub(super) fn limit(&mut self, upload: Option<&Upload>, attempt: Instant) -> (Instant, Cause) {
        match upload.map(Upload::turn) {
            Some(Turn::Client(since)) => (
                since + self.client_body,
                Cause::BadRequest(ClientFault::BodyTimeout),
            ),
            Some(Turn::Endpoint(since)) => (since + self.send, Cause::SendTimeout),
            Some(Turn::Finished(at)) => {
                self.uploaded.get_or_insert(at);
                self.response(attempt.max(at))
            }
            None => self.response(attempt),
        }
    }

    fn response(&self, attempt: Instant) -> (Instant, Cause) {
        let whole = self.uploaded.unwrap_or(self.started) + self.request;
        match self.per_try.map(|limit| attempt + limit) {
            Some(end) if end < whole => (end, Cause::ResponseTimeout),
            _ => (whole, self.over()),
        }
    }
}
