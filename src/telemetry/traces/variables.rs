//! The variables of the environment that say how spans are sent.
//!
//! What is asked for and not offered is refused: passed over, it would be noticed only by spans that never
//! arrive, or that arrive by a way that nobody wanted.

use std::env;
use std::path::PathBuf;

use super::{PROTOCOL, TracesError};

/// What is said for traces alone goes before what is said for everything.
const PREFIXES: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_"];

/// Which exporters are to be used.
const EXPORTER: &str = "OTEL_TRACES_EXPORTER";

/// What may be asked for, and why nothing else.
const OFFERED: [(&str, &[&str], &str); 4] = [
    (
        "PROTOCOL",
        &[PROTOCOL],
        "traces are sent by http/protobuf only, to port 4318 of most collectors",
    ),
    (
        "COMPRESSION",
        &["none"],
        "traces are sent without compression",
    ),
    ("CLIENT_KEY", &[], NO_CLIENT_CERTIFICATE),
    ("CLIENT_CERTIFICATE", &[], NO_CLIENT_CERTIFICATE),
];

const NO_CLIENT_CERTIFICATE: &str = "no certificate is shown to a collector";

/// Empty is as if it were not there, as OpenTelemetry has it.
pub(super) fn set(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether spans are to be sent anywhere.
pub(super) fn are_wanted() -> bool {
    let disabled = set("OTEL_SDK_DISABLED").is_some_and(|it| it.eq_ignore_ascii_case("true"))
        || set(EXPORTER).is_some_and(|it| it == "none");
    !disabled && said("ENDPOINT").is_some()
}

/// Refuses what is not offered.
pub(super) fn check() -> Result<(), TracesError> {
    let exporter = set(EXPORTER).map(|value| (EXPORTER.to_owned(), value));
    refuse(exporter, &["otlp"], "traces are sent by OTLP only")?;
    for (what, offered, why) in OFFERED {
        refuse(said(what), offered, why)?;
    }
    Ok(())
}

/// The file with what a collector is verified by, and where it is named.
pub(super) fn certificate() -> Option<(String, PathBuf)> {
    said("CERTIFICATE").map(|(variable, value)| (variable, value.into()))
}

fn said(what: &str) -> Option<(String, String)> {
    PREFIXES.into_iter().find_map(|prefix| {
        let variable = format!("{prefix}{what}");
        set(&variable).map(|value| (variable, value))
    })
}

fn refuse(
    said: Option<(String, String)>,
    offered: &[&str],
    why: &'static str,
) -> Result<(), TracesError> {
    match said {
        Some((variable, value)) if !offered.contains(&&*value) => Err(TracesError::NotOffered {
            variable,
            value,
            why,
        }),
        _ => Ok(()),
    }
}
