//! What is explained, as plain data: the shape of `-o json`, and what the lines are made of.
//!
//! Further fields may come; the version changes when one goes or changes its meaning.

use jiff::Timestamp;
use serde::Serialize;

/// The version of the shape.
pub(super) const VERSION: u32 = 1;

/// Everything that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Picture {
    pub(super) version: u32,
    pub(super) time: Timestamp,
    /// The worst first.
    pub(super) objects: Vec<Explained>,
    /// The replicas whose live view is in here.
    pub(super) live: Vec<String>,
    /// What could not be read and is therefore not in here: a sentence each.
    pub(super) unread: Vec<String>,
}

/// How much something matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Level {
    /// As it should be.
    #[default]
    Good,
    /// Worth knowing.
    Note,
    /// Served, but likely not as meant.
    Warning,
    /// Requests fail, or would.
    Problem,
}

/// One object.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Explained {
    pub(super) kind: &'static str,
    pub(super) namespace: String,
    pub(super) name: String,
    /// That of the worst remark in it.
    pub(super) level: Level,
    /// In a word or two.
    pub(super) verdict: &'static str,
    /// What it is: a label and a text each.
    pub(super) about: Vec<(&'static str, String)>,
    pub(super) remarks: Vec<Remark>,
    pub(super) hosts: Vec<Host>,
}

/// Something to say.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Remark {
    pub(super) level: Level,
    /// What is the case, in a word: a condition, a cause or the code of a finding.
    pub(super) reason: String,
    /// What is the case and what to do, in a sentence or more.
    pub(super) message: String,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<Timestamp>,
    /// When it was last said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last: Option<Timestamp>,
    /// Who says so; empty for what follows from the objects.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) from: String,
    /// Ids of requests that show it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) samples: Vec<String>,
}

/// The rules of one host.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Host {
    /// `*` for every host.
    pub(super) host: String,
    pub(super) paths: Vec<Path>,
}

/// One rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Path {
    /// Absent for what matches no other rule.
    pub(super) path: Option<String>,
    pub(super) path_type: Option<String>,
    /// What it leads to, for people.
    pub(super) backend: String,
    /// `namespace/service:port`, where the Service and its port exist.
    pub(super) upstream: Option<String>,
    pub(super) remarks: Vec<Remark>,
    pub(super) endpoints: Vec<Endpoint>,
}

/// One address behind a Service.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Endpoint {
    pub(super) address: String,
    pub(super) pod: Option<String>,
    pub(super) level: Level,
    /// For people.
    pub(super) state: String,
    /// Why an attempt last failed there, as in metrics and logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cause: Option<String>,
}

impl Explained {
    /// Takes the level and the verdict from what is said.
    pub(super) fn judged(mut self) -> Self {
        let remarks = self.remarks.iter().map(|remark| remark.level);
        self.level = remarks.chain(self.paths_levels()).max().unwrap_or_default();
        self.verdict = match (self.level, self.kind) {
            (Level::Good | Level::Note, _) => "healthy",
            (Level::Warning, "Ingress") => "served, with a warning",
            (Level::Warning, _) => "not in force yet",
            (Level::Problem, _) => "failing",
        };
        self
    }

    /// Marks the endpoints that a failure names.
    pub(super) fn with_suspects(mut self) -> Self {
        let problems = self.remarks.iter().filter(|it| it.level == Level::Problem);
        let messages: Vec<&str> = problems.map(|it| it.message.as_str()).collect();
        let paths = self.hosts.iter_mut().flat_map(|host| &mut host.paths);
        for endpoint in paths.flat_map(|path| &mut path.endpoints) {
            let named = |message: &&&str| {
                let is_digit = |c: char| c.is_ascii_digit();
                let mut found = message.match_indices(endpoint.address.as_str());
                found.any(|(at, it)| {
                    let (before, after) = (&message[..at], &message[at + it.len()..]);
                    !before.ends_with(is_digit) && !after.starts_with(is_digit)
                })
            };
            if endpoint.level == Level::Good && messages.iter().any(|it| named(&it)) {
                endpoint.level = Level::Warning;
                endpoint.state += ", but requests fail there, as said above";
            }
        }
        self
    }

    fn paths_levels(&self) -> impl Iterator<Item = Level> {
        let paths = self.hosts.iter().flat_map(|host| &host.paths);
        paths.flat_map(Path::levels)
    }
}

impl Path {
    fn levels(&self) -> impl Iterator<Item = Level> {
        let remarks = self.remarks.iter().map(|remark| remark.level);
        remarks.chain(self.endpoints.iter().map(|endpoint| endpoint.level))
    }

    /// That of the worst that is said here.
    pub(super) fn level(&self) -> Level {
        self.levels().max().unwrap_or_default()
    }
}

impl Remark {
    /// Something that follows from the objects.
    pub(super) fn new(level: Level, reason: &str, message: impl Into<String>) -> Self {
        Self {
            level,
            reason: reason.to_owned(),
            message: message.into(),
            ..Self::default()
        }
    }
}

impl Picture {
    /// Whether anything in it fails.
    pub(super) fn has_problem(&self) -> bool {
        let mut objects = self.objects.iter();
        objects.any(|object| object.level == Level::Problem)
    }
}
