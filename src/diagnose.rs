//! From what was observed to what is said about it: pure, so that each rule can be read and tested alone.
//!
//! [`advise`] explains a cause with what Kubernetes says about the upstream, and ends in what to do.

pub mod advice;

pub use advice::{Advice, advise};
