//! What each piece of YAML in the documents is.
//!
//! A block says it behind `yaml`: nothing, and it is whole Kubernetes objects, in which `bywash check`
//! finds nothing; `wrong`, and it finds something there; `values`, and it is values of the chart; the name of another
//! program, and it is a file of that one.

use serde_json::Value;

use super::markdown::{Block, Page};

/// Whose files are shown too.
const OTHERS: [&str; 3] = ["github-actions", "pre-commit", "prometheus"];

/// What a block of YAML is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Objects,
    Wrong,
    Values,
    Other,
}

/// All pieces of YAML of a page.
pub(crate) fn yaml(page: &Page) -> Vec<(Form, Block)> {
    let form = |block: Block| {
        let words = block.kind.as_deref()?.strip_prefix("yaml")?.trim();
        let form = match words {
            "" => Form::Objects,
            "wrong" => Form::Wrong,
            "values" => Form::Values,
            other if OTHERS.contains(&other) => Form::Other,
            other => panic!("{}: yaml of which kind is {other}?", page.at(block.line)),
        };
        Some((form, block))
    };
    page.blocks().into_iter().filter_map(form).collect()
}

/// The documents of a block.
pub(crate) fn documents(at: &str, text: &str) -> Vec<Value> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{at}: {error}"));
    documents.into_iter().filter(|it| !it.is_null()).collect()
}
