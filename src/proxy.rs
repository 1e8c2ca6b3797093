//! The data plane: from an accepted connection to an answered request.
//!
//! The client-facing half listens, speaks TLS and HTTP, bounds what a stranger may hold or send, and
//! makes of each request head something that is safe to route and to forward. The upstream-facing
//! half tries endpoints until there is an answer, and makes of it what the client gets.

mod account;
mod admission;
mod affinity;
mod answer;
mod attempts;
mod cdn_loop;
mod client;
mod client_io;
mod clock;
pub mod compile;
mod connection;
mod data_plane;
mod forwarded;
mod grpc;
mod h2_streams;
pub mod handler;
mod head;
mod hop;
mod judge;
mod listener;
mod pages;
mod refusal;
mod relay;
mod request_id;
mod response_body;
mod retry;
pub mod serving;
mod settings;
mod tls;
mod tunnel;
mod validate;
mod worker;

#[cfg(test)]
mod wire_tests;

pub use data_plane::DataPlane;
pub use settings::{RuntimeKind, Settings};
