//! How an explanation looks: lines of pieces, each with a tone that a terminal may colour.
//!
//! Nothing is told by colour alone: what is bad begins with a sign and says so in words.

use jiff::Timestamp;

use super::picture::{Endpoint, Explained, Host, Level, Path, Picture, Remark};
use super::words;

/// How a piece of text stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Title,
    Quiet,
    Good,
    Warning,
    Bad,
}

/// A line: its indentation, and its pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// What stands before it, and before each further row where it is wrapped.
    pub(super) indent: (String, String),
    pub(super) pieces: Vec<(Tone, String)>,
}

impl Line {
    fn new(indent: &str, pieces: impl IntoIterator<Item = (Tone, String)>) -> Self {
        let further = indent.replace("├─ ", "│  ").replace("└─ ", "   ");
        Self {
            indent: (indent.to_owned(), further),
            pieces: pieces.into_iter().collect(),
        }
    }

    /// Text that is wrapped this much further in.
    fn hanging(mut self, by: usize) -> Self {
        self.indent.1 += &" ".repeat(by);
        self
    }
}

/// The whole. Among `many`, one that is well gets a line.
pub(super) fn lines(picture: &Picture, many: bool) -> Vec<Line> {
    let mut lines = Vec::new();
    let is_brief = |object: &Explained| many && object.level < Level::Warning;
    let mut was_brief = true;
    for object in &picture.objects {
        let brief = is_brief(object);
        let apart = !brief || !was_brief;
        if apart && !lines.is_empty() {
            lines.push(Line::default());
        }
        was_brief = brief;
        lines.push(title(object));
        if !brief {
            explained(object, picture.time, &mut lines);
        }
    }
    if picture.objects.is_empty() {
        let text = "There is nothing of Bywash's here; -n NAMESPACE or -A looks elsewhere.";
        lines.push(Line::new("", [(Tone::Plain, text.to_owned())]));
    }
    if !picture.live.is_empty() || !picture.unread.is_empty() {
        lines.push(Line::default());
    }
    if !picture.live.is_empty() {
        let text = format!("With the live view of {}.", picture.live.join(", "));
        lines.push(Line::new("", [(Tone::Quiet, text)]));
    }
    for text in &picture.unread {
        let text = format!("Not read: {text}.");
        lines.push(Line::new("", [(Tone::Quiet, text)]).hanging(2));
    }
    lines
}

fn title(object: &Explained) -> Line {
    let title = format!("{} {}/{}", object.kind, object.namespace, object.name);
    let (tone, sign) = sign(object.level);
    let pieces = [
        (Tone::Title, title),
        (Tone::Plain, "  ".to_owned()),
        (tone, format!("{sign} {}", object.verdict)),
    ];
    Line::new("", pieces)
}

fn explained(object: &Explained, now: Timestamp, lines: &mut Vec<Line>) {
    let width = object.about.iter().map(|(label, _)| label.len()).max();
    for (label, text) in &object.about {
        let label = format!("{label:<width$}  ", width = width.unwrap_or_default());
        let hanging = label.len();
        let line = [(Tone::Quiet, label), (Tone::Plain, text.clone())];
        lines.push(Line::new("  ", line).hanging(hanging));
    }
    for said in &object.remarks {
        remark(said, "  ", now, lines);
    }
    for host in &object.hosts {
        tree(host, now, lines);
    }
}

/// A remark that stands for itself: what is the case, then the sentence.
fn remark(said: &Remark, indent: &str, now: Timestamp, lines: &mut Vec<Line>) {
    let (tone, sign) = sign(said.level);
    let mut head = vec![(tone, format!("{sign} {}", said.reason))];
    let mut aside = Vec::new();
    if let Some(since) = said.since {
        let ago = words::ago(since, now);
        aside.push(format!("since {} ({ago})", words::moment(since, now)));
    }
    if let Some(last) = said.last.filter(|last| Some(*last) != said.since) {
        aside.push(format!("last said {}", words::ago(last, now)));
    }
    if !said.from.is_empty() {
        aside.push(format!("says {}", said.from));
    }
    if !aside.is_empty() {
        head.push((Tone::Quiet, format!("  {}", aside.join(", "))));
    }
    lines.push(Line::new(indent, head).hanging(2));
    let text = said.message.clone();
    lines.push(Line::new(&format!("{indent}  "), [(Tone::Plain, text)]));
}

