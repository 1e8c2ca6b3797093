//! The charts, as real Helm renders them: no cluster is needed.
//!
//! Every clause of what the chart promises has a test here or, where the API server has the last
//! word, among the cluster tests. `UPDATE_DOCUMENTS=1 cargo test --test chart` writes the chart's README.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, and tells its progress on the terminal"
)]
#![allow(missing_docs, reason = "a test program has no callers to document for")]

#[path = "../programs/go_module.rs"]
mod go_module;
#[path = "../programs/helm.rs"]
mod programs;
#[path = "../programs/values.rs"]
mod values;

mod helm;

mod carried_over;
mod documented;
mod refused;
mod rendered;
mod replaced;
mod rights;
