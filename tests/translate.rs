//! Translation, a folder of `tests/translate` per rule.
//!
//! A folder is named after what it shows and holds
//! - `objects.yaml`: the objects that exist;
//! - `before.yaml`, if what was known before matters: the objects of the translation before, and
//!   `earlier.yaml`: those of the one before that;
//! - `settings.yaml`, if they are not the defaults: see `Choices`;
//! - `expected.txt`: the snapshot, the Ingresses of our class and the findings.
//!
//! `UPDATE_EXPECTED=1 cargo test --test translate` writes the expectations anew: read the difference.
//! Besides, each scenario is translated with its objects in the opposite order and once more with
//! what it learned, which must change nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fs, io};

use bywash::report::policy::{PolicyReport, TargetReport};
use bywash::report::{Kind, ObjectRef};
use bywash::translate::{
    ClassSource, HostOwnership, LastGood, Objects, Origin, Settings, Translation, translate,
};
use libtest_mimic::{Arguments, Failed, Trial};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

const FILES: [&str; 5] = [
    "objects.yaml",
    "before.yaml",
    "earlier.yaml",
    "settings.yaml",
    "expected.txt",
];

fn main() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/translate");
    let folders: io::Result<Vec<PathBuf>> = fs::read_dir(&root)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect();
    let mut folders = folders?;
    folders.sort();
    anyhow::ensure!(!folders.is_empty(), "no scenario in {}", root.display());
    let trials = folders
        .into_iter()
        .map(|folder| {
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            Trial::test(name.replace('-', " "), move || scenario(&folder))
        })
        .collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn scenario(folder: &Path) -> Result<(), Failed> {
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if !FILES.iter().any(|known| name == *known) {
            return Err(format!("{} is not one of {FILES:?}", name.display()).into());
        }
    }
    let choices: Choices = match read(folder, "settings.yaml")? {
        Some(text) => serde_saphyr::from_str(&text)?,
        None => Choices::default(),
    };
    let settings = choices.settings();
    let mut last = LastGood::default();
    for file in ["earlier.yaml", "before.yaml"] {
        if let Some(objects_then) = read(folder, file)? {
            last = translate(&objects(&objects_then)?, &settings, &last).last_good;
        }
    }
    let mut objects = objects(&read(folder, "objects.yaml")?.ok_or("there is no objects.yaml")?)?;
    for object in &choices.unreadable {
        let (object, uid) = object.rsplit_once(" of ").unwrap_or((object, ""));
        objects
            .unreadable
            .insert(reference(object)?, uid.to_owned());
    }

    let translation = translate(&objects, &settings, &last);
    let text = render(&translation);
    reverse(&mut objects);
    same(
        "in the opposite order",
        &text,
        &render(&translate(&objects, &settings, &last)),
    )?;
    let again = translate(&objects, &settings, &translation.last_good);
    same("translated once more", &text, &render(&again))?;

    let expected = folder.join("expected.txt");
    if env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(expected, text)?;
        return Ok(());
    }
    let expected = read(folder, "expected.txt")?
        .ok_or("there is no expected.txt: write it with UPDATE_EXPECTED=1")?;
    same("compared with expected.txt", &expected, &text)
}

/// What a scenario may set; every key is optional.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
struct Choices {
    /// The objects are from files.
    directory: bool,
    /// A host belongs to the namespace of its oldest Ingress.
    namespaces_own_hosts: bool,
    allow_external_name: bool,
    /// `namespace/name`.
    default_tls_secret: Option<String>,
    /// Instead of an IngressClass.
    operator: Option<Operator>,
    /// Where alone Secrets are read.
    secret_namespaces: Option<BTreeSet<String>>,
    /// `Kind namespace/name`, or with ` of UID`: these exist, but cannot be read.
    unreadable: Vec<String>,
}

/// What the operator says of the class.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Operator {
    default_class: bool,
    /// `namespace/name`.
    class_policy: Option<String>,
}

impl Operator {
    fn source(&self) -> ClassSource {
        ClassSource::Operator {
            is_default: self.default_class,
            policy: self.class_policy.as_deref().and_then(key),
        }
    }
}

impl Choices {
    fn settings(&self) -> Settings {
        Settings {
            origin: if self.directory {
                Origin::Directory
            } else {
                Origin::Cluster
            },
            host_ownership: if self.namespaces_own_hosts {
                HostOwnership::Namespace
            } else {
                HostOwnership::Ingress
            },
            allow_external_name: self.allow_external_name,
            default_tls_secret: self.default_tls_secret.as_deref().and_then(key),
            class: self
                .operator
                .as_ref()
                .map(Operator::source)
                .unwrap_or_default(),
            secret_namespaces: self.secret_namespaces.clone(),
            ..Settings::default()
        }
    }
}

