//! The objects of the chart, as Helm renders them.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use kube::Resource;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::namespace;
use crate::objects::object;

/// Those for a release in this namespace, with these values.
pub(crate) fn chart(own: &str, values: &Value) -> Vec<Value> {
    let mut file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    file.write_all(values.to_string().as_bytes()).unwrap();
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/bywash");
    let output = Command::new(namespace::helm())
        .args(["template", "bywash", "--namespace", own, "--values"])
        .args([file.path(), chart.as_path()])
        .env("HELM_CACHE_HOME", namespace::scratch())
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let text = str::from_utf8(&output.stdout).unwrap();
    let objects: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    objects.into_iter().filter(|it| !it.is_null()).collect()
}

/// Those of a kind that are for the controller: roles that aggregate are for people.
pub(crate) fn of_kind<K>(objects: &[Value]) -> Vec<K>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    let of_kind = objects.iter().filter(|it| it["kind"] == *K::kind(&()));
    let for_people = |it: &&Value| {
        let labels = it["metadata"]["labels"].to_string();
        labels.contains("/aggregate-to-")
    };
    let ours = of_kind.filter(|it| !for_people(it));
    ours.map(|it| object(it.clone())).collect()
}
