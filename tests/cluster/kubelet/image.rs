//! The image: the program as it was built for this run, with what the Dockerfile says of it.

use std::path::{Path, PathBuf};

use super::Refused;

const DOCKERFILE: &str = include_str!("../../../Dockerfile");
/// A mirror's name may stand before it.
const REPOSITORY: &str = "bywash/bywash";

pub(super) struct Image {
    pub(super) entrypoint: Vec<String>,
    pub(super) command: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
}

impl Image {
    pub(super) fn pull(reference: &str) -> Result<Self, Refused> {
        if repository(reference) != REPOSITORY
            && !repository(reference).ends_with(&format!("/{REPOSITORY}"))
        {
            let message = format!("no image {reference} here, only {REPOSITORY}");
            return Err(Refused::new("ErrImagePull", message));
        }
        let environment = instructions("ENV").filter_map(|pair| pair.split_once('='));
        Ok(Self {
            entrypoint: list("ENTRYPOINT"),
            command: list("CMD"),
            environment: environment
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        })
    }

    /// Its files: where they are on this machine, and in the image. The libraries are there because this build
    /// is not the static one.
    pub(super) fn files(&self) -> Vec<(PathBuf, PathBuf)> {
        let program = (
            PathBuf::from(env!("CARGO_BIN_EXE_bywash")),
            PathBuf::from(&self.entrypoint[0]),
        );
        let same = [
            "/lib",
            "/lib64",
            "/usr/lib",
            "/etc/ssl/certs/ca-certificates.crt",
        ];
        let same = same.into_iter().map(PathBuf::from).filter(|it| it.exists());
        same.map(|path| (path.clone(), path))
            .chain([program])
            .collect()
    }

    /// A program of the image by what a command line calls it.
    pub(super) fn program(&self, name: &str) -> Result<PathBuf, Refused> {
        let only = Path::new(&self.entrypoint[0]);
        match only == Path::new(name) || only.file_name() == Some(name.as_ref()) {
            true => Ok(only.to_owned()),
            false => Err(Refused::new(
                "RunContainerError",
                format!("{name}: no such file in the image"),
            )),
        }
    }
}

fn repository(reference: &str) -> &str {
    let name = reference
        .split_once('@')
        .map_or(reference, |(name, _)| name);
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}

/// Of the last stage, since the first says nothing of these.
fn instructions(name: &str) -> impl Iterator<Item = &'static str> {
    let lines = DOCKERFILE.lines();
    lines.filter_map(move |line| line.strip_prefix(name)?.strip_prefix(' '))
}

fn list(name: &str) -> Vec<String> {
    let words = instructions(name)
        .last()
        .expect("an instruction of the Dockerfile");
    serde_json::from_str(words).expect("the form of a list")
}
