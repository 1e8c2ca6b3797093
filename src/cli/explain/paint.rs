//! From lines to text: coloured where that is wanted, wrapped where a terminal has an edge.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::lines::{Line, Tone};

/// As text, with colours in it, for a stream that takes them out where they are not wanted.
pub(super) fn paint(lines: &[Line], width: Option<usize>) -> String {
    let mut text = String::new();
    for line in lines {
        for row in wrap(line, width.unwrap_or(usize::MAX)) {
            write_row(&mut text, &row);
        }
    }
    text
}

type Row = Vec<(Tone, String)>;

fn write_row(text: &mut String, row: &Row) {
    let mut written = String::new();
    for (tone, piece) in row {
        let style = style(*tone);
        let _infallible = write!(written, "{style}{piece}{style:#}");
    }
    text.push_str(written.trim_end());
    text.push('\n');
}

fn style(tone: Tone) -> Style {
    match tone {
        Tone::Plain => Style::new(),
        Tone::Title => Style::new().bold(),
        Tone::Quiet => Style::new().dimmed(),
        Tone::Good => AnsiColor::Green.on_default(),
        Tone::Warning => AnsiColor::Yellow.on_default(),
        Tone::Bad => AnsiColor::Red.on_default().bold(),
    }
}

/// The rows of a line: broken between words, never inside one.
fn wrap(line: &Line, width: usize) -> Vec<Row> {
    let (first, further) = &line.indent;
    let mut rows: Vec<Row> = vec![vec![(Tone::Quiet, first.clone())]];
    let mut used = first.chars().count();
    for (tone, piece) in &line.pieces {
        for word in piece.split_inclusive(' ') {
            let length = word.trim_end().chars().count();
            let begun = used > further.chars().count().max(first.chars().count());
            if begun && used + length > width {
                rows.push(vec![(Tone::Quiet, further.clone())]);
                used = further.chars().count();
            }
            used += word.chars().count();
            if let Some(row) = rows.last_mut() {
                match row.last_mut() {
                    Some((last, text)) if last == tone => text.push_str(word),
                    _ => row.push((*tone, word.to_owned())),
                }
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(lines: &[Line], width: Option<usize>) -> String {
        anstream::adapter::strip_str(&paint(lines, width)).to_string()
    }

    fn line(indent: (&str, &str), text: &str) -> Line {
        Line {
            indent: (indent.0.to_owned(), indent.1.to_owned()),
            pieces: vec![(Tone::Plain, text.to_owned())],
        }
    }

    #[test]
    fn a_long_line_goes_on_below_its_beginning() {
        let text = line(("├─ ", "│    "), "one two three four");
        assert_eq!(
            plain(&[text], Some(12)),
            "├─ one two\n│    three\n│    four\n"
        );
    }

    #[test]
    fn without_an_edge_nothing_is_wrapped() {
        let text = line(("  ", "    "), &"word ".repeat(100));
        assert_eq!(plain(&[text], None).lines().count(), 1);
    }

    #[test]
    fn a_word_is_never_broken() {
        let text = line(("", ""), "a verylongwordindeed b");
        assert_eq!(plain(&[text], Some(5)), "a\nverylongwordindeed\nb\n");
    }
}
