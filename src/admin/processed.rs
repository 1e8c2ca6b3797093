//! Which version of each object this replica serves, and waiting for one.
//!
//! Whoever changed an object (a test, a rollout) asks for the `resourceVersion` that the API server
//! answered with and waits until the traffic follows it: no polling of the effect, no sleep.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use tokio::sync::watch;

use crate::report::version::is_at_least;
use crate::report::{Kind, ObjectRef};

use super::{Answer, JSON, answer};

/// How long a request waits that does not say.
const PATIENCE: Duration = Duration::from_secs(30);

/// And how long it may ask for.
const MOST_PATIENCE: Duration = Duration::from_secs(600);

/// What is served now.
#[derive(Clone, Debug, Default)]
pub struct Processed {
    /// The `resourceVersion` of each object that exists, readable or not.
    pub versions: Arc<HashMap<ObjectRef, String>>,
    /// Counts the snapshots served; 0 before the first.
    pub generation: u64,
}

/// What to wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    object: ObjectRef,
    state: State,
    patience: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// This version or a later one.
    Version(String),
    /// Any version.
    Present,
    /// No longer there.
    Absent,
}

/// Waits for what the query asks for: 200 when it is served, 504 when it was not in time.
pub(super) async fn wait(mut processed: watch::Receiver<Processed>, query: &str) -> Answer {
    let wanted = match Wanted::parse(query) {
        Ok(wanted) => wanted,
        Err(message) => return reply(StatusCode::BAD_REQUEST, &json!({"error": message})),
    };
    let waiting = processed.wait_for(|now| wanted.is_met(now));
    let status = match tokio::time::timeout(wanted.patience, waiting).await {
        Ok(Ok(_)) => StatusCode::OK,
        Ok(Err(_)) => StatusCode::SERVICE_UNAVAILABLE,
        Err(_) => StatusCode::GATEWAY_TIMEOUT,
    };
    let now = processed.borrow().clone();
    let body = json!({
        "processed": status == StatusCode::OK,
        "kind": wanted.object.kind.as_str(),
        "namespace": &*wanted.object.namespace,
        "name": &*wanted.object.name,
        "resourceVersion": now.versions.get(&wanted.object),
        "generation": now.generation,
    });
    reply(status, &body)
}

fn reply(status: StatusCode, body: &serde_json::Value) -> Answer {
    answer(status, JSON, format!("{body}\n"))
}

impl Wanted {
    /// `kind=&namespace=&name=` and `resourceVersion=` (or `absent=true`), `timeout=` in seconds.
    fn parse(query: &str) -> Result<Self, String> {
        let (mut kind, mut namespace, mut name) = (None, "", None);
        let (mut state, mut patience) = (State::Present, PATIENCE);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match key {
                "kind" => kind = Some(value),
                "namespace" => namespace = value,
                "name" => name = Some(value),
                "resourceVersion" => state = State::Version(value.to_owned()),
                "absent" if value == "true" => state = State::Absent,
                "timeout" => {
                    let seconds = value.trim_end_matches('s').parse().ok();
                    let seconds: u64 = seconds.ok_or("timeout is not a number of seconds")?;
                    patience = Duration::from_secs(seconds).min(MOST_PATIENCE);
                }
                _ => return Err(format!("{key:?} is not known here")),
            }
        }
        let kind = kind.ok_or("kind is missing")?;
        let kind = Kind::parse(kind).ok_or_else(|| format!("{kind:?} is not a watched kind"))?;
        let object = ObjectRef {
            kind,
            namespace: namespace.into(),
            name: name.ok_or("name is missing")?.into(),
        };
        Ok(Self {
            object,
            state,
            patience,
        })
    }

    fn is_met(&self, now: &Processed) -> bool {
        if now.generation == 0 {
            return false;
        }
        match (&self.state, now.versions.get(&self.object)) {
            (State::Absent, known) => known.is_none(),
            (State::Present, known) => known.is_some(),
            (State::Version(_), None) => false,
            (State::Version(wanted), Some(known)) => is_at_least(known, wanted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cart() -> ObjectRef {
        ObjectRef {
            kind: Kind::Ingress,
            namespace: "shop".into(),
            name: "cart".into(),
        }
    }

    fn serving(version: Option<&str>) -> Processed {
        let known = version.map(|version| (cart(), version.to_owned()));
        Processed {
            versions: Arc::new(known.into_iter().collect()),
            generation: 1,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_waits_until_the_version_is_served() {
        let (sender, receiver) = watch::channel(Processed::default());
        let query = "kind=ingress&namespace=shop&name=cart&resourceVersion=7";
        let waiting = tokio::spawn(async move { wait(receiver, query).await });
        tokio::task::yield_now().await;
        sender.send_replace(serving(Some("6")));
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        sender.send_replace(serving(Some("8")));
        assert_eq!(waiting.await.unwrap().status(), StatusCode::OK);
    }

    #[tokio::test(start_paused = true)]
    async fn it_does_not_wait_for_ever() {
        let (_sender, receiver) = watch::channel(serving(None));
        let query = "kind=Ingress&namespace=shop&name=cart&resourceVersion=7&timeout=2";
        let before = tokio::time::Instant::now();
        let answer = wait(receiver, query).await;
        assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(before.elapsed().as_secs(), 2);
    }

    #[tokio::test]
    async fn an_object_that_is_gone_can_be_waited_for_but_not_before_anything_was_read() {
        let wanted = Wanted::parse("kind=Ingress&namespace=shop&name=cart&absent=true").unwrap();
        assert!(!wanted.is_met(&Processed::default()));
        assert!(!wanted.is_met(&serving(Some("7"))));
        assert!(wanted.is_met(&serving(None)));
    }

    #[tokio::test]
    async fn a_query_that_is_not_understood_is_refused() {
        let (_sender, receiver) = watch::channel(serving(None));
        for query in [
            "",
            "kind=Pod&name=a",
            "kind=Ingress",
            "kind=Ingress&name=a&resourceversion=1",
        ] {
            let answer = wait(receiver.clone(), query).await;
            assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{query}");
        }
    }
}
