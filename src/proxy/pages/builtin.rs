//! The pages that are built in.

use std::sync::LazyLock;

use http::StatusCode;
use serde_json::json;

use crate::failure::status_word;
use crate::routing::pages::{Engine, Form, PageName, PageStatus, Shown};

/// The only one that is a template.
const HTML: &str = include_str!("error.html");

const NAME: PageName = PageName {
    form: Form::Html,
    status: PageStatus::Class(5),
};

static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let mut engine = Engine::default();
    // A test renders it.
    let _ = engine.add(NAME, HTML);
    engine
});

/// The page in a form.
pub(super) fn page(form: Form, shown: &Shown<'_>) -> String {
    match form {
        Form::Html => ENGINE.render(NAME, shown).unwrap_or_else(|_| text(shown)),
        Form::Json => json!({
            "error": StatusCode::from_u16(shown.status).map_or_else(|_| "error".into(), status_word),
            "request_id": shown.request_id,
        })
        .to_string(),
        Form::Problem => json!({
            "title": shown.title,
            "status": shown.status,
            "detail": shown.cause,
            "request_id": shown.request_id,
        })
        .to_string(),
        Form::Text => text(shown),
    }
}

fn text(shown: &Shown<'_>) -> String {
    let Shown {
        status,
        title,
        cause,
        request_id,
        retry_after: _,
    } = shown;
    format!("{status} {title}\n{cause}\nRequest ID: {request_id}\n")
}
