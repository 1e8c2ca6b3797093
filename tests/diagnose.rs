//! Diagnoses, a folder of `tests/diagnose` for each thing that is to be told apart.
//!
//! A folder is named after what it shows and holds
//! - `given.yaml`: the problem (see `GivenProblem`) and the facts;
//! - `expected.txt`: the code, whether it is only likely, and the sentence.
//!
//! `UPDATE_EXPECTED=1 cargo test --test diagnose` writes the expectations anew: read the difference.
//! Every diagnosis has a folder at least.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs, io};

use bywash::diagnose::advice::Code;
use bywash::diagnose::{Advice, advise};
use bywash::failure::{Cause, TlsAlert};
use bywash::report::facts::{Facts, Latency, Problem, Sample};
use bywash::routing::snapshot::ServicePort;
use libtest_mimic::{Arguments, Failed, Trial};
use serde::Deserialize;

fn main() -> anyhow::Result<()> {
    let folders = folders()?;
    anyhow::ensure!(!folders.is_empty(), "no scenario");
    let all = folders.clone();
    let mut trials: Vec<Trial> = folders
        .into_iter()
        .map(|folder| {
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            Trial::test(name.replace('-', " "), move || scenario(&folder))
        })
        .collect();
    trials.push(Trial::test("every diagnosis has a scenario", move || {
        complete(&all)
    }));
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn folders() -> io::Result<Vec<PathBuf>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnose");
    let folders: io::Result<Vec<PathBuf>> = fs::read_dir(root)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect();
    let mut folders = folders?;
    folders.sort();
    Ok(folders)
}

fn scenario(folder: &Path) -> Result<(), Failed> {
    let text = render(&diagnose(folder)?);
    let expected = folder.join("expected.txt");
    if env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(expected, text)?;
        return Ok(());
    }
    let expected = fs::read_to_string(expected)?;
    if expected != text {
        return Err(format!("expected\n{expected}\nfound\n{text}").into());
    }
    Ok(())
}

fn complete(folders: &[PathBuf]) -> Result<(), Failed> {
    let mut shown = BTreeSet::new();
    for folder in folders {
        shown.insert(diagnose(folder)?.code);
    }
    let codes = Code::ALL.iter().map(|code| code.as_str());
    let missing: Vec<_> = codes.filter(|code| !shown.contains(code)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("no scenario for {missing:?}").into())
}

fn diagnose(folder: &Path) -> Result<Advice, Failed> {
    let given: Given = serde_saphyr::from_str(&fs::read_to_string(folder.join("given.yaml"))?)?;
    Ok(advise(&given.problem.read()?, &given.facts))
}

fn render(advice: &Advice) -> String {
    let likely = if advice.likely { " (likely)" } else { "" };
    format!("{}{likely}\n{}\n", advice.code, advice.sentence)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    problem: GivenProblem,
    #[serde(default)]
    facts: Facts,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct GivenProblem {
    /// The label of the cause, with the number of an alert or a status after a colon.
    cause: String,
    /// `namespace/name:port`.
    upstream: Option<String>,
    #[serde(default)]
    samples: Vec<Sample>,
    #[serde(default)]
    limits: Vec<String>,
    idle_seconds: Option<u64>,
    /// Usual and now.
    latency_millis: Option<(u64, u64)>,
}

impl GivenProblem {
    fn read(self) -> Result<Problem, Failed> {
        let upstream = self.upstream.as_deref().map(service_port).transpose()?;
        let limits = self.limits.iter().map(|limit| match limit.as_str() {
            "maxConnections" => Ok("maxConnections"),
            "maxPendingRequests" => Ok("maxPendingRequests"),
            "maxRequests" => Ok("maxRequests"),
            other => Err(format!("no limit is called {other}")),
        });
        let latency = self.latency_millis.map(|(usual, now)| Latency {
            usual: Duration::from_millis(usual),
            now: Duration::from_millis(now),
        });
        Ok(Problem {
            upstream,
            samples: self.samples,
            limits: limits.collect::<Result<_, _>>()?,
            idle_timeout: self.idle_seconds.map(Duration::from_secs),
            latency,
            ..Problem::of(cause(&self.cause)?)
        })
    }
}

fn service_port(text: &str) -> Result<ServicePort, Failed> {
    let parts = text
        .split_once('/')
        .and_then(|(namespace, rest)| Some((namespace, rest.split_once(':')?)));
    let (namespace, (name, port)) = parts.ok_or("expected namespace/name:port")?;
    Ok(ServicePort {
        namespace: namespace.into(),
        name: name.into(),
        port: port.parse()?,
    })
}

fn cause(text: &str) -> Result<Cause, Failed> {
    Ok(match text.split_once(':') {
        Some(("tls_alert", number)) => Cause::TlsAlert(TlsAlert(number.parse()?)),
        Some(("retried_status", status)) => Cause::RetriedStatus(status.parse()?),
        _ => {
            let mut causes = Cause::all().into_iter();
            let found = causes.find(|cause| cause.label() == text);
            found.ok_or_else(|| format!("no cause is called {text}"))?
        }
    })
}
