//! Bywash: an ingress controller that gets requests past a failing upstream and, when it cannot,
//! says why. `ARCHITECTURE.md` shows how the modules fit together.

pub mod admin;
pub mod api;
pub mod app;
pub mod cli;
pub mod config;
pub mod diagnose;
mod dns;
pub mod failure;
pub mod faults;
pub mod leader;
pub mod proxy;
pub mod reconcile;
pub mod report;
pub mod routing;
pub mod status;
pub mod stores;
pub mod telemetry;
pub mod translate;
pub mod upstream;
