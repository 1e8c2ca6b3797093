//! The page for people at `/`: everything of the admin port in one place, live.
//!
//! It is compiled in and asks nobody but this port. The policy of its content forbids whatever else a
//! host or a path that a stranger chose could become on it; the script puts texts in as texts alone.

use http::header::{CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};

use super::{Answer, answer};

const PAGE: &str = include_str!("dashboard/page.html");
const STYLE: &str = include_str!("dashboard/page.css");
const SCRIPT: &str = include_str!("dashboard/page.js");

/// What the page may do: show its own style, run its own script, ask its own port.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A part of the page.
pub(super) fn part(path: &str) -> Option<Answer> {
    let (media_type, text) = match path {
        "/" => ("text/html; charset=utf-8", PAGE),
        "/dashboard.css" => ("text/css; charset=utf-8", STYLE),
        "/dashboard.js" => ("text/javascript; charset=utf-8", SCRIPT),
        _ => return None,
    };
    let mut part = answer(StatusCode::OK, media_type, text);
    let fields: [(HeaderName, &'static str); 3] = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in fields {
        part.headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    Some(part)
}
