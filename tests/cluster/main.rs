//! `bywash run` against a real Kubernetes control plane.
//!
//! The API server's own rules (admission, resource versions, watches that break, slices made from
//! pods) are what an ingress controller lives by, so nothing here imitates them: the tests drive
//! etcd, kube-apiserver and kube-controller-manager themselves. The API server refuses loopback
//! addresses in EndpointSlices, hence the program re-executes itself in a network namespace in
//! which every address of a pod network is local; see [`namespace`]. Everything that needs the
//! outer world (building the control plane) happens before that.
//!
//! No Pod runs in a control plane alone: where it is to, a [`kubelet::Node`] plays the node, from the binding of
//! the Pod to its last status, and [`kube_proxy`] what stands in front of it. Everywhere else a test writes the
//! status of its Pods itself; see [`workload`].
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
use programs::HELM;
use tokio::sync::RwLock;

/// The named async functions of this module as trials called `topic::function`; `alone`: of which each has
/// the machine to itself.
macro_rules! trials {
    ($($test:ident),* $(,)? $(; alone: $($alone:ident),+ $(,)?)?) => {
        pub(crate) fn trials() -> Vec<libtest_mimic::Trial> {
            vec![
                $($crate::trial(concat!(module_path!(), "::", stringify!($test)), $test),)*
                $($($crate::alone(concat!(module_path!(), "::", stringify!($alone)), $alone),)+)?
            ]
        }
    };
}

#[path = "../programs/controlplane.rs"]
mod control_plane_programs;
#[path = "../documents/forms.rs"]
mod forms;
#[path = "../programs/go_module.rs"]
mod go_module;
#[path = "../documents/markdown.rs"]
mod markdown;
#[path = "../programs/helm.rs"]
mod programs;
#[path = "../programs/values.rs"]
mod values;

mod backend;
mod binaries;
mod client;
mod control_plane;
mod kube_proxy;
mod kubelet;
mod load;
mod namespace;
mod objects;
mod process;
mod rendered;
mod replica;
mod tenant;
mod wait;
mod workload;

mod capacity;
mod changes;
mod chart;
mod check;
mod classes;
mod conditions;
mod corpus;
mod diagnosis;
mod documents;
mod endpoints;
mod explain;
mod fallback;
mod gitops;
mod harness;
mod ingress;
mod latency;
mod least_rights;
mod one_id;
mod outage;
mod pages;
mod policy;
mod replicas;
mod reports;
mod rules;
mod secrets;
mod services;
mod status;
mod storm;
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
    let entered = || {
        let (binaries, helm) = (binaries::locate_or_build()?, HELM.locate_or_build()?);
        namespace::enter(&binaries, &helm)
    };
    entered().unwrap_or_else(|what_to_do| {
        eprintln!("error: {what_to_do}");
        ExitCode::FAILURE
    })
}

fn trials() -> Vec<Trial> {
    let topics = [
        harness::trials(),
        load::trials(),
        harness::node::trials(),
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
        least_rights::trials(),
        outage::trials(),
        conditions::trials(),
        corpus::trials(),
        corpus::builtin::trials(),
        storm::trials(),
        check::trials(),
        check::health::trials(),
        reports::trials(),
        one_id::trials(),
        pages::trials(),
        chart::trials(),
        gitops::trials(),
        documents::trials(),
    ];
    topics.into_iter().flatten().collect()
}

/// Held by every test: by most of them together, by what measures a busy machine alone.
static MACHINE: RwLock<()> = RwLock::const_new(());

/// A test beside others.
fn trial<F>(path: &'static str, test: impl FnOnce() -> F + Send + 'static) -> Trial
where
    F: Future<Output = ()>,
{
    on_machine(MACHINE.read(), path, test)
}

/// A test that has the machine to itself, because it fills it and looks at the time.
fn alone<F>(path: &'static str, test: impl FnOnce() -> F + Send + 'static) -> Trial
where
    F: Future<Output = ()>,
{
    on_machine(MACHINE.write(), path, test)
}

/// A test on a runtime of its own, bounded in time from its turn on so that a hang has a name.
fn on_machine<F>(
    turn: impl Future + Send + 'static,
    path: &'static str,
    test: impl FnOnce() -> F + Send + 'static,
) -> Trial
where
    F: Future<Output = ()>,
{
    let name = path.split_once("::").map_or(path, |(_, topic)| topic);
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let in_time = runtime.block_on(async {
            let _held = turn.await;
            tokio::time::timeout(wait::TEST, test()).await
        });
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
