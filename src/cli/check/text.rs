//! For people: one line for each problem, then what was looked at.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::problem::{Checked, Difference, Level, Problem};

/// The most objects that are named as taken to exist.
const MOST_NAMES: usize = 8;

/// The text, with colours in it for a stream that takes them out where they are not wanted.
pub(super) fn text(checked: &Checked) -> String {
    let mut text = String::new();
    for problem in checked.problems.iter().filter(|it| it.level != Level::Note) {
        write_problem(&mut text, problem);
    }
    if !text.is_empty() {
        text.push('\n');
    }
    if let Some(difference) = &checked.difference {
        write_difference(&mut text, difference);
    }
    write_assumed(&mut text, checked);
    write_summary(&mut text, checked);
    text
}

fn write_problem(text: &mut String, problem: &Problem) {
    if let Some(position) = &problem.position {
        let _infallible = write!(text, "{position}: ");
    }
    let style = style(problem.level);
    let (level, code) = (problem.level.as_str(), problem.code.as_str());
    let _infallible = write!(text, "{style}{level}[{code}]{style:#} ");
    if let Some(object) = &problem.object {
        let _infallible = write!(text, "{object}: ");
    }
    text.push_str(&problem.message.replace('\n', " "));
    if let Some(source) = &problem.source {
        let _infallible = write!(text, " (made from {source})");
    }
    text.push('\n');
}

fn write_difference(text: &mut String, difference: &Difference) {
    let Difference {
        with,
        changes,
        unread,
    } = difference;
    let heading = match changes.len() {
        0 => format!("Compared with {with}, nothing changes for clients."),
        _ => format!("Compared with {with}, this changes for clients:"),
    };
    let _infallible = writeln!(text, "{heading}");
    for change in changes {
        let _infallible = writeln!(text, "  {}", change.sentence());
    }
    for unread in unread {
        let _infallible = writeln!(text, "  not compared, since {unread}");
    }
    text.push('\n');
}

fn style(level: Level) -> Style {
    match level {
        Level::Error => AnsiColor::Red.on_default().bold(),
        Level::Warning => AnsiColor::Yellow.on_default(),
        Level::Note => Style::new().dimmed(),
    }
}

fn write_assumed(text: &mut String, checked: &Checked) {
    let Some(more) = checked.assumed.len().checked_sub(1) else {
        return;
    };
    let names = checked.assumed.iter().take(MOST_NAMES);
    let names: Vec<String> = names.map(ToString::to_string).collect();
    let rest = match more + 1 - names.len() {
        0 => String::new(),
        rest => format!(" and {rest} more"),
    };
    let _infallible = writeln!(
        text,
        "not among the files, and taken to be in the cluster: {}{rest} (--with DIR reads them, \
         --complete says that they do not exist)",
        names.join(", ")
    );
}

fn write_summary(text: &mut String, checked: &Checked) {
    let mut looked = format!(
        "{} and {} in {}",
        several(checked.ingresses, "Ingress", "Ingresses"),
        several(checked.policies, "GatewayPolicy", "GatewayPolicies"),
        several(checked.files, "file", "files"),
    );
    if checked.elsewhere > 0 {
        let others = match checked.one_namespace {
            true => "classes or namespaces",
            false => "classes",
        };
        let _infallible = write!(
            looked,
            " ({} of other {others} left alone)",
            several(checked.elsewhere, "Ingress", "Ingresses")
        );
    }
    let (errors, warnings) = (checked.count(Level::Error), checked.count(Level::Warning));
    let _infallible = writeln!(
        text,
        "{looked}: {}, {}",
        several(errors, "error", "errors"),
        several(warnings, "warning", "warnings"),
    );
}

/// A number of things.
pub(super) fn several(number: usize, one: &str, many: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {many}"),
    }
}
