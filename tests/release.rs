//! Releases: what the script prepares, makes and refuses.
//!
//! Each test has a repository of its own, with the files of this one as they are now, so that nothing here is
//! changed and what is not committed yet is tested too.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, and tells its progress on the terminal"
)]
#![allow(missing_docs, reason = "a test program has no callers to document for")]

#[path = "programs/go_module.rs"]
mod go_module;
#[path = "programs/helm.rs"]
mod programs;
#[path = "programs/static_build.rs"]
mod static_build;

mod release {
    mod archives;
    mod bill;
    mod built;
    mod charts;
    mod images;
    mod plugin;
    mod prepared;
    mod refused;
    mod tree;
}