fn tree(host: &Host, now: Timestamp, lines: &mut Vec<Line>) {
    let name = match host.host.as_str() {
        "*" => "every host".to_owned(),
        name => name.to_owned(),
    };
    lines.push(Line::new("  ", [(Tone::Title, name)]));
    for (index, path) in host.paths.iter().enumerate() {
        let last = index + 1 == host.paths.len();
        let (branch, below) = if last {
            ("└─ ", "   ")
        } else {
            ("├─ ", "│  ")
        };
        rule(
            path,
            (&format!("  {branch}"), &format!("  {below}")),
            now,
            lines,
        );
    }
}

fn rule(path: &Path, (indent, below): (&str, &str), now: Timestamp, lines: &mut Vec<Line>) {
    let what = match (&path.path, &path.path_type) {
        (Some(path), Some(kind)) => format!("{path} ({kind})"),
        (Some(path), None) => path.clone(),
        (None, _) => "anything else".to_owned(),
    };
    let mut pieces = vec![(Tone::Plain, format!("{what} → {}", path.backend))];
    if path.level() == Level::Problem && path.endpoints.len() > 5 {
        pieces.push((Tone::Bad, "  × failing".to_owned()));
    }
    lines.push(Line::new(indent, pieces).hanging(2));
    let rows = path.remarks.len() + path.endpoints.len();
    let branch = |row: usize| {
        let branch = if row + 1 == rows {
            "└─ "
        } else {
            "├─ "
        };
        format!("{below}{branch}")
    };
    for (row, said) in path.remarks.iter().enumerate() {
        let (tone, sign) = sign(said.level);
        let since = said
            .since
            .map(|at| format!(", since {}", words::moment(at, now)));
        let text = format!(": {}{}", said.message, since.unwrap_or_default());
        let head = format!("{sign} {}", said.reason);
        let pieces = [(tone, head), (Tone::Plain, text)];
        lines.push(Line::new(&branch(row), pieces).hanging(2));
    }
    let addresses = path.endpoints.iter().map(|it| it.address.len()).max();
    let pods = path
        .endpoints
        .iter()
        .filter_map(|it| it.pod.as_ref())
        .map(String::len)
        .max();
    let widths = (addresses.unwrap_or_default(), pods.unwrap_or_default());
    for (row, it) in path.endpoints.iter().enumerate() {
        let indent = branch(path.remarks.len() + row);
        lines.push(Line::new(&indent, endpoint(it, widths)).hanging(2));
    }
}

fn endpoint(it: &Endpoint, (addresses, pods): (usize, usize)) -> Vec<(Tone, String)> {
    let (tone, sign) = sign(it.level);
    let pod = it.pod.as_deref().unwrap_or_default();
    let pod = if pods == 0 {
        String::new()
    } else {
        format!("  {pod:<pods$}")
    };
    vec![
        (tone, format!("{sign} ")),
        (Tone::Plain, format!("{:<addresses$}{pod}  ", it.address)),
        (
            if it.level == Level::Good {
                Tone::Quiet
            } else {
                tone
            },
            it.state.clone(),
        ),
    ]
}

fn sign(level: Level) -> (Tone, &'static str) {
    match level {
        Level::Good => (Tone::Good, "√"),
        Level::Note => (Tone::Quiet, "·"),
        Level::Warning => (Tone::Warning, "‼"),
        Level::Problem => (Tone::Bad, "×"),
    }
}
