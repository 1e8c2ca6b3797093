//! The data plane on real sockets: scripted upstreams on one side, a byte-exact client on the other.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod dataplane {
    #[macro_use]
    pub(crate) mod namespace;

    mod balancing;
    mod big_body;
    mod blame;
    mod body;
    mod breaker;
    pub(crate) mod client;
    mod connect;
    mod diagnosis;
    mod dns;
    mod draining;
    mod early_response;
    pub(crate) mod ejection;
    mod ending;
    mod error_pages;
    pub(crate) mod fallback;
    mod fallback_answers;
    mod fallback_health;
    pub(crate) mod gateway;
    mod head;
    mod health_check;
    mod http2;
    mod https;
    mod last_resort;
    pub(crate) mod log;
    mod many;
    pub(crate) mod name_server;
    mod network;
    mod pool;
    mod readmission;
    mod record;
    mod retry;
    pub(crate) mod reuse;
    pub(crate) mod secured;
    mod share;
    mod smuggling;
    mod sticky;
    mod strangers;
    mod trial;
    pub(crate) mod upgrade;
    mod uploads;
    pub(crate) mod upstream_tls;
    mod upstream_tls_connections;
    mod validation;
    mod whole;
}
