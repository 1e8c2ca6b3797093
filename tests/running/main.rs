//! Running the program: what it says, when it is ready, and how it ends. The real program, as a
//! child process, on real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and shows then what the program said"
)]

mod access_log;
mod browser;
mod dashboard;
mod directory;
mod ending;
mod failures;
mod from_nginx;
mod http;
mod manifests;
mod metrics;
mod monitoring;
mod nowhere;
mod overload;
mod pages;
mod policy;
mod probe;
mod program;
mod readiness;
mod traces;
mod upstream;
mod upstream_tls;
mod usage;
