//! `/debug/failures?namespace=&ingress=&id=`: what the flight recorder has.

use http::StatusCode;
use serde_json::json;

use crate::telemetry::recorder::{Recorder, Wanted};

use super::{Answer, JSON, answer};

/// All that is kept, or what the query asks for.
pub(super) fn show(recorder: &Recorder, query: &str) -> Answer {
    let wanted = match parse(query) {
        Ok(wanted) => wanted,
        Err(message) => {
            let body = format!("{}\n", json!({"error": message}));
            return answer(StatusCode::BAD_REQUEST, JSON, body);
        }
    };
    let routes = recorder.find(&wanted);
    let body = format!("{:#}\n", json!({"routes": routes}));
    answer(StatusCode::OK, JSON, body)
}

/// Neither names nor ids hold what would have to be decoded.
fn parse(query: &str) -> Result<Wanted<'_>, String> {
    let mut wanted = Wanted::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let part = match key {
            "namespace" => &mut wanted.namespace,
            "ingress" => &mut wanted.ingress,
            "id" => &mut wanted.id,
            _ => return Err(format!("{key:?} is not known here")),
        };
        *part = Some(value).filter(|value| !value.is_empty());
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_left_open() {
        let wanted = parse("namespace=shop&id=&").unwrap();
        assert_eq!(wanted.namespace, Some("shop"));
        assert_eq!((wanted.ingress, wanted.id), (None, None));
        assert_eq!(
            parse("name=shop").unwrap_err(),
            "\"name\" is not known here"
        );
    }
}
