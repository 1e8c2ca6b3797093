//! Who has only the README and a cluster gets a first Ingress answered, and is told why when it is broken.
//!
//! The commands are those of the README, to the letter, by real Helm, kubectl and curl.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;

use super::release::{NEWER, OLDER};
use crate::control_plane::{ControlPlane, User};
use crate::kubelet::{Node, Playing};
use crate::namespace;
use crate::process::Process;
use crate::tenant::Tenant;
use crate::wait::{SOON, eventually};

trials![
    the_commands_of_the_readme_lead_to_an_answer_and_to_why_there_is_none,
    they_do_so_without_a_load_balancer,
];

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

async fn the_commands_of_the_readme_lead_to_an_answer_and_to_why_there_is_none() {
    lead(NEWER, true).await;
}

async fn they_do_so_without_a_load_balancer() {
    lead(OLDER, false).await;
}

async fn lead(helm: &str, load_balancer: bool) {
    let own = ControlPlane::own_without_definition(&format!("first-{helm}")).await;
    let cluster = Tenant::of(Arc::clone(&own.plane)).await;
    let playing = Playing {
        everywhere: true,
        load_balancer,
    };
    let _node = Node::start_as(&cluster, playing).await;
    eventually("account of Pods", SOON, async || {
        let accounts = Api::<ServiceAccount>::namespaced(cluster.client.clone(), "default");
        let account = accounts.get("default").await;
        account.map_err(|error| error.to_string())
    })
    .await;
    let reader = Reader::of(&cluster, helm);
    let [install, ask, ask_a_node, break_it_and_say_why] = section();
    let ask = if load_balancer { ask } else { ask_a_node };
    assert!(install.len() + ask.len() <= 5, "{install:?} {ask:?}");
    let [break_it, say_why] = &break_it_and_say_why[..] else {
        panic!("not two commands: {break_it_and_say_why:?}");
    };

    for command in &install {
        reader.runs(command).await;
    }
    let asking = reader.leaves_running(&ask[0]);
    hears(&asking, "\"backend\":\"ok\"").await;

    reader.runs(break_it).await;
    hears(&asking, "502").await;
    says(
        &reader,
        say_why,
        &[
            "Service port 8080 targets 9090 and no container declares that port: they declare 8080",
            "Set targetPort of Service hello to 8080",
        ],
    )
    .await;

    reader.runs(&break_it.replace("9090", "8080")).await;
    says(
        &reader,
        say_why,
        &["requests are not answered 502 any more", "it lasted"],
    )
    .await;
}

async fn says(reader: &Reader, command: &str, sentences: &[&str]) {
    eventually(&format!("{sentences:?} of {command}"), SOON, async || {
        let said = reader.runs(command).await;
        let told = sentences.iter().all(|it| said.contains(it));
        told.then_some(()).ok_or(said)
    })
    .await;
}

async fn hears(asking: &Process, text: &str) {
    eventually(&format!("answer with {text}"), SOON, async || {
        let said = asking.log();
        said.contains(text).then_some(()).ok_or(said)
    })
    .await;
}

/// The commands of each block of the README's section.
fn section() -> [Vec<String>; 4] {
    let readme = std::fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    let sections = readme.split("\n## ");
    let mut sections = sections.filter_map(|it| it.strip_prefix("First Ingress\n"));
    let blocks = sections.next().unwrap().split("\n```sh\n").skip(1);
    let blocks = blocks.map(|block| commands(block.split("\n```").next().unwrap()));
    let blocks: Vec<_> = blocks.collect();
    blocks.try_into().unwrap()
}

/// What is indented continues the line before.
fn commands(block: &str) -> Vec<String> {
    let mut commands = Vec::<String>::new();
    for line in block.lines() {
        match commands.last_mut().filter(|_| line.starts_with(' ')) {
            Some(command) => *command += &format!("\n{line}"),
            None => commands.push(line.to_owned()),
        }
    }
    commands
}

/// Somebody with a shell in the repository.
struct Reader {
    path: String,
    kubeconfig: PathBuf,
    name: String,
}

impl Reader {
    /// Whose Helm is of this version.
    fn of(cluster: &Tenant, helm: &str) -> Self {
        let own = namespace::scratch().join(format!("{}-tools", cluster.name));
        std::fs::create_dir(&own).unwrap();
        let helm = namespace::helm().with_file_name(helm);
        std::os::unix::fs::symlink(helm, own.join("helm")).unwrap();
        let (kubectl, usual) = (namespace::binaries(), std::env::var("PATH").unwrap());
        Self {
            path: format!(
                "{}:{}:{usual}",
                own.display(),
                kubectl.directory().display()
            ),
            kubeconfig: cluster.kubeconfig(User::Admin),
            name: cluster.name.clone(),
        }
    }

    fn shell(&self, command: &str) -> Command {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", command])
            .current_dir(ROOT)
            .env("PATH", &self.path)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HELM_CACHE_HOME", namespace::scratch());
        shell
    }

    /// What the command prints; it succeeds.
    async fn runs(&self, command: &str) -> String {
        let output = tokio::process::Command::from(self.shell(command)).output();
        let output = output.await.unwrap();
        let [said, complaint] =
            [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
        assert!(output.status.success(), "{command}: {said}{complaint}");
        said
    }

    fn leaves_running(&self, command: &str) -> Process {
        let name = format!("{}-asking", self.name);
        Process::start(&name, &mut self.shell(command), &namespace::scratch())
    }
}
