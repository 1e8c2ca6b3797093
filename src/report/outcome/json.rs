//! Attempts and outcomes in JSON: in the access log, and where people debug.
//!
//! An attempt that was answered says only where, and how long it took, since most lines of a log are
//! about such ones.

use std::time::Duration;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::super::json::{in_millis, timestamp};
use super::{Attempt, Followed, Outcome};
use crate::failure::Cause;
use crate::routing::snapshot::ServicePort;

/// What began earlier than this began at once.
const AT_ONCE: Duration = Duration::from_millis(1);

impl Serialize for Attempt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(endpoint) = &self.endpoint {
            map.serialize_entry("endpoint", endpoint)?;
        }
        if let Some(pod) = &self.pod {
            map.serialize_entry("pod", &**pod)?;
        }
        if let Some(status) = self.status {
            map.serialize_entry("status", &status)?;
        }
        if let Some(cause) = self.cause {
            map.serialize_entry("cause", cause.label())?;
        }
        if let Some(detail) = &self.detail {
            map.serialize_entry("detail", &**detail)?;
        }
        if let Some(hint) = &self.hint {
            map.serialize_entry("hint", hint)?;
        }
        if self.started >= AT_ONCE {
            map.serialize_entry("started_ms", &in_millis(self.started))?;
        }
        if let Some(connected) = self.connected {
            map.serialize_entry("connect_ms", &in_millis(connected))?;
        }
        map.serialize_entry("duration_ms", &in_millis(self.duration))?;
        let answered = self.next == Followed::Answered;
        if !answered || self.detail.is_some() {
            map.serialize_entry("bytes_sent", &self.sent)?;
            map.serialize_entry("bytes_received", &self.received)?;
        }
        if !answered {
            map.serialize_entry("next", self.next.label())?;
        }
        if let Some(stop) = self.next.reason() {
            map.serialize_entry("reason", stop.label())?;
        }
        if self.fallback {
            map.serialize_entry("fallback", &true)?;
        }
        map.end()
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self {
            request_id,
            time,
            method,
            host,
            path,
            ingress,
            upstream,
            status,
            cause,
            fallback,
            bytes_received,
            bytes_sent,
            attempts,
            duration,
        } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &**request_id)?;
        map.serialize_entry("time", &Time(*time))?;
        map.serialize_entry("method", &**method)?;
        map.serialize_entry("host", &**host)?;
        map.serialize_entry("path", &**path)?;
        if let Some(ingress) = ingress {
            map.serialize_entry("ingress_namespace", &*ingress.namespace)?;
            map.serialize_entry("ingress", &*ingress.name)?;
        }
        if let Some(upstream) = upstream {
            map.serialize_entry("upstream", &format_args!("{upstream}"))?;
            let ServicePort {
                namespace,
                name,
                port: _,
            } = upstream;
            map.serialize_entry("service_namespace", &**namespace)?;
            map.serialize_entry("service", &**name)?;
        }
        map.serialize_entry("status", status)?;
        if let Some(cause) = cause {
            map.serialize_entry("cause", cause.label())?;
            map.serialize_entry("sentence", Cause::sentence(*cause))?;
        }
        map.serialize_entry("fallback", fallback)?;
        map.serialize_entry("bytes_received", bytes_received)?;
        map.serialize_entry("bytes_sent", bytes_sent)?;
        map.serialize_entry("duration_ms", &in_millis(*duration))?;
        map.serialize_entry("attempts", attempts)?;
        map.end()
    }
}

struct Time(std::time::SystemTime);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        timestamp(&self.0, serializer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Stop;
    use super::*;

    #[test]
    fn an_attempt_that_was_answered_says_where_and_how_long() {
        let attempt = Attempt {
            endpoint: Some(([10, 244, 0, 7], 8080).into()),
            pod: Some("cart-0".into()),
            status: Some(200),
            duration: Duration::from_micros(1500),
            sent: 70,
            ..Attempt::default()
        };
        let expected = json!({
            "endpoint": "10.244.0.7:8080", "pod": "cart-0", "status": 200, "duration_ms": 1.5,
        });
        assert_eq!(serde_json::to_value(&attempt).unwrap(), expected);
    }

    #[test]
    fn an_attempt_that_failed_says_how_and_what_was_decided() {
        let attempt = Attempt {
            endpoint: Some(([10, 244, 0, 7], 8080).into()),
            cause: Some(Cause::ConnectionReset),
            detail: Some("connection reset by peer".into()),
            started: Duration::from_millis(30),
            connected: Some(Duration::from_micros(250)),
            duration: Duration::from_millis(2),
            sent: 70,
            received: 3,
            next: Followed::Nothing(Stop::NotIdempotent),
            fallback: true,
            ..Attempt::default()
        };
        let expected = json!({
            "endpoint": "10.244.0.7:8080", "cause": "connection_reset",
            "detail": "connection reset by peer", "started_ms": 30.0, "connect_ms": 0.25,
            "duration_ms": 2.0, "bytes_sent": 70, "bytes_received": 3,
            "next": "nothing", "reason": "not_idempotent", "fallback": true,
        });
        assert_eq!(serde_json::to_value(&attempt).unwrap(), expected);
    }
}
