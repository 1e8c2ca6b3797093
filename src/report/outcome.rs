//! How requests ended, and what was tried for them: made by the data plane, once for each.
//!
//! Whatever tells of a failure (the access log, traces, the flight recorder, conditions and Events)
//! reads it here; nothing classifies twice.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::failure::Cause;
use crate::routing::snapshot::{IngressName, ServicePort};

use super::hint::Hint;

mod json;

/// One try on one endpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attempt {
    /// Where; absent when no endpoint was chosen.
    pub endpoint: Option<SocketAddr>,
    /// The Pod behind it, in the namespace of its Service, where known.
    pub pod: Option<Arc<str>>,
    /// How it failed; absent when the upstream's answer was taken, and did not break off.
    pub cause: Option<Cause>,
    /// The status received, if a response head was.
    pub status: Option<u16>,
    /// From the end of the request's head to the choice of the endpoint.
    pub started: Duration,
    /// How long it took to open a connection, TLS included; absent where one was open already, and
    /// where none came about.
    pub connected: Option<Duration>,
    /// From the choice of the endpoint to the head or the failure.
    pub duration: Duration,
    /// Bytes of the request that were written to the socket until the head or the failure; with TLS
    /// those of its records.
    pub sent: u64,
    /// Bytes of the answer that were read until then, or until its body broke off.
    pub received: u64,
    /// What the failure looked like from here: for logs, not for clients.
    pub detail: Option<Box<str>>,
    /// What its bytes suggest beyond the cause.
    pub hint: Option<Box<Hint>>,
    /// What was decided then.
    pub next: Followed,
    /// Whether it was at the upstream that stands in.
    pub fallback: bool,
}

/// What follows an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Followed {
    /// Its answer was given to the client.
    #[default]
    Answered,
    /// The same endpoint again, on a new connection.
    Reconnect,
    /// Another endpoint.
    Retry,
    /// The upstream that stands in.
    Fallback,
    /// Nothing, for this reason. What the application answered is given to the client all the same,
    /// and is no failure of the attempt then.
    Nothing(Stop),
    /// The request ended while it was under way: the client left, or the process did.
    Unfinished,
}

impl Followed {
    /// In logs; the reason is a word of its own.
    pub fn label(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Reconnect => "reconnect",
            Self::Retry => "retry",
            Self::Fallback => "fallback",
            Self::Nothing(_) => "nothing",
            Self::Unfinished => "unfinished",
        }
    }

    /// Why nothing followed.
    pub fn reason(self) -> Option<Stop> {
        match self {
            Self::Nothing(stop) => Some(stop),
            _ => None,
        }
    }
}

macro_rules! stops {
    ($($(#[$doc:meta])+ $name:ident $label:literal $sentence:literal;)+) => {
        /// Why no further attempt follows a failed one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Stop { $($(#[$doc])+ $name,)+ }

        impl Stop {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// In logs.
            pub fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }

            /// For people; what comes after "not tried again: ".
            pub fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence,)+ }
            }
        }
    };
}

