//! What was found about a cluster, one line each.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Ok,
    /// It works, or it cannot be told.
    Warning,
    Failed,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Item {
    /// A word for scripts.
    pub(super) name: &'static str,
    pub(super) verdict: Verdict,
    pub(super) message: String,
    /// What to do, or where that stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
}

impl Item {
    pub(super) fn ok(name: &'static str, message: impl Into<String>) -> Self {
        Self {
            name,
            verdict: Verdict::Ok,
            message: message.into(),
            next: None,
        }
    }

    pub(super) fn warning(name: &'static str, message: impl Into<String>, next: &str) -> Self {
        Self {
            verdict: Verdict::Warning,
            next: Some(next.to_owned()),
            ..Self::ok(name, message)
        }
    }

    pub(super) fn failed(name: &'static str, message: impl Into<String>, next: &str) -> Self {
        Self {
            verdict: Verdict::Failed,
            ..Self::warning(name, message, next)
        }
    }
}

/// Whether something has to be mended.
pub(super) fn fails(items: &[Item]) -> bool {
    items.iter().any(|item| item.verdict == Verdict::Failed)
}

/// For people, with colours for a stream that takes them out where they are not wanted.
pub(super) fn text(items: &[Item]) -> String {
    let mut text = String::new();
    for item in items {
        let (sign, style) = match item.verdict {
            Verdict::Ok => ("√", AnsiColor::Green.on_default()),
            Verdict::Warning => ("‼", AnsiColor::Yellow.on_default()),
            Verdict::Failed => ("×", AnsiColor::Red.on_default().bold()),
        };
        let _infallible = writeln!(text, "{style}{sign}{style:#} {}", item.message);
        if let Some(next) = &item.next {
            let quiet = Style::new().dimmed();
            let _infallible = writeln!(text, "    {quiet}{next}{quiet:#}");
        }
    }
    text
}
