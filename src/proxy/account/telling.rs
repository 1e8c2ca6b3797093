//! What is told of a request that has ended: a line in the access log, and, if something failed, an
//! outcome for those who look for the reason.

use std::time::{Duration, SystemTime};

use http::Version;
use rand::RngExt;

use crate::report::outcome::{Followed, Outcome, is_of_note};
use crate::telemetry::access_log::Record;
use crate::telemetry::traces::{Seen, Traced};
use crate::upstream::random::with_rng;

use super::{Account, Ending};

/// Of a path so much is kept in an outcome, in bytes.
const PATH: usize = 256;

/// And of a method.
const METHOD: usize = 32;

impl Account {
    pub(super) fn tell(&mut self, ending: Ending, took: Duration) {
        self.end_attempts(took);
        if self.logged && self.is_logged(ending) {
            self.write(ending, took);
        }
        if let Some(traced) = self.traced {
            self.trace(traced, ending, took);
        }
        if is_of_note(ending.cause, &self.attempts) {
            let attempts = std::mem::take(&mut self.attempts);
            self.observers.failures.tell(|| Outcome {
                attempts,
                ..self.outcome(ending, took)
            });
        }
    }

    /// Leaves its spans.
    fn trace(&self, traced: Traced, ending: Ending, took: Duration) {
        let asked = &self.asked;
        let user_agent = asked.user_agent.as_ref();
        let seen = Seen {
            client: asked.client,
            version: match protocol(asked.version).split_once('/') {
                Some((_, version)) => version,
                None => "",
            },
            tls: self.client.tls.is_some(),
            user_agent: user_agent.and_then(|value| value.to_str().ok()),
        };
        let outcome = self.outcome(ending, took);
        let traces = &self.observers.traces;
        traces.end(traced, &outcome, &self.attempts, seen);
    }

    /// The attempt that was under way lasted to the end.
    fn end_attempts(&mut self, took: Duration) {
        if let Some(last) = self.attempts.last_mut()
            && last.next == Followed::Unfinished
        {
            last.duration = took.saturating_sub(last.started);
        }
    }

    /// Successes may be sampled, failures never: neither those that clients saw, whoever made them,
    /// nor those that they did not.
    pub(super) fn is_logged(&self, ending: Ending) -> bool {
        let failed = ending.cause.is_some()
            || ending.status >= 500
            || self.attempts.iter().any(|attempt| attempt.cause.is_some());
        let draw = || with_rng(|rng| rng.random());
        failed || self.observers.access_log.samples(draw)
    }

    fn write(&self, ending: Ending, took: Duration) {
        let asked = &self.asked;
        let route = self.route.as_deref();
        let upstream = route.and_then(|route| route.target.service());
        let session = self.client.tls.as_ref();
        let server_name = session.and_then(|session| session.server_name.as_deref());
        let target = asked.target.as_ref();
        self.observers.access_log.record(
            self.client.worker,
            &Record {
                time: SystemTime::now() - took,
                id: self.id.as_str(),
                client: asked.client,
                method: asked.method.as_str(),
                host: Some(&*asked.host).filter(|host| !host.is_empty()),
                path: target.map(|target| target.path()).unwrap_or_default(),
                query: target.and_then(|target| target.query()),
                protocol: protocol(asked.version),
                tls: session.map(|session| session.version),
                server_name: server_name.filter(|name| *name != &*asked.host),
                status: ending.status,
                cause: ending.cause,
                bytes_received: self.bytes_received,
                bytes_sent: self.bytes_sent,
                duration: took,
                body: self.body_took(took),
                ingress_namespace: route.map(|route| &*route.ingress.namespace),
                ingress: route.map(|route| &*route.ingress.name),
                service_namespace: upstream.map(|service| &*service.namespace),
                service: upstream.map(|service| &*service.name),
                upstream: upstream.and(route).map(|route| route.metrics.upstream()),
                policies: route.map(|route| &*route.policy.origin).unwrap_or_default(),
                fallback: self.by_fallback,
                user_agent: asked
                    .user_agent
                    .as_ref()
                    .and_then(|value| value.to_str().ok()),
                attempts: &self.attempts,
            },
        );
    }

    /// From the head of an endpoint's answer to its end.
    fn body_took(&self, took: Duration) -> Option<Duration> {
        let answered = self.attempts.last()?;
        let whole = answered.next == Followed::Answered && answered.status.is_some();
        whole.then(|| took.saturating_sub(answered.started + answered.duration))
    }

    /// Without attempts.
    fn outcome(&self, ending: Ending, took: Duration) -> Outcome {
        let asked = &self.asked;
        let route = self.route.as_ref();
        let upstream = route.and_then(|route| route.target.service().cloned());
        let path = asked.target.as_ref().map(|target| target.path());
        Outcome {
            request_id: self.id.as_str().into(),
            time: SystemTime::now() - took,
            method: cut(asked.method.as_str(), METHOD),
            host: (*asked.host).into(),
            path: cut(path.unwrap_or_default(), PATH),
            ingress: route.map(|route| route.ingress.clone()),
            upstream,
            status: ending.status,
            cause: ending.cause,
            fallback: self.by_fallback,
            bytes_received: self.bytes_received,
            bytes_sent: self.bytes_sent,
            attempts: Vec::new(),
            duration: took,
        }
    }
}

/// The beginning of a text, at most so many bytes.
fn cut(text: &str, most: usize) -> Box<str> {
    text[..text.floor_char_boundary(most)].into()
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_11 => "HTTP/1.1",
        _ => "HTTP/2",
    }
}
