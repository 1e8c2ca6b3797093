//! Helm as a user runs it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::NamedTempFile;

use crate::programs::HELM;

/// One version of Helm.
pub(crate) struct Helm {
    pub(crate) program: PathBuf,
}

/// The versions in use. The first is the one whose sentences are asserted.
pub(crate) fn versions() -> [Helm; 2] {
    ["helm", "helm3"].map(|name| Helm {
        program: directory().join(name),
    })
}

/// The newer one.
pub(crate) fn helm() -> Helm {
    let [helm, _] = versions();
    helm
}

/// Where the programs are, built if need be.
pub(crate) fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        HELM.locate_or_build()
            .unwrap_or_else(|said| panic!("{said}"))
    })
}

/// A chart of this project.
pub(crate) fn chart(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("charts")
        .join(name)
}

impl Helm {
    /// What a command prints, or what it complains of.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new(&self.program)
            .args(arguments)
            .env("HELM_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        match output.status.success() {
            true => Ok(text(output.stdout)),
            false => Err(text(output.stdout) + &text(output.stderr)),
        }
    }

    /// The objects of `bywash`, released into `edge` with these values.
    pub(crate) fn template(&self, values: &Value) -> Result<Vec<Value>, String> {
        let chart = chart("bywash");
        self.template_of(&chart, values, &[])
    }

    /// The objects of any chart.
    pub(crate) fn template_of(
        &self,
        chart: &Path,
        values: &Value,
        more: &[&str],
    ) -> Result<Vec<Value>, String> {
        let values = file(values);
        let (chart, values) = (chart.to_str().unwrap(), values.path().to_str().unwrap());
        let mut arguments = vec!["template", "bywash", chart, "-n", "edge", "-f", values];
        arguments.extend(more);
        let rendered = self.run(&arguments)?;
        let objects: Vec<Value> = serde_saphyr::from_multiple(&rendered)
            .unwrap_or_else(|error| panic!("{error}\n{rendered}"));
        Ok(objects.into_iter().filter(|it| !it.is_null()).collect())
    }
}

/// The values in a file, which is there as long as what is returned.
pub(crate) fn file(values: &Value) -> NamedTempFile {
    let mut file = NamedTempFile::with_suffix(".yaml").unwrap();
    file.write_all(values.to_string().as_bytes()).unwrap();
    file
}

/// The objects of `bywash` with these values.
pub(crate) fn rendered(values: &Value) -> Vec<Value> {
    helm()
        .template(values)
        .unwrap_or_else(|said| panic!("{values}: {said}"))
}

/// What is said of values that are refused.
pub(crate) fn refused(values: &Value) -> String {
    match helm().template(values) {
        Err(said) => said,
        Ok(_) => panic!("not refused: {values}"),
    }
}

/// All objects of a kind.
pub(crate) fn all<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|it| it["kind"] == kind).collect()
}

/// The only object of a kind.
pub(crate) fn only<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    match all(objects, kind).as_slice() {
        [it] => it,
        found => panic!("{} of {kind}", found.len()),
    }
}

/// The one container of the controller.
pub(crate) fn container(objects: &[Value]) -> &Value {
    let workload = objects
        .iter()
        .find(|it| it["kind"] == "Deployment" || it["kind"] == "DaemonSet");
    &workload.unwrap()["spec"]["template"]["spec"]["containers"][0]
}

/// The flags of the controller.
pub(crate) fn flags(objects: &[Value]) -> Vec<String> {
    let arguments = container(objects)["args"].as_array().unwrap();
    assert_eq!(arguments[0], "run");
    let text = |it: &Value| it.as_str().unwrap().to_owned();
    arguments[1..].iter().map(text).collect()
}

/// Whether the controller has this very flag.
pub(crate) fn has_flag(objects: &[Value], flag: &str) -> bool {
    flags(objects).iter().any(|it| it == flag)
}
