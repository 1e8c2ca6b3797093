//! The `bywash` program: installs what a process may have once, then hands over to its commands.

use std::process::ExitCode;

use bywash::cli;

/// Long-lived processes with many short allocations on many threads fragment glibc's heap.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    if provider.install_default().is_err() {
        return cli::fail("another library has chosen how to encrypt before this program could");
    }
    cli::main()
}
