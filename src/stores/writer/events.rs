//! One Event per object and reason.
//!
//! Its name follows from what it is about, so that there is one for each (installation, object,
//! reason), whoever writes it: a new leader or a restarted process finds the one that exists and
//! leaves it as it is while it still says the same. It is of `v1`, not of `events.k8s.io/v1`, whose
//! notes cannot be changed once written: a defect that changes would leave its old text beside the
//! new one for an hour.
//!
//! The API server forgets Events after an hour by default; one that still holds is therefore
//! repeated every half hour, as Kubernetes' own recorders do.

use std::time::Duration;

use k8s_openapi::api::core::v1::Event;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::{WriteError, Writer};
use crate::report::ObjectRef;
use crate::stores::installation::stable_hash;

/// The longest `message`, in bytes.
const LONGEST_MESSAGE: usize = 1024;

/// Of the name, what may be the name of the object; the rest is the hash.
const LONGEST_NAME: usize = 253 - 17;

/// Who reports.
#[derive(Clone, Debug, Default)]
pub struct EventSource {
    /// The controller's name.
    pub controller: String,
    /// This replica: the name of its Pod.
    pub instance: String,
}

/// What an Event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    /// About which object.
    pub object: ObjectRef,
    /// Which incarnation of it.
    pub uid: String,
    /// In CamelCase.
    pub reason: &'static str,
    /// For people; cut to 1,024 bytes.
    pub message: String,
    /// Whether something is wrong.
    pub warns: bool,
}

/// How often it was said.
#[derive(Debug, PartialEq, Eq)]
struct Series {
    first: Timestamp,
    count: i32,
}

impl EventRecord {
    /// After which an Event that still holds is said again.
    pub const REFRESH: Duration = Duration::from_secs(30 * 60);
}

impl Writer {
    /// Makes the Event say this: nothing is written if it does already, and lately.
    pub async fn record(&self, record: &EventRecord) -> Result<(), WriteError> {
        // An Event about a cluster-scoped object is in the namespace "default".
        let namespace = match &*record.object.namespace {
            "" => "default",
            namespace => namespace,
        };
        let api = Api::<Event>::namespaced(self.client.clone(), namespace);
        let name = self.event_name(record);
        let existing = api
            .get_opt(&name)
            .await
            .map_err(|error| WriteError::of(error, "get events"))?;
        let now = Timestamp::now();
        let message = cut(&record.message);
        let Some(series) = next(existing.as_ref(), message, now) else {
            return Ok(());
        };
        let object = &record.object;
        let intent = json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": {
                "apiVersion": object.kind.api_version(),
                "kind": object.kind.as_str(),
                "namespace": &*object.namespace,
                "name": &*object.name,
                "uid": record.uid,
            },
            "type": if record.warns { "Warning" } else { "Normal" },
            "reason": record.reason,
            "message": message,
            "count": series.count,
            "firstTimestamp": seconds(series.first),
            "lastTimestamp": seconds(now),
            "source": {"component": self.source.controller},
            "reportingComponent": self.source.controller,
            "reportingInstance": self.source.instance,
        });
        let params = PatchParams::apply(&self.field_manager).force();
        let result = api
            .patch(&name, &params, &Patch::Apply(intent))
            .await
            .map(drop)
            .map_err(|error| WriteError::of(error, "create and patch events"));
        self.counts.count("Event", result)
    }

    fn event_name(&self, record: &EventRecord) -> String {
        let object = &record.object;
        let hash = stable_hash([
            self.field_manager.as_bytes(),
            object.kind.as_str().as_bytes(),
            object.namespace.as_bytes(),
            object.name.as_bytes(),
            record.uid.as_bytes(),
            record.reason.as_bytes(),
        ]);
        let readable: String = object.name.chars().take(LONGEST_NAME).collect();
        format!("{}.{hash:016x}", readable.trim_end_matches(['.', '-']))
    }
}

/// What the Event has to become, if it has to change.
fn next(existing: Option<&Event>, message: &str, now: Timestamp) -> Option<Series> {
    let Some(existing) = existing else {
        return Some(Series {
            first: now,
            count: 1,
        });
    };
    let said = |time: Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| {
        time.map(|time| time.0)
    };
    let last = said(existing.last_timestamp.as_ref());
    let recent =
        last.is_some_and(|last| now.duration_since(last).unsigned_abs() < EventRecord::REFRESH);
    if recent && existing.message.as_deref() == Some(message) {
        return None;
    }
    Some(Series {
        first: said(existing.first_timestamp.as_ref()).unwrap_or(now),
        count: existing.count.unwrap_or(0).saturating_add(1),
    })
}

/// Kubernetes' `Time` has whole seconds.
fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// At most the longest message, whole characters only.
fn cut(message: &str) -> &str {
    &message[..message.floor_char_boundary(LONGEST_MESSAGE)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn existing(message: &str, first: &str, last: &str, count: i32) -> Event {
        serde_json::from_value(json!({
            "metadata": {}, "involvedObject": {},
            "message": message, "count": count, "firstTimestamp": first, "lastTimestamp": last,
        }))
        .unwrap()
    }

    const NINE: &str = "2026-01-01T09:00:00Z";
    const TEN: &str = "2026-01-01T10:00:00Z";

    #[test]
    fn what_was_never_said_is_said_for_the_first_time() {
        let first = at(TEN);
        assert_eq!(next(None, "a", first), Some(Series { first, count: 1 }));
    }

    #[test]
    fn what_was_said_lately_is_not_said_again_not_even_by_a_new_process() {
        let event = existing("a", NINE, TEN, 3);
        assert_eq!(next(Some(&event), "a", at("2026-01-01T10:29:59Z")), None);
    }

    #[test]
    fn what_still_holds_is_said_again_before_the_server_forgets_it() {
        let event = existing("a", NINE, TEN, 3);
        let series = next(Some(&event), "a", at("2026-01-01T10:30:00Z"));
        assert_eq!(
            series,
            Some(Series {
                first: at(NINE),
                count: 4
            })
        );
    }

    #[test]
    fn a_text_that_changed_is_said_at_once_in_the_same_event() {
        let event = existing("a", NINE, TEN, 3);
        let series = next(Some(&event), "b", at(TEN));
        assert_eq!(
            series,
            Some(Series {
                first: at(NINE),
                count: 4
            })
        );
    }

    #[test]
    fn a_message_is_cut_to_what_the_server_takes_and_between_characters() {
        let long = "ä".repeat(2000);
        assert_eq!(cut(&long).len(), LONGEST_MESSAGE);
        assert_eq!(cut(&long[..1000]), &long[..1000]);
        assert_eq!(cut(&format!("a{long}")).len(), LONGEST_MESSAGE - 1);
    }
}
