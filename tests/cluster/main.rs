//! `bywash run` against a real Kubernetes control plane.
//!
//! The API server's own rules (admission, resource versions, watches that break, slices made from
//! pods) are what an ingress controller lives by, so nothing here imitates them: the tests drive
//! etcd, kube-apiserver and kube-controller-manager themselves. The API server refuses loopback
//! addresses in EndpointSlices, hence the program re-executes itself in a network namespace in
//! which every address of a pod network is local; see [`namespace`]. Everything that needs the
//! outer world (building the control plane) happens before that.
//!
//! One control plane serves all tests; each has a [`tenant::Tenant`], its own share of it. Tests
//! are plain async functions, listed by `trials![]` at the top of each topic.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test fails by panicking, and tells its progress on the terminal"
)]
#![allow(missing_docs, reason = "a test program has no callers to document for")]

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// The named async functions of this module as trials called `topic::function`.
macro_rules! trials {
    ($($test:ident),+ $(,)?) => {
        pub(crate) fn trials() -> Vec<libtest_mimic::Trial> {
            vec![$($crate::trial(concat!(module_path!(), "::", stringify!($test)), $test)),+]
        }
    };
}

mod backend;
mod binaries;
mod client;
mod control_plane;
mod load;
mod namespace;
mod objects;
mod process;
mod replica;
mod tenant;
mod wait;
mod workload;

mod capacity;
mod changes;
mod classes;
mod conditions;
mod diagnosis;
mod endpoints;
mod explain;
mod fallback;
mod harness;
mod ingress;
mod latency;
mod outage;
mod policy;
mod replicas;
mod rules;
mod secrets;
mod services;
mod status;
mod upstream_tls;
mod vanished;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = trials();
    if arguments.list || !trials.iter().any(|trial| selected(&arguments, trial)) {
        return libtest_mimic::run(&arguments, trials).exit_code();
    }
    if namespace::inside() {
        namespace::prepare();
        return libtest_mimic::run(&arguments, trials).exit_code();
    }
    let entered = binaries::locate_or_build().and_then(|binaries| namespace::enter(&binaries));
    entered.unwrap_or_else(|what_to_do| {
        eprintln!("error: {what_to_do}");
        ExitCode::FAILURE
    })
}

fn trials() -> Vec<Trial> {
    let topics = [
        harness::trials(),
        ingress::trials(),
        classes::trials(),
        services::trials(),
        secrets::trials(),
        endpoints::trials(),
        explain::trials(),
        status::trials(),
        policy::trials(),
        fallback::trials(),
        diagnosis::trials(),
        upstream_tls::trials(),
        vanished::trials(),
        changes::trials(),
        latency::trials(),
        capacity::trials(),
        replicas::trials(),
        rules::trials(),
        outage::trials(),
        conditions::trials(),
    ];
    topics.into_iter().flatten().collect()
}

/// A test on a runtime of its own, bounded in time so that a hang has a name.
fn trial<F>(path: &'static str, test: impl FnOnce() -> F + Send + 'static) -> Trial
where
    F: Future<Output = ()>,
{
    let name = path.split_once("::").map_or(path, |(_, topic)| topic);
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let in_time = runtime.block_on(async { tokio::time::timeout(wait::TEST, test()).await });
        runtime.shutdown_background();
        in_time.map_err(|_| format!("still running after {:?}", wait::TEST).into())
    })
}

/// Whether the arguments let this trial run: nothing is built or started for a filter that names
/// tests of another program.
fn selected(arguments: &Arguments, trial: &Trial) -> bool {
    let matches = |pattern: &String| match arguments.exact {
        true => trial.name() == pattern,
        false => trial.name().contains(pattern.as_str()),
    };
    !arguments.ignored
        && arguments.filter.as_ref().is_none_or(matches)
        && !arguments.skip.iter().any(matches)
}
