//! From what was observed to what is said about it: pure, so that each rule can be read and tested alone.
//!
//! Every replica keeps a window over its own routes ([`window`]) and reports it. Whoever leads adds
//! the replicas up ([`merge`]), decides with some inertia what is true of each object
//! ([`hysteresis`], [`judge`]), and puts it into words. [`advise`] explains a cause with what
//! Kubernetes says about the upstream, and ends in what to do. Nothing here waits or reads a clock;
//! times are seconds since 1970.

pub mod advice;
pub mod answer_times;
pub mod generations;
pub mod hysteresis;
pub mod judge;
pub mod merge;
pub mod replica;
pub mod window;
mod wording;

pub use advice::{Advice, advise};
pub use wording::SAMPLE;
