//! The data plane: from an accepted connection to an answered request.
//!
//! The client-facing half listens, speaks TLS and HTTP, bounds what a stranger may hold or send, and
//! makes of each request head something that is safe to route and to forward.

#![allow(
    dead_code,
    reason = "the handler that joins these parts arrives after them"
)]

mod admission;
mod cdn_loop;
mod client;
mod client_io;
mod connection;
mod data_plane;
mod forwarded;
mod head;
mod hop;
mod listener;
mod request_id;
mod settings;
mod tls;
mod worker;

#[cfg(test)]
mod wire_tests;

pub use data_plane::DataPlane;
pub use settings::{RuntimeKind, Settings};
