//! The atomics of the lock-free state, in one place: `tests/loom.rs` includes the files that use them
//! with loom's types instead, and tries every interleaving.

pub use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
