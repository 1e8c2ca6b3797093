//! Pages that stand in for an answer: what there is for which status, in which form.
//!
//! A [`Template`] is one that was found to work: nobody who holds one has to ask again. Its source is
//! what it is; whoever renders makes an [`Engine`] of a set, once.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

mod engine;

pub use engine::{Engine, Shown};

/// The pages of one ConfigMap.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PageSet(BTreeMap<PageName, Template>);

/// What a page is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageName {
    /// For which form of an answer.
    pub form: Form,
    /// For which statuses.
    pub status: PageStatus,
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// `text/html`.
    Html,
    /// `application/json`.
    Json,
    /// `application/problem+json` (RFC 9457).
    Problem,
    /// `text/plain`.
    Text,
}

/// For which statuses a page is; the order is the precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PageStatus {
    /// For this one.
    Exactly(u16),
    /// For those of a hundred: 4 or 5.
    Class(u16),
}

/// A template that works.
#[derive(Clone, PartialEq, Eq)]
pub struct Template(Arc<str>);

/// A template does not work; the text says why, in a clause.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(String);

impl PageSet {
    /// The pages, by their names.
    pub fn iter(&self) -> impl Iterator<Item = (PageName, &Template)> {
        self.0.iter().map(|(name, template)| (*name, template))
    }

    /// The page of this name.
    pub fn get(&self, name: PageName) -> Option<&Template> {
        self.0.get(&name)
    }

    /// Adds a page.
    pub fn insert(&mut self, name: PageName, template: Template) {
        self.0.insert(name, template);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name of the page for a status in a form.
    pub fn find(&self, status: u16, form: Form) -> Option<PageName> {
        let named = [PageStatus::Exactly(status), PageStatus::Class(status / 100)];
        let mut named = named.into_iter().map(|status| PageName { form, status });
        named.find(|name| self.0.contains_key(name))
    }
}

impl fmt::Debug for PageSet {
    /// Never the pages themselves.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes = self
            .0
            .iter()
            .map(|(name, it)| (name.to_string(), it.0.len()));
        f.debug_map().entries(sizes).finish()
    }
}

impl PageName {
    /// Reads the name of a page as a key of a ConfigMap: `502.html`, `5xx.json`.
    pub fn parse(key: &str) -> Option<Self> {
        let (status, form) = key.split_once('.')?;
        let form = Form::ALL.into_iter().find(|it| it.extension() == form)?;
        let status = match status {
            "4xx" => PageStatus::Class(4),
            "5xx" => PageStatus::Class(5),
            code => {
                let number = code.parse().ok().filter(|it| (400..600).contains(it));
                PageStatus::Exactly(number.filter(|_| code.len() == 3)?)
            }
        };
        Some(Self { form, status })
    }

    /// Statuses that the page may be shown with.
    fn examples(self) -> Vec<u16> {
        match self.status {
            PageStatus::Exactly(status) => vec![status],
            PageStatus::Class(4) => vec![400, 404],
            PageStatus::Class(_) => vec![500, 502, 503, 504],
        }
    }
}

impl fmt::Display for PageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            PageStatus::Exactly(status) => write!(f, "{status}.{}", self.form.extension()),
            PageStatus::Class(class) => write!(f, "{class}xx.{}", self.form.extension()),
        }
    }
}

impl Form {
    /// All of them; the order is that of preference where a client has none.
    pub const ALL: [Self; 4] = [Self::Text, Self::Json, Self::Problem, Self::Html];

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Html => "text/html",
            Self::Json => "application/json",
            Self::Problem => "application/problem+json",
            Self::Text => "text/plain",
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Json => "json",
            Self::Problem => "problem.json",
            Self::Text => "txt",
        }
    }
}

impl Template {
    /// Takes a template that can be read and rendered, in little time and space.
    ///
    /// # Errors
    /// With what is wrong with it, and in which line.
    pub fn try_new(name: PageName, source: &str) -> Result<Self, TemplateError> {
        let mut engine = Engine::default();
        engine.add(name, source)?;
        for status in name.examples() {
            for retry_after in [None, Some(1)] {
                engine.render(name, &Shown::example(status, retry_after))?;
            }
        }
        Ok(Self(source.into()))
    }

    /// As it is written.
    pub fn source(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests;
