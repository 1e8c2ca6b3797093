//! What a client is shown instead of an answer: which page, in which form.
//!
//! The form is what the client prefers among those that there are. Pages of a policy go before the
//! built-in ones; a page that does not work in the end gives way to the built-in one, which cannot
//! fail. None says more than the taxonomy's sentence and the id: nothing that a page is made of knows
//! an address or a name.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use foldhash::fast::FixedState;
use http::{HeaderMap, HeaderValue};

use crate::routing::pages::{Engine, Form, PageSet, Shown};
use crate::routing::policy::ErrorPages;

use super::{grpc, hop};

mod accept;
mod builtin;

/// Pages of a route, ready to be shown.
#[derive(Debug, Default)]
pub(super) struct LivePages(Vec<(ErrorPages, Option<Arc<Compiled>>)>);

/// The pages of one ConfigMap, ready to be shown.
#[derive(Debug)]
struct Compiled {
    /// What they were made of.
    set: Arc<PageSet>,
    engine: Engine,
}

/// All pages, by where the sets are that they were made of, which they hold.
#[derive(Debug, Default)]
pub(super) struct PageCache(HashMap<usize, Arc<Compiled>, FixedState>);

/// A body of ours.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) content_type: HeaderValue,
    pub(super) content: Bytes,
    /// Whether it is one that needs nothing from elsewhere.
    pub(super) builtin: bool,
}

/// Whose error it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Maker {
    Gateway,
    Upstream,
}

impl PageCache {
    /// The pages of a set; made of it once, now or before.
    fn get(&mut self, set: &Arc<PageSet>, before: &Self) -> Arc<Compiled> {
        let key = Arc::as_ptr(set).addr();
        let known = self.0.entry(key).or_insert_with(|| {
            let before = before.0.get(&key).cloned();
            before.unwrap_or_else(|| {
                Arc::new(Compiled {
                    set: Arc::clone(set),
                    engine: Engine::of(set),
                })
            })
        });
        Arc::clone(known)
    }
}

impl LivePages {
    /// What a policy says, with the pages that it names.
    pub(super) fn new(entries: &[ErrorPages], cache: &mut PageCache, before: &PageCache) -> Self {
        let mut compiled = |set: &Arc<PageSet>| cache.get(set, before);
        let entries = entries.iter();
        Self(
            entries
                .map(|it| (it.clone(), it.pages.as_ref().map(&mut compiled)))
                .collect(),
        )
    }

    /// The page for an error that is made here.
    pub(super) fn for_ours(&self, shown: &Shown<'_>, request: &HeaderMap) -> Page {
        let entry = self.entry(shown.status, Maker::Gateway);
        page(entry.and_then(Option::as_deref), shown, request)
    }

    /// The page that takes the place of the application's own, where there is one.
    pub(super) fn instead_of_theirs(&self, status: u16, request: &HeaderMap) -> bool {
        self.entry(status, Maker::Upstream).is_some() && !grpc::is_call(request)
    }

    /// That page.
    pub(super) fn for_theirs(&self, shown: &Shown<'_>, request: &HeaderMap) -> Page {
        let entry = self.entry(shown.status, Maker::Upstream);
        page(entry.and_then(Option::as_deref), shown, request)
    }

    fn entry(&self, status: u16, maker: Maker) -> Option<&Option<Arc<Compiled>>> {
        let fits = |(entry, _): &&(ErrorPages, _)| entry.fit(status, maker == Maker::Gateway);
        self.0.iter().find(fits).map(|(_, compiled)| compiled)
    }
}

/// A page in the form that the client prefers.
fn page(own: Option<&Compiled>, shown: &Shown<'_>, request: &HeaderMap) -> Page {
    let found = |form| own.and_then(|own| own.set.find(shown.status, form));
    let form = accept::preferred(request, |form| found(form).is_some());
    let written = own.and_then(|own| {
        let name = found(form)?;
        // That it does not work with these values was not to be foreseen.
        own.engine.render(name, shown).ok()
    });
    let builtin = written.is_none();
    let content = written.unwrap_or_else(|| builtin::page(form, shown));
    Page {
        content_type: content_type(form),
        content: content.into(),
        builtin,
    }
}

/// Makes the fields of the application's error fit for a page of ours: what describes its body goes.
pub(super) fn forget_content(fields: &mut HeaderMap) {
    hop::remove(fields, describes_content);
}

/// Metadata of the representation (RFC 9110 section 8), and what was said of its body.
fn describes_content(name: &str) -> bool {
    // Among them Content-Security-Policy, under which the page might not be shown as it is meant.
    name.starts_with("content-")
        || matches!(
            name,
            "etag" | "last-modified" | "accept-ranges" | "trailer" | "digest" | "repr-digest"
        )
}

fn content_type(form: Form) -> HeaderValue {
    HeaderValue::from_static(match form {
        Form::Html => "text/html; charset=utf-8",
        Form::Json => "application/json",
        Form::Problem => "application/problem+json",
        Form::Text => "text/plain; charset=utf-8",
    })
}

#[cfg(test)]
mod tests;
