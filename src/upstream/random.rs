//! Chance: one generator a thread, seeded once by the operating system.

use std::cell::RefCell;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// From 0 to 1, from this thread's generator.
pub fn random() -> f64 {
    with_rng(|rng| rng.random())
}

/// Runs with this thread's generator: fast, seeded once, good for spreading, not for secrets.
pub fn with_rng<T>(run: impl FnOnce(&mut SmallRng) -> T) -> T {
    thread_local! {
        static RNG: RefCell<SmallRng> = RefCell::new(seeded());
    }
    RNG.with_borrow_mut(run)
}

fn seeded() -> SmallRng {
    SmallRng::try_from_rng(&mut rand::rngs::SysRng).unwrap_or_else(|_| SmallRng::seed_from_u64(0))
}
