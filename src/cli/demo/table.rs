//! How the demonstration looks.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use super::rows::{Got, Row};

/// The widths of the columns but the last.
const WIDTHS: [usize; 5] = [23, 40, 21, 28, 10];

fn columns(cells: [&str; 6]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(WIDTHS) {
        let _writing_to_a_text_cannot_fail = write!(line, "{cell:<width$}");
    }
    line + cells[5] + "\n"
}

pub(super) fn heading() -> String {
    let heading = columns([
        "route",
        "the upstream …",
        "the client got",
        "cause",
        "attempts",
        "as expected",
    ]);
    let rule = "─".repeat(WIDTHS.iter().sum::<usize>() + "as expected".len());
    format!("{heading}{rule}\n")
}

pub(super) fn line(row: &Row, got: &Got) -> String {
    let expected = &row.expected;
    let verdict = if row.expects(got) {
        "yes".to_owned()
    } else {
        format!(
            "NO: {}, {}, {}",
            expected.got,
            or_dash(expected.cause),
            expected.attempts
        )
    };
    columns([
        &format!("{} {}", row.ask.name(), row.path),
        &row.upstream(),
        &got.got,
        or_dash(&got.cause),
        &got.attempts.to_string(),
        &verdict,
    ])
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "–" } else { text }
}

pub(super) fn summary(rows: usize, wrong: usize) -> String {
    match wrong {
        0 => format!("\nAll {rows} rows are as expected.\n"),
        _ => format!("\n{wrong} of {rows} rows are NOT as expected.\n"),
    }
}

pub(super) fn next_steps(address: SocketAddr, manifests: &Path) -> String {
    format!(
        "
Serving http://{address} until interrupted (Ctrl-C). A request's line in the log follows it here.
  curl -i http://{address}/reset-once    # every second request is reset, none fails
  curl -i http://{address}/reset         # nothing can heal this; Proxy-Status says why
  curl -i http://{address}/truncate      # what is cut short must not look whole: curl complains
The routes are the manifests in {}; what you change there is served at once.
",
        manifests.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::rows::ROWS;

    #[test]
    fn every_cell_fits_its_column() {
        for row in ROWS {
            let route = format!("{} {}", row.ask.name(), row.path);
            let upstream = row.upstream();
            let cells = [&*route, &upstream, row.expected.got, row.expected.cause];
            for (cell, width) in cells.iter().zip(WIDTHS) {
                assert!(cell.chars().count() < width, "{cell}");
            }
        }
    }

    #[test]
    fn a_row_that_is_not_as_expected_says_what_was() {
        let got = Got {
            got: "500".to_owned(),
            cause: String::new(),
            attempts: 1,
        };
        let line = line(&ROWS[2], &got);
        assert!(
            line.ends_with("NO: 200, connection_refused, healed, 2\n"),
            "{line}"
        );
    }
}
