//! Telling on stderr what is wrong with the manifests, as it appears and disappears.

use std::collections::BTreeSet;
use std::io::Write as _;

use tokio::sync::watch;

use crate::admin::debug::State;
use crate::config::LogFormat;
use crate::report::Finding;
use crate::telemetry::spool::Spool;

/// Tells each finding once when it appears, and once when it is gone, until nothing is served any
/// more.
pub(super) async fn tell(mut state: watch::Receiver<State>, log: Spool, format: LogFormat) {
    let mut told: BTreeSet<Finding> = BTreeSet::new();
    while state.changed().await.is_ok() {
        let now: BTreeSet<Finding> = {
            let state = state.borrow_and_update();
            state.findings.iter().cloned().collect()
        };
        for finding in now.difference(&told) {
            say(&log, format, &finding.to_string());
        }
        for finding in told.difference(&now) {
            say(&log, format, &format!("fixed: {finding}"));
        }
        told = now;
    }
}

fn say(log: &Spool, format: LogFormat, text: &str) {
    match format {
        LogFormat::Text => {
            log.append(0, |lines| {
                let _writing_to_memory_cannot_fail = writeln!(lines, "{}", text.replace('\n', " "));
            });
        }
        LogFormat::Json => tracing::warn!(finding = text, "finding"),
    }
}
