//! The `bywash` program.

fn main() {}
