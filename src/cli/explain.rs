//! `bywash explain`: why requests fail, from what stands in the cluster, for whoever may read it.
//!
//! What is read, what is made of it and how that looks are three things: reading fails in parts and
//! says so, the rest is pure.

use std::io::{self, IsTerminal, Write as _};
use std::process::ExitCode;

use anstream::AutoStream;
use clap::{Args, ValueEnum};
use tokio::runtime::Builder;

use crate::config::flags::dns_name;
use crate::stores::reader::Reader;

use super::kubectl::KubectlFlags;
use super::{Color, FAILED, Failure, sentence};
use facts::Facts;
use live::Installation;
use target::Target;

mod class;
mod endpoints;
mod events;
mod facts;
mod gather;
mod ingress;
mod lines;
mod live;
mod paint;
mod picture;
mod policy;
mod signs;
mod target;
#[cfg(test)]
mod tests;
mod whole;
mod words;

/// What our controllers are called like, and our conditions on the ports of an Ingress.
const OURS: &str = "bywash.dev/";

const NEXT_STEPS: &str = "\
It reads with your own rights, and says what you may not read. Where it can, it adds what the
replicas see at this moment (the right to create pods/portforward in their namespace, or --live).

Exit code: 0 when requests are served as written, 1 when something fails or is not there, 2 when
what was asked cannot be done.

Examples:
  explain ingress/shop -n shop       one Ingress: its rules, Services and endpoints
  explain -A                         all Ingresses, the worst first
  explain gatewaypolicy/shop         a policy, and the Ingresses that it is for
  explain ingress/shop -o json       the same for scripts";

/// Why are the requests of an Ingress failing?
#[derive(Args, Debug)]
#[command(after_help = NEXT_STEPS)]
pub(super) struct Explain {
    /// What to explain: ingress/NAME, gatewaypolicy/NAME, or all of a kind [default: all Ingresses]
    #[arg(value_name = "KIND/NAME", num_args = 0..=2)]
    target: Vec<String>,

    /// How it is told
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value = "text")]
    output: Output,

    /// Whether it is coloured: by itself on a terminal only
    #[arg(long, value_name = "WHEN", value_enum, default_value = "auto")]
    color: Color,

    /// Where the live view is: the address of a replica's admin port, as http://127.0.0.1:9091; or
    /// none, to do without [default: the replicas are asked through the API server]
    #[arg(long, value_name = "URL", help_heading = "Live view")]
    live: Option<String>,

    /// Where the replicas run
    #[arg(long, value_name = "NAME", default_value = "bywash", value_parser = dns_name, help_heading = "Live view")]
    controller_namespace: String,

    /// The spec.controller of the IngressClasses that are Bywash's [default: all that begin with
    /// bywash.dev/]
    #[arg(long, value_name = "NAME", help_heading = "Cluster")]
    controller_name: Option<String>,

    #[command(flatten)]
    kubectl: KubectlFlags,
}

/// How an explanation is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// For scripts.
    Json,
}

impl Explain {
    pub(super) fn execute(self) -> Result<ExitCode, Failure> {
        let target = Target::parse(&self.target).map_err(|error| Failure::usage(&error))?;
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::failed(&error))?;
        let facts = runtime.block_on(self.facts(&target))?;
        let picture = whole::picture(&target, facts);
        self.show(&target, &picture)?;
        Ok(match picture.has_problem() {
            true => ExitCode::from(FAILED),
            false => ExitCode::SUCCESS,
        })
    }

    async fn facts(&self, target: &Target) -> Result<Facts, Failure> {
        let reader = self.kubectl.reader().await?;
        let namespace = self
            .kubectl
            .namespace
            .as_deref()
            .unwrap_or(reader.namespace());
        let namespace = (!self.kubectl.all_namespaces).then_some(namespace);
        let facts = gather::read(&reader, target.kind, namespace).await;
        let mut facts = facts.map_err(|error| Failure::failed(&error))?;
        facts.controller.clone_from(&self.controller_name);
        facts.namespace = namespace.map(str::to_owned);
        self.look(&reader, target, &mut facts).await;
        Ok(facts)
    }

    /// Adds the live view.
    async fn look(&self, reader: &Reader, target: &Target, facts: &mut Facts) {
        let wanted = whole::wanted(target, facts);
        let (seen, missing) = match self.live.as_deref() {
            Some("none") => return,
            Some(address) => match live::at(address, wanted.as_deref()).await {
                Ok(view) => (vec![view], None),
                Err(error) => (Vec::new(), Some(error)),
            },
            None => {
                let installation = Installation {
                    namespace: self.controller_namespace.clone(),
                    class: whole::installation(target, facts),
                };
                live::of(reader, &installation, wanted.as_deref()).await
            }
        };
        if let Some(error) = missing {
            facts
                .unread
                .push(format!("the live view, because {}", sentence(&error)));
        }
        facts.live = seen;
    }

    fn show(&self, target: &Target, picture: &picture::Picture) -> Result<(), Failure> {
        let stdout = io::stdout();
        let width = stdout
            .is_terminal()
            .then(terminal_size::terminal_size)
            .flatten();
        let width = width.map(|(width, _)| usize::from(width.0));
        let text = match self.output {
            Output::Json => {
                let json = serde_json::to_string_pretty(picture);
                json.map_err(|error| Failure::failed(&error))? + "\n"
            }
            Output::Text => {
                let lines = lines::lines(picture, target.name.is_none());
                paint::paint(&lines, width)
            }
        };
        let choice = match self.output {
            Output::Json => anstream::ColorChoice::Never,
            Output::Text => self.color.choice(),
        };
        let mut out = AutoStream::new(stdout, choice);
        let _nobody_reads = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        Ok(())
    }
}
