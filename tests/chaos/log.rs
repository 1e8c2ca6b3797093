//! The access log, as the program writes it to its stdout.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::ops::Range;
use std::thread::JoinHandle;

use bywash::failure::Cause;
use serde::Deserialize;

/// What was logged of a request.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Entry {
    pub(crate) id: String,
    time: String,
    pub(crate) method: String,
    pub(crate) status: u16,
    pub(crate) cause: Option<String>,
    duration_ms: f64,
    #[serde(default)]
    pub(crate) attempts: Vec<Attempt>,
}

/// One try on one endpoint.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Attempt {
    pub(crate) endpoint: SocketAddr,
    pub(crate) cause: Option<String>,
    #[serde(default)]
    next: Option<String>,
    duration_ms: f64,
}

impl Entry {
    /// When its head had been read, in seconds.
    pub(crate) fn began(&self) -> f64 {
        let time: jiff::Timestamp = self.time.parse().unwrap();
        time.as_duration().as_secs_f64()
    }

    /// When its response had ended.
    pub(crate) fn ended(&self) -> f64 {
        self.began() + self.duration_ms / 1000.0
    }

    /// From when its head had been read to the end of its response.
    pub(crate) fn during(&self) -> Range<f64> {
        self.began()..self.ended()
    }

    /// The attempts, and when each had its head or its failure, at the earliest: waits between them
    /// are not logged.
    pub(crate) fn timed(&self) -> impl Iterator<Item = (f64, &Attempt)> {
        let mut now = self.began();
        self.attempts.iter().map(move |attempt| {
            now += attempt.duration_ms / 1000.0;
            (now, attempt)
        })
    }

    /// The failed attempts that were followed by another one.
    pub(crate) fn followed(&self) -> impl Iterator<Item = (f64, &Attempt, &Attempt)> {
        let next = self.attempts.iter().skip(1);
        self.timed()
            .zip(next)
            .map(|((at, failed), next)| (at, failed, next))
    }
}

impl Attempt {
    /// Whether its request did not wait for its end.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.next.as_deref() == Some("unfinished")
    }

    /// Why it failed, if it did.
    pub(crate) fn failure(&self) -> Option<Cause> {
        self.cause.as_deref().and_then(named)
    }

    /// Whether its answer had begun before it failed.
    pub(crate) fn breaks_off(&self) -> bool {
        self.failure().is_some_and(Cause::ends_a_body)
    }

    /// Whether its connection ended like one that the endpoint no longer wants: if it had served
    /// before, that is no failure of the endpoint, and it is opened anew without a retry.
    pub(crate) fn closed(&self) -> bool {
        matches!(
            self.failure(),
            Some(Cause::ClosedBeforeSend | Cause::ConnectionClosed | Cause::ConnectionReset)
        )
    }
}

/// The cause of this name.
pub(crate) fn named(label: &str) -> Option<Cause> {
    Cause::all()
        .into_iter()
        .find(|cause| cause.label() == label)
}

/// Reads a log to its end.
pub(crate) fn follow(stdout: impl Read + Send + 'static) -> JoinHandle<Vec<Entry>> {
    std::thread::spawn(move || {
        let lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let parse = |line: String| {
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
        };
        lines.map(parse).collect()
    })
}
