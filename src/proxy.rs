//! The data plane: from an accepted connection to an answered request.
//!
//! The client-facing half listens, speaks TLS and HTTP, bounds what a stranger may hold or send, and
//! makes of each request head something that is safe to route and to forward.

#![allow(
    dead_code,
    reason = "the handler that joins these parts arrives after them"
)]

mod cdn_loop;
mod forwarded;
mod head;
mod hop;
mod request_id;
