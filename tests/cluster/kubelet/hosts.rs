//! The files by which names of hosts are looked up in a Pod.

use std::fs;
use std::path::PathBuf;

use kube::ResourceExt;

use super::name_server::DOMAIN;
use super::process::Surroundings;

/// Files, and their places in the container.
pub(super) fn files(it: &Surroundings<'_>) -> [(PathBuf, PathBuf); 2] {
    let mut lines = vec!["127.0.0.1 localhost".to_owned()];
    lines.push(format!("{} {}", it.sandbox.address, it.pod.name_any()));
    let aliases = it.pod.spec.iter();
    for alias in aliases.flat_map(|spec| spec.host_aliases.iter().flatten()) {
        let names = alias.hostnames.clone().unwrap_or_default().join(" ");
        lines.push(format!("{} {names}", alias.ip));
    }
    let (server, namespace) = (it.host.address, it.pod.namespace().unwrap_or_default());
    let search = format!("{namespace}.svc.{DOMAIN} svc.{DOMAIN} {DOMAIN}");
    let resolver = format!("nameserver {server}\nsearch {search}\noptions ndots:5\n");
    let files = [
        ("hosts", lines.join("\n") + "\n"),
        ("resolv.conf", resolver),
    ];
    fs::create_dir_all(&it.directory).expect("a directory for a container");
    files.map(|(name, text)| {
        let file = it.directory.join(name);
        fs::write(&file, text).expect("a file for a container");
        (file, PathBuf::from("/etc").join(name))
    })
}
