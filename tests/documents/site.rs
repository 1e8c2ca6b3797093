//! The pages hang together: as files of the repository, and as the site that `make docs` builds.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use pulldown_cmark::{Event, Tag, TagEnd};

use super::markdown::{Page, pages, root};

const SUMMARY: &str = "docs/SUMMARY.md";

/// A link, or a picture.
struct Link {
    target: String,
    line: usize,
}

/// The anchors of the headings of a page, as GitHub and the site make them.
fn anchors(page: &Page) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut found = Vec::new();
    let mut heading: Option<String> = None;
    for (event, _) in page.events() {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                let anchor = anchor(&heading.take().unwrap_or_default());
                let count = seen.entry(anchor.clone()).or_default();
                found.push(match *count {
                    0 => anchor,
                    count => format!("{anchor}-{count}"),
                });
                *count += 1;
            }
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            _ => {}
        }
    }
    found
}

/// The anchor of a heading.
fn anchor(heading: &str) -> String {
    let letter = |letter: char| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        letter => letter.is_alphanumeric().then_some(letter),
    };
    heading.to_lowercase().chars().filter_map(letter).collect()
}

fn links(page: &Page) -> Vec<Link> {
    let link = |(event, range): (Event<'_>, Range<usize>)| match event {
        Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => Some(Link {
            target: dest_url.into_string(),
            line: page.line(range.start),
        }),
        _ => None,
    };
    page.events().filter_map(link).collect()
}

/// Where a link of a page leads, below the root of the repository.
fn resolve(page: &Page, file: &str) -> PathBuf {
    if file.is_empty() {
        return page.path.clone();
    }
    let mut resolved = page.path.parent().unwrap().to_owned();
    for component in Path::new(file).components() {
        match component {
            Component::ParentDir => assert!(resolved.pop(), "{file} leaves the repository"),
            component => resolved.push(component),
        }
    }
    resolved
}

#[test]
fn each_link_leads_to_a_file_and_to_a_heading_that_it_has() {
    let pages = pages();
    let known_anchors: BTreeMap<&Path, Vec<String>> = pages
        .iter()
        .map(|page| (page.path.as_path(), anchors(page)))
        .collect();
    let mut broken = Vec::new();
    let mut seen = 0;
    for page in &pages {
        for link in links(page) {
            if link.target.contains("://") {
                continue;
            }
            seen += 1;
            let (file, anchor) = link.target.split_once('#').unwrap_or((&link.target, ""));
            let path = resolve(page, file);
            // The site has no page for a folder, nor for its summary.
            if !root().join(&path).is_file() || path == Path::new(SUMMARY) {
                broken.push(format!(
                    "{}: {} is no page",
                    page.at(link.line),
                    link.target
                ));
            }
            let known = known_anchors.get(path.as_path());
            if !anchor.is_empty() && !known.is_some_and(|all| all.iter().any(|it| it == anchor)) {
                broken.push(format!(
                    "{}: no heading {}",
                    page.at(link.line),
                    link.target
                ));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(seen > 100, "only {seen} links found");
}

#[test]
fn the_summary_names_every_page_once() {
    let pages = pages();
    let summary = pages
        .iter()
        .find(|page| page.path == Path::new(SUMMARY))
        .unwrap();
    let mut named = BTreeSet::new();
    for link in links(summary) {
        let path = resolve(summary, &link.target);
        assert!(named.insert(path), "{} stands there twice", link.target);
    }
    let all = pages.iter().map(|page| page.path.clone());
    let all: BTreeSet<PathBuf> = all.filter(|path| path != Path::new(SUMMARY)).collect();
    let missing: Vec<_> = all.difference(&named).collect();
    assert!(missing.is_empty(), "not in {SUMMARY}: {missing:?}");
    let unknown: Vec<_> = named.difference(&all).collect();
    assert!(unknown.is_empty(), "no pages: {unknown:?}");
}

#[test]
fn each_page_begins_with_its_title() {
    for page in pages() {
        assert!(page.text.starts_with("# "), "{}", page.path.display());
    }
}
