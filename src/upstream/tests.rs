//! Tests of the lock-free state. They stand apart from it because `tests/loom.rs` compiles those files
//! a second time, with atomics that exist inside a model only.

mod budget;
mod connect_time;
mod counts;
mod ejection;
mod idling;
mod latency;
mod phantom;
mod standing;
mod window;
