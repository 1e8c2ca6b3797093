//! What the process tells about itself: metrics, the access log and its own log.
//!
//! All of it is written on the way of a request, so that none of it may wait: counters are per
//! worker, and lines of text go into bounded [spools](spool) that threads of their own write out.
//! What does not fit is dropped and counted.
//!
//! How a request failed travels further, through a bounded [queue](failures), to a
//! [recorder] for whoever debugs, and to the control plane.

pub mod access_log;
pub mod failures;
pub mod logs;
pub mod metrics;
pub mod recorder;
pub mod spool;
pub mod traces;
