//! As many open files as the system allows.
//!
//! Each proxied request holds two sockets, and the soft limit is often 1024, for the sake of programs
//! that use `select`. Container runtimes leave raising it to the program (Go's runtime does so by
//! itself).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to the hard one. Children, of which there are none, would inherit it.
pub(super) fn raise_open_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => tracing::debug!(from = current, to = maximum, "open files are limited"),
        Err(error) => tracing::warn!(%error, limit = current, "open files stay limited"),
    }
}
