//! Times, ports and the like, as people read them.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::facts::{name, namespace};

/// A span of time in its largest unit.
pub(super) fn duration(span: SignedDuration) -> String {
    let seconds = span.as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// How long ago something was.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> String {
    format!("{} ago", duration(now.duration_since(at)))
}

/// A moment, with its day where that is another one.
pub(super) fn moment(at: Timestamp, now: Timestamp) -> String {
    let day = |time: Timestamp| time.strftime("%Y-%m-%d").to_string();
    let form = if day(at) == day(now) {
        "%H:%M:%S UTC"
    } else {
        "%Y-%m-%d %H:%M:%S UTC"
    };
    at.strftime(form).to_string()
}

/// A port of a Service, by number and name.
pub(super) fn port(port: &ServicePort) -> String {
    match &port.name {
        Some(name) => format!("{} ({name})", port.port),
        None => port.port.to_string(),
    }
}

/// As it is written.
pub(super) fn int_or_string(value: &IntOrString) -> String {
    match value {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(text) => text.clone(),
    }
}

/// `namespace/service:port`.
pub(super) fn upstream(service: &Service, port: &ServicePort) -> String {
    format!("{}/{}:{}", namespace(service), name(service), port.port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_the_unit_that_matters() {
        for (seconds, text) in [
            (-3, "0 s"),
            (59, "59 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7_200, "2 h"),
            (200_000, "2 days"),
        ] {
            assert_eq!(duration(SignedDuration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn another_day_is_named() {
        let at = "2026-01-01T10:00:00Z".parse().unwrap();
        let later = "2026-01-02T09:00:00Z".parse().unwrap();
        assert_eq!(moment(at, at), "10:00:00 UTC");
        assert_eq!(moment(at, later), "2026-01-01 10:00:00 UTC");
        assert_eq!(ago(at, later), "23 h ago");
    }
}