stops! {
    /// No other attempt helps against this cause, or it is not safe.
    Cause "cause" "another attempt would not help against this cause";
    /// The policy does not list the cause in `retry.on`.
    NotListed "not_listed" "the policy does not list this cause in retry.on";
    /// The method is not idempotent, and the endpoint may have processed the request.
    NotIdempotent "not_idempotent"
        "the method is not idempotent, and the endpoint may have processed the request";
    /// The request's body cannot be sent again: too large to be kept, or no memory was left for it.
    NotReplayable "not_replayable" "the request's body is too large to be kept for another attempt";
    /// All attempts that the policy allows were made.
    Attempts "attempts" "all attempts that the policy allows were made";
    /// `retry.within` was over, or what was left of it would not have done for another attempt.
    Within "within"
        "the time for further attempts (retry.within) was over, or too short for one";
    /// The time for the whole request was over, or what was left of it would not have done for another
    /// attempt.
    Deadline "deadline"
        "the time for the whole request was over, or too short for another attempt";
    /// The retry budget of the upstream was spent.
    Budget "budget" "the retry budget of the upstream was spent";
    /// Two endpoints broke off on the request: it may be what breaks them.
    Poison "poison" "two endpoints broke off on it: the request itself may be what breaks them";
    /// No endpoint was left.
    NoEndpoint "no_endpoint" "no other endpoint was left";
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The correlation id.
    pub request_id: Box<str>,
    /// When its head had been read.
    pub time: SystemTime,
    /// The method.
    pub method: Box<str>,
    /// The host asked for, without a port.
    pub host: Box<str>,
    /// The path as it was routed on, without the query; cut to a bounded length.
    pub path: Box<str>,
    /// The Ingress, where one matched.
    pub ingress: Option<IngressName>,
    /// The port of the Service that the route names, whether or not it leads there.
    pub upstream: Option<ServicePort>,
    /// The status sent to the client; 499 if it left before.
    pub status: u16,
    /// Why it failed, if it did.
    pub cause: Option<Cause>,
    /// Whether the answer is that of the upstream that stands in.
    pub fallback: bool,
    /// Bytes of the request's body that were read.
    pub bytes_received: u64,
    /// Bytes of the response's body that were sent.
    pub bytes_sent: u64,
    /// The tries, in order.
    pub attempts: Vec<Attempt>,
    /// From the end of the request head to the end of the response.
    pub duration: Duration,
}

impl Attempt {
    /// Whether it failed, and not by the client's doing.
    pub fn has_failed(&self) -> bool {
        self.cause.is_some_and(is_ours)
    }
}

impl Outcome {
    /// Whether the client got less than it should have, and not by its own doing.
    pub fn has_failed(&self) -> bool {
        self.cause.is_some_and(is_ours)
    }

    /// The memory that it takes, in bytes; what is shared is not counted.
    pub fn size(&self) -> usize {
        let details = self.attempts.iter().filter_map(|it| it.detail.as_ref());
        let texts = [&self.request_id, &self.method, &self.host, &self.path];
        let texts = texts.into_iter().chain(details).map(|text| text.len());
        let attempt = size_of::<Attempt>() + size_of::<Hint>();
        size_of::<Self>() + self.attempts.capacity() * attempt + texts.sum::<usize>()
    }
}

/// Whether there is anything to tell about a request that ended like this.
pub fn is_of_note(cause: Option<Cause>, attempts: &[Attempt]) -> bool {
    cause.is_some_and(is_ours) || attempts.iter().any(Attempt::has_failed)
}

/// Whether a failure says something of what is served, and not of the client alone.
fn is_ours(cause: Cause) -> bool {
    !matches!(
        cause,
        Cause::ClientAborted | Cause::CallerDeadline | Cause::BadRequest(_) | Cause::NoRoute
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_the_client_did_is_not_of_note() {
        let ours = Cause::all().into_iter().filter(|cause| is_ours(*cause));
        for cause in ours {
            assert!(is_of_note(Some(cause), &[]), "{cause:?}");
        }
        assert!(!is_of_note(Some(Cause::ClientAborted), &[]));
        assert!(!is_of_note(Some(Cause::NoRoute), &[]));
        assert!(!is_of_note(None, &[Attempt::default()]));
    }

    #[test]
    fn an_attempt_that_failed_is_of_note_though_the_request_did_not() {
        let refused = Attempt {
            cause: Some(Cause::ConnectionRefused),
            ..Attempt::default()
        };
        let attempts = [refused, Attempt::default()];
        assert!(is_of_note(None, &attempts));
        assert!(is_of_note(Some(Cause::ClientAborted), &attempts));
    }

    #[test]
    fn no_two_reasons_are_called_alike() {
        let labels: std::collections::BTreeSet<_> =
            Stop::ALL.iter().map(|stop| stop.label()).collect();
        assert_eq!(labels.len(), Stop::ALL.len());
    }
}
