//! Scenarios: a folder each, with the objects, what replicas see, and the explanation.
//!
//! The first line of `objects.yaml` is the command. After a change that is meant, `UPDATE_EXPECTED=1`
//! writes what is explained now.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::facts::{Facts, Replica};
use super::target::Target;
use super::{lines, paint, picture, whole};

/// The moment of all scenarios.
const NOW: &str = "2026-03-02T17:45:00Z";

#[test]
fn every_scenario_is_explained_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/explain");
    let mut scenarios: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    scenarios.sort();
    assert!(scenarios.len() > 5, "{scenarios:?}");
    let mut wrong = Vec::new();
    for scenario in scenarios {
        let expected = scenario.join("expected.txt");
        let (target, picture) = explained(&scenario);
        let text = paint::paint(&lines::lines(&picture, target.name.is_none()), None);
        let text = anstream::adapter::strip_str(&text).to_string();
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&expected, &text).unwrap();
        }
        if fs::read_to_string(&expected).unwrap_or_default() != text {
            wrong.push(format!("{}:\n{text}", scenario.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn explained(scenario: &Path) -> (Target, picture::Picture) {
    let text = fs::read_to_string(scenario.join("objects.yaml")).unwrap();
    let command = text
        .lines()
        .next()
        .unwrap()
        .trim_start_matches("# explain")
        .trim();
    let mut words = command.split_whitespace().map(str::to_owned).peekable();
    let mut facts = Facts {
        now: NOW.parse().unwrap(),
        ..Facts::default()
    };
    let mut target = Vec::new();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-n" => facts.namespace = words.next(),
            "-A" => facts.namespace = None,
            _ => target.push(word),
        }
    }
    for document in text.split("\n---\n") {
        let object: Value = serde_saphyr::from_str(document).unwrap();
        put(&mut facts, object);
    }
    for replica in ["bywash-0", "bywash-1"] {
        if let Ok(text) = fs::read_to_string(scenario.join(format!("{replica}.json"))) {
            facts.live.push(Replica {
                name: replica.to_owned(),
                live: serde_json::from_str(&text).unwrap(),
            });
        }
    }
    let target = Target::parse(&target).unwrap();
    let picture = whole::picture(&target, facts);
    (target, picture)
}

/// What is not there was read, and is empty, but for kinds that are said to be unread.
fn put(facts: &mut Facts, object: Value) {
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    match kind.as_str() {
        "Ingress" => facts.ingresses.push(read(object)),
        "IngressClass" => facts.classes.get_or_insert_default().push(read(object)),
        "Service" => facts.services.get_or_insert_default().push(read(object)),
        "EndpointSlice" => facts.slices.get_or_insert_default().push(read(object)),
        "GatewayPolicy" => facts.policies.get_or_insert_default().push(read(object)),
        "Event" => facts.events.push(read(object)),
        "Unread" => facts
            .unread
            .push(object["why"].as_str().unwrap().to_owned()),
        "Read" => {
            facts.classes.get_or_insert_default();
            facts.services.get_or_insert_default();
            facts.slices.get_or_insert_default();
            facts.policies.get_or_insert_default();
        }
        kind => panic!("{kind:?} in a scenario"),
    }
}

fn read<K: DeserializeOwned>(object: Value) -> K {
    serde_json::from_value(object).unwrap()
}

#[test]
fn what_scripts_read_names_the_version_the_levels_and_the_causes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/explain");
    let (_, picture) = explained(&folder.join("an-ejected-endpoint-is-told-with-its-cause"));
    let json = serde_json::to_value(&picture).unwrap();
    assert_eq!(json["version"], 1);
    let object = &json["objects"][0];
    assert_eq!(
        (&object["kind"], &object["level"]),
        (&"Ingress".into(), &"problem".into())
    );
    let endpoint = &object["hosts"][0]["paths"][0]["endpoints"][1];
    assert_eq!(endpoint["cause"], "connection_refused");
    assert!(picture.has_problem());
}
