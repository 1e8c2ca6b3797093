//! `bywash check FILE…`: what would be wrong with manifests, before they are merged; without a file, whether a
//! cluster is ready and its installation healthy (`health`).
//!
//! The same translation as in a cluster and the same rules as the API server's, over files alone: what
//! is found is the same that Events and statuses would say later. How it looks (text, JSON, SARIF,
//! JUnit) is a file each.

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anstream::AutoStream;
use clap::{Args, ValueEnum};
use tokio::runtime::Builder;

use crate::app::objects::translation_of;
use crate::config::flags::{ClassFlags, ScopeFlags};
use crate::config::{Class, Scope};
use crate::stores::directory::once::{self, Text};
use crate::translate::{Origin, Settings};

use super::kubectl::KubectlFlags;
use super::{FAILED, Failure};
use before::Before;
use files::Surroundings;
use installation::InstallationFlags;
use problem::{Checked, Difference};

mod before;
mod compare;
mod destination;
mod diff;
mod fields;
mod files;
mod health;
mod installation;
mod item;
mod json;
mod junit;
mod pages;
mod problem;
mod reference;
mod references;
mod refused;
mod sarif;
mod text;

/// Stands for the standard input.
const STDIN: &str = "-";

const NEXT_STEPS: &str = "\
Files and directories hold manifests, or what `helm template` and `kustomize build` print; - is the
standard input. Kinds that Bywash does not read are passed over.

Exit code: 0 when nothing is wrong, 1 when something is (with --strict a warning too, with --exit-code
a change), 2 when what was asked cannot be done.

Examples:
  check deploy/                               a directory
  helm template shop ./chart | check -        what a chart makes
  kustomize build overlays/live | check -     what a kustomization makes
  check deploy/ -o sarif > bywash.sarif       for code scanning
  check deploy/ --with platform/ --complete   nothing else exists in the cluster
  check deploy/ --diff cluster                what would change for clients
  check --pre                                 is the cluster ready for an installation?
  check --wait 1m                             is the installation healthy?";

/// Check manifests before they are merged, or an installation
#[derive(Args, Debug)]
#[command(after_help = NEXT_STEPS)]
pub(super) struct Check {
    /// What to check: files, directories, or - for the standard input; without any, the cluster that
    /// kubectl talks to is looked at
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Manifests of what exists besides: they are not checked, but may be named
    #[arg(long, value_name = "PATH", requires = "paths")]
    with: Vec<PathBuf>,

    /// What is not among the files does not exist: a Service or a Secret that is missing is an error
    #[arg(long, requires = "paths")]
    complete: bool,

    /// How it is told
    #[arg(
        short,
        long,
        alias = "format",
        value_name = "FORMAT",
        value_enum,
        default_value = "text"
    )]
    output: Output,

    /// Warnings fail too
    #[arg(long, requires = "paths")]
    strict: bool,

    /// Tell what would change for clients, compared with another directory of manifests, or with the
    /// `cluster` that kubectl talks to, over which the files would be applied
    #[arg(long, value_name = "DIR|cluster", requires = "paths")]
    diff: Option<PathBuf>,

    /// With --diff: a change fails too
    #[arg(long, requires = "diff")]
    exit_code: bool,

    /// Whether it is coloured: by itself on a terminal only
    #[arg(long, value_name = "WHEN", value_enum, default_value = "auto")]
    color: super::Color,

    #[command(flatten)]
    class: ClassFlags,

    #[command(flatten)]
    scope: ScopeFlags,

    #[command(flatten)]
    kubectl: KubectlFlags,

    #[command(flatten)]
    installation: InstallationFlags,
}

/// How findings are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// For scripts.
    Json,
    /// For code scanning.
    Sarif,
    /// For test reports.
    Junit,
}

impl Check {
    pub(super) fn execute(self) -> Result<ExitCode, Failure> {
        if !self.paths.is_empty() {
            return self.files();
        }
        let as_json = match self.output {
            Output::Text => false,
            Output::Json => true,
            Output::Sarif | Output::Junit => {
                let sentence =
                    "a cluster is told about as text or as json: name files, or leave --output out";
                return Err(Failure::sentence(sentence));
            }
        };
        let scope = self.scope()?;
        let class = Class::from(self.class);
        self.installation
            .execute((class, scope), &self.kubectl, (as_json, self.color))
    }

