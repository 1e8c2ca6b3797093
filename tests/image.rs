//! The image: what it holds, that it is the same each time, and that the program runs with nothing else.
//!
//! No engine is needed. The archive is unpacked, and the program runs inside the image's root as an engine
//! would run it: as its user, without capabilities, on a file system that is read-only.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "dataplane/name_server.rs"]
#[expect(dead_code, reason = "shared with tests that use all of it")]
mod name_server;
#[path = "dataplane/namespace.rs"]
#[expect(
    dead_code,
    unused_macros,
    reason = "shared with tests that use all of it"
)]
mod namespace;
#[path = "programs/static_build.rs"]
mod static_build;

mod image {
    mod alone;
    mod archive;
    mod unpacked;
}
