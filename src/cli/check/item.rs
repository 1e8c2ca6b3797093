//! What was found about a cluster, one line each.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::reference::DOCUMENTS;

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
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
    /// Where the documents say what is looked at, and more of what to do.
    pub(super) link: String,
}

impl Item {
    pub(super) fn ok(name: &'static str, message: impl Into<String>) -> Self {
        Self {
            name,
            verdict: Verdict::Ok,
            message: message.into(),
            next: None,
            link: format!("{DOCUMENTS}/check.html#{name}"),
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
            let _infallible = writeln!(text, "    {quiet}{}{quiet:#}", item.link);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../../docs/check.md");

    /// All that [`Item::name`] may be.
    const NAMES: [&str; 7] = [
        "version",
        "definition",
        "rights",
        "class",
        "address",
        "leader",
        "replicas",
    ];

    #[test]
    fn what_is_looked_at_has_a_section_to_which_its_link_leads() {
        let headings: Vec<&str> = PAGE
            .lines()
            .filter_map(|line| line.strip_prefix("### "))
            .collect();
        assert_eq!(headings, NAMES);
        for name in NAMES {
            let link = format!("https://bywash.dev/docs/check.html#{name}");
            assert_eq!(Item::ok(name, "well").link, link);
        }
    }

    #[test]
    fn the_link_stands_below_what_is_not_well() {
        let items = [
            Item::ok("version", "new"),
            Item::warning("leader", "nobody leads", "wait"),
        ];
        let text = anstream::adapter::strip_str(&text(&items)).to_string();
        let leader = "‼ nobody leads\n    wait\n    https://bywash.dev/docs/check.html#leader\n";
        assert_eq!(text, format!("√ new\n{leader}"));
    }
}
