//! `bywash completion SHELL`: what a shell, or kubectl, offers when the Tab key is pressed.
//!
//! kubectl asks a program beside the plugin, `kubectl_complete-bywash`, with the words so far, and reads
//! what cobra prints: an offer a line, then a directive
//! (<https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins/>).

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Arg, Args, Command, ValueEnum};
use clap_complete::Shell;

use super::{Failure, PLUGIN, plugin_is_called};

const NEXT_STEPS: &str = "\
Next steps:
  source <(bywash completion bash)                       for this shell; in ~/.bashrc for all
  bywash completion zsh > \"${fpath[1]}/_bywash\"
  bywash completion fish > ~/.config/fish/completions/bywash.fish
  bywash completion kubectl > /usr/local/bin/kubectl_complete-bywash
  chmod +x /usr/local/bin/kubectl_complete-bywash";

/// What this program is called.
const PROGRAM: &str = "bywash";

/// What kubectl runs.
const KUBECTL: &str = "#!/bin/sh\nexec kubectl-bywash __complete \"$@\"\n";

/// How it asks.
const QUESTION: &str = "__complete";

/// To cobra: offer nothing else, no files either.
const NO_FILES: &str = ":4";

/// To cobra: files too.
const FILES: &str = ":0";

/// Print what a shell needs to complete commands and flags
#[derive(Args, Debug)]
#[command(after_help = NEXT_STEPS)]
pub(super) struct Completion {
    /// Which shell; kubectl for `kubectl bywash`
    #[arg(value_name = "SHELL", value_enum)]
    shell: Target,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Target {
    Bash,
    Zsh,
    Fish,
    Powershell,
    Kubectl,
}

impl Completion {
    pub(super) fn execute(self, mut command: Command) -> Result<ExitCode, Failure> {
        let shell = match self.shell {
            Target::Bash => Shell::Bash,
            Target::Zsh => Shell::Zsh,
            Target::Fish => Shell::Fish,
            Target::Powershell => Shell::PowerShell,
            Target::Kubectl => return write(KUBECTL.as_bytes()),
        };
        let name = match (plugin_is_called(), shell) {
            (true, Shell::Zsh | Shell::Fish | Shell::PowerShell) => PLUGIN.0,
            _ => PROGRAM,
        };
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut command, name, &mut script);
        let script = String::from_utf8_lossy(&script);
        match plugin_is_called() && name == PROGRAM {
            true => write(for_plugin(&script).as_bytes()),
            false => write(script.as_bytes()),
        }
    }
}

/// The words so far, if kubectl asks; the last one may be unfinished, or empty. It is no command that
/// people would see.
pub(super) fn question(arguments: impl IntoIterator<Item = OsString>) -> Option<Vec<String>> {
    let mut arguments = arguments.into_iter().skip(1);
    let words = |it: OsString| it.to_string_lossy().into_owned();
    arguments.next().filter(|first| first == QUESTION)?;
    Some(arguments.map(words).collect())
}

/// Answers it.
pub(super) fn offer(command: &Command, words: &[String]) -> Result<ExitCode, Failure> {
    let mut text = String::new();
    for line in offers(command, words) {
        text.push_str(&line);
        text.push('\n');
    }
    write(text.as_bytes())
}

/// The script of bash for the plugin's name: its generator cannot tell a hyphen in a name from one
/// between a command and its subcommand.
fn for_plugin(script: &str) -> String {
    let mut lines = String::new();
    for line in script.lines() {
        let registered = line.strip_suffix(&format!(" {PROGRAM}"));
        match registered.filter(|line| line.trim_start().starts_with("complete ")) {
            Some(registration) => lines.push_str(&format!("{registration} {}", PLUGIN.0)),
            None => lines.push_str(line),
        }
        lines.push('\n');
    }
    lines
}

fn write(bytes: &[u8]) -> Result<ExitCode, Failure> {
    let written = io::stdout().write_all(bytes);
    written.map_err(|error| Failure::failed(&error))?;
    Ok(ExitCode::SUCCESS)
}

/// What may come in the place of the last word, then the directive.
fn offers(root: &Command, words: &[String]) -> Vec<String> {
    let (last, before) = words
        .split_last()
        .map_or(("", &[][..]), |(last, before)| (last.as_str(), before));
    let mut command = root;
    for word in before {
        command = command.find_subcommand(word).unwrap_or(command);
    }
    let flag = before.last().and_then(|word| flag(command, word));
    let (found, directive) = match flag.filter(|flag| flag.get_action().takes_values()) {
        Some(flag) => values(flag),
        None if last.starts_with('-') => (flags(command), NO_FILES),
        None => arguments(command),
    };
    let mut offers: Vec<String> = found
        .into_iter()
        .filter(|it| it.starts_with(last))
        .collect();
    offers.push(directive.to_owned());
    offers
}

fn flag<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    let short = word.strip_prefix('-').filter(|it| it.chars().count() == 1);
    command
        .get_arguments()
        .find(|arg| match word.strip_prefix("--") {
            Some(long) => arg.get_long() == Some(long),
            None => short.is_some() && arg.get_short() == short.and_then(|it| it.chars().next()),
        })
}

fn flags(command: &Command) -> Vec<String> {
    let flags = command.get_arguments().filter(|arg| !arg.is_hide_set());
    flags
        .filter_map(|arg| {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            Some(format!("--{}\t{}", arg.get_long()?, help))
        })
        .collect()
}

fn values(arg: &Arg) -> (Vec<String>, &'static str) {
    let values = arg.get_possible_values().into_iter();
    let values: Vec<String> = values.map(|it| it.get_name().to_owned()).collect();
    let directive = if values.is_empty() { FILES } else { NO_FILES };
    (values, directive)
}

fn arguments(command: &Command) -> (Vec<String>, &'static str) {
    let commands = command.get_subcommands().filter(|it| !it.is_hide_set());
    let commands: Vec<String> = commands
        .map(|it| {
            let about = it.get_about().map(ToString::to_string).unwrap_or_default();
            format!("{}\t{about}", it.get_name())
        })
        .collect();
    match command.get_positionals().next() {
        Some(positional) if commands.is_empty() => values(positional),
        _ => (commands, NO_FILES),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    fn offered(words: &[&str]) -> Vec<String> {
        let mut command = Cli::command();
        command.build();
        let words: Vec<String> = words.iter().map(|it| (*it).to_owned()).collect();
        let offers = offers(&command, &words).into_iter();
        offers
            .map(|it| it.split('\t').next().unwrap_or_default().to_owned())
            .collect()
    }

    #[test]
    fn commands_are_offered_first_and_none_that_is_hidden() {
        let commands = offered(&[""]);
        assert!(commands.contains(&"explain".to_owned()), "{commands:?}");
        assert!(!commands.contains(&"__complete".to_owned()), "{commands:?}");
        assert_eq!(offered(&["exp"]), ["explain", ":4"]);
    }

    #[test]
    fn flags_and_their_values_are_offered_where_they_may_stand() {
        assert_eq!(offered(&["explain", "--as-"]), ["--as-group", ":4"]);
        assert_eq!(offered(&["check", "-o", "s"]), ["sarif", ":4"]);
        assert_eq!(offered(&["check", "--kubeconfig", ""]), [":0"]);
        assert_eq!(offered(&["check", ""]), [":0"]);
    }
}