    fn files(&self) -> Result<ExitCode, Failure> {
        if self.diff.is_some() && !matches!(self.output, Output::Text | Output::Json) {
            let sentence =
                "--diff is told as text or as json: leave --output out, or the comparison";
            return Err(Failure::sentence(sentence));
        }
        let scope = self.scope()?;
        let settings = Settings {
            origin: Origin::Directory,
            ..translation_of(&Class::from(self.class.clone()), &scope)
        };
        let texts = texts(&self.paths)?;
        let before = self.diff.as_deref().map(|with| self.before(with, &scope));
        let before = before.transpose()?;
        let unsaid = before.as_ref().and_then(Before::namespace);
        let namespace = self.kubectl.namespace.as_deref();
        let namespace = namespace.or(unsaid).or(scope.namespace());
        let read = |texts: &[Text]| files::read(texts, namespace, &scope);
        let around = Surroundings {
            known: read(&texts_of(&self.with)?),
            complete: self.complete,
        };
        let reading = read(&texts);
        if reading.is_empty() {
            return Err(self.nothing_to_check());
        }
        let mut checked = files::check(&reading, &around, &settings)?;
        checked.files = texts.len();
        if let (Some(with), Some(before)) = (&self.diff, &before) {
            checked.difference = Some(Difference {
                with: with.display().to_string(),
                changes: diff::changes(before, &reading, &around, &settings),
                unread: before.unread().to_vec(),
            });
        }
        self.show(&checked)?;
        let changes = checked.difference.as_ref();
        let changes = changes.is_some_and(|it| !it.changes.is_empty());
        Ok(
            match checked.fails(self.strict) || (self.exit_code && changes) {
                true => ExitCode::from(FAILED),
                false => ExitCode::SUCCESS,
            },
        )
    }

    /// Nothing was said, such as by a chart that could not be rendered: that is never "nothing is wrong".
    fn nothing_to_check(&self) -> Failure {
        let name = |path: &PathBuf| match path == Path::new(STDIN) {
            true => "the standard input".to_owned(),
            false => path.display().to_string(),
        };
        let names: Vec<String> = self.paths.iter().map(name).collect();
        Failure::sentence(&format!("there is no manifest in {}", names.join(", ")))
    }

    fn before(&self, with: &Path, scope: &Scope) -> Result<Before, Failure> {
        if with != Path::new(before::CLUSTER) {
            let namespace = self.kubectl.namespace.as_deref().or(scope.namespace());
            return before::directory(with, namespace, scope);
        }
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::failed(&error))?;
        runtime.block_on(before::cluster(&self.kubectl, scope))
    }

    /// How much of the cluster the controller reads.
    fn scope(&self) -> Result<Scope, Failure> {
        let scope = Scope::resolve(&self.scope, &[]).map_err(|error| Failure::usage(&error))?;
        let secret = self.class.default_tls_secret.as_ref();
        let admitted = scope.admits_default_certificate(secret);
        admitted.map_err(|error| Failure::usage(&error))?;
        Ok(scope)
    }

    fn show(&self, checked: &Checked) -> Result<(), Failure> {
        let pretty = |value| {
            let text = serde_json::to_string_pretty(&value);
            text.map(|text| text + "\n")
                .map_err(|error| Failure::failed(&error))
        };
        let text = match self.output {
            Output::Text => text::text(checked),
            Output::Json => pretty(json::json(checked))?,
            Output::Sarif => pretty(sarif::sarif(checked))?,
            Output::Junit => {
                junit::junit(checked, self.strict).map_err(|error| Failure::failed(&error))?
            }
        };
        let choice = match self.output {
            Output::Text => self.color.choice(),
            Output::Json | Output::Sarif | Output::Junit => anstream::ColorChoice::Never,
        };
        let mut out = AutoStream::new(io::stdout(), choice);
        let _nobody_reads = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        Ok(())
    }
}

/// What is to be checked; nothing at all is a mistake of whoever asks.
fn texts(paths: &[PathBuf]) -> Result<Vec<Text>, Failure> {
    let texts = texts_of(paths)?;
    if texts.is_empty() {
        let paths: Vec<String> = paths.iter().map(|it| it.display().to_string()).collect();
        let sentence = format!(
            "there are no manifests (*.yaml, *.yml, *.json) in {}",
            paths.join(", ")
        );
        return Err(Failure::sentence(&sentence));
    }
    Ok(texts)
}

fn texts_of(paths: &[PathBuf]) -> Result<Vec<Text>, Failure> {
    let mut texts = Vec::new();
    for path in paths {
        if path == Path::new(STDIN) {
            texts.push(standard_input()?);
        } else {
            texts.extend(once::texts(path).map_err(|error| Failure::usage(&error))?);
        }
    }
    Ok(texts)
}

fn standard_input() -> Result<Text, Failure> {
    let mut content = String::new();
    io::stdin().read_to_string(&mut content).map_err(|error| {
        Failure::sentence(&format!("the standard input cannot be read: {error}"))
    })?;
    Ok(Text {
        name: STDIN.into(),
        content,
        found: false,
    })
}