fn key(text: &str) -> Option<(String, String)> {
    let (namespace, name) = text.split_once('/')?;
    Some((namespace.to_owned(), name.to_owned()))
}

fn reference(text: &str) -> Result<ObjectRef, Failed> {
    let (kind, key) = text
        .split_once(' ')
        .ok_or("expected 'Kind namespace/name'")?;
    let (namespace, name) = key.split_once('/').unwrap_or(("", key));
    Ok(ObjectRef {
        kind: Kind::parse(kind).ok_or("an unknown kind")?,
        namespace: namespace.into(),
        name: name.into(),
    })
}

fn read(folder: &Path, file: &str) -> Result<Option<String>, Failed> {
    let path = folder.join(file);
    if !path.exists() {
        return Ok(None);
    }
    Ok(Some(fs::read_to_string(path)?))
}

fn objects(yaml: &str) -> Result<Objects, Failed> {
    let mut objects = Objects::default();
    for document in serde_saphyr::from_multiple::<Value>(yaml)? {
        let kind = document["kind"].as_str().unwrap_or_default();
        match Kind::parse(kind).ok_or("a document of an unknown kind")? {
            Kind::Ingress => objects.ingresses.push(typed(document)?),
            Kind::IngressClass => objects.classes.push(typed(document)?),
            Kind::Service => objects.services.push(typed(document)?),
            Kind::EndpointSlice => objects.slices.push(typed(document)?),
            Kind::Secret => objects.secrets.push(typed(document)?),
            Kind::ConfigMap => objects.config_maps.push(typed(document)?),
            Kind::GatewayPolicy => objects.policies.push(typed(document)?),
        }
    }
    Ok(objects)
}

fn typed<K: DeserializeOwned>(document: Value) -> Result<Arc<K>, Failed> {
    Ok(Arc::new(serde_json::from_value(document)?))
}

fn reverse(objects: &mut Objects) {
    objects.ingresses.reverse();
    objects.classes.reverse();
    objects.services.reverse();
    objects.slices.reverse();
    objects.secrets.reverse();
    objects.config_maps.reverse();
    objects.policies.reverse();
}

fn render(translation: &Translation) -> String {
    let Translation {
        snapshot,
        findings,
        ingresses,
        policies,
        last_good: _,
    } = translation;
    let mut text = snapshot.to_string();
    for ingress in ingresses {
        text.push_str(&format!("ours: {ingress}\n"));
    }
    for policy in policies {
        text.push_str(&policy_text(policy));
    }
    for finding in findings {
        text.push_str(&format!("{finding}\n"));
    }
    text
}

fn policy_text(policy: &PolicyReport) -> String {
    let mut text = format!("policy {}\n", policy.object);
    for TargetReport {
        target,
        rejection,
        sections,
    } in &policy.targets
    {
        let host = target.section_name.as_ref();
        let host = host.map_or(String::new(), |host| format!(" host {host}"));
        let rejection = rejection.as_ref();
        let result = rejection.map_or("accepted".to_owned(), ToString::to_string);
        text.push_str(&format!("  {}{host}: {result}\n", target.object));
        for section in sections {
            let Some(origin) = &section.origin else {
                continue;
            };
            let (name, values) = (section.name, &section.values);
            text.push_str(&format!("    {name} by {origin}: {values}\n"));
        }
    }
    for why in &policy.unresolved {
        text.push_str(&format!("  unresolved: {why}\n"));
    }
    for why in &policy.foreign {
        text.push_str(&format!("  elsewhere: {why}\n"));
    }
    text
}

/// Fails with the lines that differ.
fn same(when: &str, expected: &str, found: &str) -> Result<(), Failed> {
    if expected == found {
        return Ok(());
    }
    let mut message = format!("{when}, the lines differ:\n");
    let (mut before, mut after) = (expected.lines(), found.lines());
    loop {
        match (before.next(), after.next()) {
            (None, None) => return Err(message.into()),
            (a, b) if a == b => message.extend(a.map(|line| format!("  {line}\n"))),
            (a, b) => {
                message.extend(a.map(|line| format!("- {line}\n")));
                message.extend(b.map(|line| format!("+ {line}\n")));
            }
        }
    }
}
