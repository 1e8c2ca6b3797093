//! Modules use only what the table in `ARCHITECTURE.md` lets them use.
//!
//! An import knot is never made by one change, so that no review stops it: each arrow between top
//! modules that is not in the table fails here. Tests inside the modules count too.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

type Arrows = BTreeMap<String, BTreeSet<String>>;

#[test]
fn every_arrow_between_modules_is_in_the_table() {
    let allowed = allowed();
    let mut unknown = BTreeSet::new();
    for (from, targets) in used() {
        let Some(may) = allowed.get(&from) else {
            unknown.insert(format!("{from} is not in the table"));
            continue;
        };
        for to in targets.difference(may) {
            unknown.insert(format!("{from} → {to}"));
        }
    }
    assert!(unknown.is_empty(), "not in ARCHITECTURE.md: {unknown:#?}");
}

#[test]
fn the_table_has_no_cycle() {
    let mut left = allowed();
    while !left.is_empty() {
        let known: BTreeSet<String> = left.keys().cloned().collect();
        let before = left.len();
        left.retain(|_, may| may.iter().any(|to| known.contains(to)));
        assert!(left.len() < before, "a cycle within {known:?}");
    }
}

#[test]
fn paths_are_found_alone_and_in_groups() {
    let text =
        "use crate::a::B; use crate::{c::D, e::{F, G}, h}; let x: crate::i = 1; pub(crate) y";
    let expected = ["a", "c", "e", "h", "i"].map(str::to_owned);
    assert_eq!(mentioned(text), BTreeSet::from(expected));
}

/// The rows of the table: the modules of the first column may use those of the last.
fn allowed() -> Arrows {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, rest) = text.split_once("| may use |\n").expect("the table");
    let rows: Vec<Vec<&str>> = rest
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').collect())
        .collect();
    let every: BTreeSet<String> = rows.iter().flat_map(|row| quoted(row[0])).collect();
    let mut allowed = Arrows::new();
    for row in rows {
        let may: BTreeSet<String> = match row[2].trim() {
            "everything above" => allowed.keys().cloned().collect(),
            "everything" => every.clone(),
            _ => quoted(row[2]).collect(),
        };
        for module in quoted(row[0]) {
            allowed.insert(module, may.clone());
        }
    }
    assert!(allowed.len() > 10, "the table has {} rows", allowed.len());
    allowed
}

/// What stands between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned)
}

/// The arrows in the code.
fn used() -> Arrows {
    let source = root().join("src");
    let mut files = Vec::new();
    collect(&source, &mut files);
    let mut used = Arrows::new();
    for file in files {
        let module = top_module(file.strip_prefix(&source).unwrap());
        let targets = mentioned(&fs::read_to_string(&file).unwrap());
        let entry = used.entry(module.clone()).or_default();
        entry.extend(targets.into_iter().filter(|target| *target != module));
    }
    used.remove("lib");
    used
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn top_module(path: &Path) -> String {
    let first = Path::new(path.iter().next().unwrap());
    first.file_stem().unwrap().to_str().unwrap().to_owned()
}

/// The first names of all `crate::` paths.
fn mentioned(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for rest in text.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(group) => found.extend(group_heads(group)),
            None => found.extend(head(rest)),
        }
    }
    found
}

/// The first names in the group that begins here.
fn group_heads(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut heads = Vec::from_iter(head(group));
    for (position, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.extend(head(&group[position + 1..])),
            _ => {}
        }
    }
    heads
}

fn head(text: &str) -> Option<String> {
    let text = text.trim_start();
    let end = text
        .find(|letter: char| !(letter.is_alphanumeric() || letter == '_'))
        .unwrap_or(text.len());
    (end > 0).then(|| text[..end].to_owned())
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
