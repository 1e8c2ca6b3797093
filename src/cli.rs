//! The command line: one subcommand a file, exit codes, and how a failure is told.
//!
//! Exit codes: 0 when all went as asked; 1 when the work failed; 2 when what was asked cannot be done
//! (a wrong flag, an unreadable directory, a bad kubeconfig), always with one sentence on stderr; 128
//! and the signal's number when a second signal ended the process at once.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::app;
use color::Color;

mod check;
mod color;
mod completion;
mod crds;
mod demo;
mod explain;
mod kubectl;
mod probe;
mod run;
mod standalone;

const FAILED: u8 = 1;
const USAGE: u8 = 2;

const NEXT_STEPS: &str = "\
Next steps:
  bywash demo             see what it does with failing backends
  bywash standalone DIR   try it on a directory of manifests, no cluster needed
  bywash run              serve the Ingresses of the cluster that kubectl talks to
  bywash check DIR        what would be wrong with manifests, before they are merged
  bywash explain ingress/NAME   why its requests fail, in the cluster that kubectl talks to
  bywash help COMMAND     all flags; each can also be set by its BYWASH_… variable";

/// A Kubernetes ingress controller that gets requests past a failing upstream and, when it cannot,
/// says why.
#[derive(Debug, Parser)]
#[command(name = "bywash", version, after_help = NEXT_STEPS, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    Run(Box<run::Run>),
    Standalone(Box<standalone::Standalone>),
    Explain(Box<explain::Explain>),
    Check(Box<check::Check>),
    Crds(crds::Crds),
    Completion(completion::Completion),
    Probe(probe::Probe),
}

/// Why a command did not do what it was asked to.
#[derive(Debug)]
struct Failure {
    sentence: String,
    code: u8,
}

impl Failure {
    /// What was asked cannot be done, because of this.
    fn usage(error: &dyn std::error::Error) -> Self {
        Self::sentence(&sentence(error))
    }

    /// What was asked cannot be done, in a sentence.
    fn sentence(sentence: &str) -> Self {
        Self {
            sentence: sentence.to_owned(),
            code: USAGE,
        }
    }

    /// The work failed.
    fn failed(error: &dyn std::error::Error) -> Self {
        Self {
            sentence: sentence(error),
            code: FAILED,
        }
    }
}

impl From<app::Error> for Failure {
    fn from(error: app::Error) -> Self {
        if error.is_usage() {
            Self::usage(&error)
        } else {
            Self::failed(&error)
        }
    }
}

/// An error and its causes, in one line; some repeat their cause, which is then said once.
fn sentence(error: &dyn std::error::Error) -> String {
    let first_line = |error: &dyn std::error::Error| {
        let text = error.to_string();
        text.lines().next().unwrap_or_default().trim().to_owned()
    };
    let mut sentence = first_line(error);
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = first_line(error);
        if !sentence.contains(&text) {
            sentence.push_str(": ");
            sentence.push_str(&text);
        }
        cause = error.source();
    }
    sentence
}

/// The name under which kubectl finds this program
/// (<https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins/>), and what users type then.
const PLUGIN: (&str, &str) = ("kubectl-bywash", "kubectl bywash");

/// Whether a path is that of the plugin.
fn is_plugin(program: Option<&OsString>) -> bool {
    let name = program.map(Path::new).and_then(Path::file_name);
    name == Some(OsStr::new(PLUGIN.0))
}

/// Whether this process was called as the plugin.
fn plugin_is_called() -> bool {
    is_plugin(std::env::args_os().next().as_ref())
}

/// All commands and flags, complete.
fn command_line() -> clap::Command {
    let mut command = Cli::command();
    command.build();
    command
}

/// Reads the arguments, in the name under which the program was called.
fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let command = match is_plugin(arguments.first()) {
        true => Cli::command().bin_name(PLUGIN.1),
        false => Cli::command(),
    };
    Cli::from_arg_matches(&command.try_get_matches_from(arguments)?)
}

/// Reads the arguments and does what they say.
pub fn main() -> ExitCode {
    if let Some(words) = completion::question(std::env::args_os()) {
        let offered = completion::offer(&command_line(), &words);
        return offered.unwrap_or_else(|failure| tell(&failure));
    }
    let cli = match parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => return explain(&error),
    };
    let done = match cli.command {
        Command::Demo(command) => command.execute(),
        Command::Run(command) => command.execute(),
        Command::Standalone(command) => command.execute(),
        Command::Explain(command) => command.execute(),
        Command::Check(command) => command.execute(),
        Command::Crds(command) => command.execute(),
        Command::Completion(command) => command.execute(Cli::command()),
        Command::Probe(command) => command.execute(),
    };
    done.unwrap_or_else(|failure| tell(&failure))
}

/// Tells why the program cannot even begin.
pub fn fail(sentence: &str) -> ExitCode {
    tell(&Failure {
        sentence: sentence.to_owned(),
        code: FAILED,
    })
}

fn tell(failure: &Failure) -> ExitCode {
    let _nobody_reads = writeln!(io::stderr(), "bywash: {}", failure.sentence);
    ExitCode::from(failure.code)
}

/// Help and version go to stdout; a wrong flag is one sentence.
fn explain(error: &clap::Error) -> ExitCode {
    let text = error.render();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _nobody_reads = write!(io::stdout(), "{text}");
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _nobody_reads = write!(io::stderr(), "{text}");
            ExitCode::from(USAGE)
        }
        _ => {
            let text = text.to_string();
            let lines = text.lines().take_while(|line| !line.is_empty());
            let words: Vec<_> = lines.flat_map(str::split_whitespace).collect();
            let what = words.join(" ");
            let what = what.strip_prefix("error: ").unwrap_or(&what);
            let sentence = format!("{what} (bywash help shows what there is)");
            tell(&Failure::sentence(&sentence))
        }
    }
}

/// The exit code of a process that served until it was told to end.
fn ended(ended: app::Ended) -> ExitCode {
    match ended {
        app::Ended::Drained => ExitCode::SUCCESS,
        app::Ended::Forced(signal) => ExitCode::from(128 + signal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(program: &str) -> String {
        let arguments = [program, "explain", "--help"].map(OsString::from);
        parse(arguments).unwrap_err().to_string()
    }

    #[test]
    fn the_plugin_of_kubectl_is_called_as_its_users_call_it() {
        assert!(help("/usr/bin/bywash").contains("Usage: bywash explain "));
        assert!(help("/usr/bin/kubectl-bywash").contains("Usage: kubectl bywash explain "));
    }
}
