//! Error pages, from ConfigMaps.
//!
//! A page that becomes unusable keeps its last good form, for as long as the ConfigMap is the same and
//! has the page: the pages beside it are not its concern. What was found to work is kept from one
//! translation to the next, and is the same for everybody who names it.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;
use k8s_openapi::api::core::v1::ConfigMap;

use crate::api::metadata::ERROR_PAGES;
use crate::report::{Code, Kind, ObjectRef};
use crate::routing::pages::{PageName, PageSet, Template};

use super::config_map::{ConfigMaps, same_contents, same_object};
use super::names::{self, Key};
use super::policy::Unresolved;

/// What became of each ConfigMap that was asked for.
pub(super) type KnownPages = HashMap<ObjectRef, Outcome, FixedState>;

/// What became of one ConfigMap.
#[derive(Clone)]
pub(super) struct Outcome {
    /// The form that was read.
    config_map: Arc<ConfigMap>,
    pages: Arc<PageSet>,
    /// What is wrong with it, in clauses with what follows from it.
    defects: Vec<String>,
}

/// The ConfigMaps, read when asked for.
pub(super) struct Pages<'a> {
    config_maps: &'a ConfigMaps<'a>,
    last: &'a KnownPages,
    now: KnownPages,
}

impl<'a> Pages<'a> {
    /// None read yet.
    pub(super) fn new(config_maps: &'a ConfigMaps<'a>, last: &'a KnownPages) -> Self {
        Self {
            config_maps,
            last,
            now: KnownPages::default(),
        }
    }

    /// The pages of a ConfigMap; absent where there is none.
    pub(super) fn load(&mut self, key: Key<'_>) -> Option<Arc<PageSet>> {
        let outcome = self.read(key).ok()?;
        Some(Arc::clone(&outcome.pages))
    }

    /// What is wrong with a ConfigMap that a policy names.
    pub(super) fn defects(&mut self, key: Key<'_>) -> Vec<Unresolved> {
        let said = |code, why: &str| Unresolved {
            code,
            why: format!("errorPages: {why}"),
        };
        match self.read(key) {
            Ok(outcome) => {
                let defects = outcome.defects.iter();
                defects.map(|why| said(Code::InvalidPage, why)).collect()
            }
            Err(why) => {
                let why = format!("{why}; the built-in pages are shown");
                vec![said(Code::PagesNotFound, &why)]
            }
        }
    }

    /// What the next translation starts from: ConfigMaps that exist, also those not asked for now.
    pub(super) fn finish(mut self) -> KnownPages {
        for (object, outcome) in self.last {
            if self.config_maps.has(object, ERROR_PAGES) {
                let entry = self.now.entry(object.clone());
                entry.or_insert_with(|| outcome.clone());
            }
        }
        self.now
    }

    fn read(&mut self, key: Key<'_>) -> Result<&Outcome, String> {
        let found = self.config_maps.find(key, ERROR_PAGES)?;
        let object = names::reference(Kind::ConfigMap, key);
        let last = self.last.get(&object);
        let outcome = self.now.entry(object);
        Ok(outcome.or_insert_with_key(|object| Outcome::of(object, found, last)))
    }
}

impl Outcome {
    /// Reads a ConfigMap, unless the form that was read before has the same contents.
    fn of(object: &ObjectRef, config_map: &Arc<ConfigMap>, last: Option<&Self>) -> Self {
        let last = last.filter(|it| same_object(&it.config_map, config_map));
        if let Some(known) = last.filter(|it| same_contents(&it.config_map, config_map)) {
            return Self {
                config_map: Arc::clone(config_map),
                ..known.clone()
            };
        }
        let mut pages = PageSet::default();
        let mut defects = Vec::new();
        for (key, source) in contents(config_map) {
            let Some(name) = PageName::parse(key) else {
                defects.push(format!(
                    "the key '{key}' of the {object} names no page and is not used: write 502.html, \
                     5xx.html, 502.json, 502.problem.json or 502.txt"
                ));
                continue;
            };
            let before = last.and_then(|it| it.pages.get(name));
            let read = match source {
                Some(same) if before.is_some_and(|it| it.source() == same) => None,
                Some(source) => {
                    Some(Template::try_new(name, source).map_err(|why| why.to_string()))
                }
                None => Some(Err("it is not text".to_owned())),
            };
            let page = match read {
                Some(Ok(page)) => Some(page),
                None => before.cloned(),
                Some(Err(why)) => {
                    defects.push(unusable(object, key, &why, before.is_some()));
                    before.cloned()
                }
            };
            if let Some(page) = page {
                pages.insert(name, page);
            }
        }
        if pages.is_empty() && defects.is_empty() {
            let why = format!("the {object} holds no page; the built-in pages are shown");
            defects.push(why);
        }
        Self {
            config_map: Arc::clone(config_map),
            pages: Arc::new(pages),
            defects,
        }
    }
}

/// All keys, with their text where they hold one.
fn contents(config_map: &ConfigMap) -> impl Iterator<Item = (&str, Option<&str>)> {
    let ConfigMap {
        binary_data,
        data,
        immutable: _,
        metadata: _,
    } = config_map;
    let texts = data.iter().flatten();
    let texts = texts.map(|(key, text)| (&**key, Some(&**text)));
    let others = binary_data.iter().flatten();
    texts.chain(others.map(|(key, bytes)| (&**key, str::from_utf8(&bytes.0).ok())))
}

fn unusable(object: &ObjectRef, key: &str, why: &str, kept: bool) -> String {
    let instead = if kept {
        "its last good form stays in use"
    } else {
        "the built-in page is shown"
    };
    format!("the page {key} of the {object} cannot be used ({why}); {instead}")
}
