//! The documents as they are read, and the blocks of code in each.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A document of this project.
pub(crate) struct Page {
    /// Below the root of the repository.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// A block of code.
pub(crate) struct Block {
    /// What stands behind the fence: the language, and for `yaml` what it is for. Without a fence nothing.
    pub(crate) kind: Option<String>,
    pub(crate) text: String,
    /// Where it begins.
    pub(crate) line: usize,
}

/// All documents: those that are pages of the site, and its summary.
pub(crate) fn pages() -> Vec<Page> {
    let mut found = Vec::new();
    for name in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"] {
        found.push(PathBuf::from(name));
    }
    for folder in ["docs", "charts", "examples"] {
        collect(Path::new(folder), &mut found);
    }
    found.sort();
    let page = |path: PathBuf| Page {
        text: fs::read_to_string(root().join(&path)).unwrap(),
        path,
    };
    found.into_iter().map(page).collect()
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = folder.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

impl Page {
    /// Where something is, for people.
    pub(crate) fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }

    pub(crate) fn blocks(&self) -> Vec<Block> {
        let mut found: Vec<Block> = Vec::new();
        let mut inside = false;
        for (event, range) in self.events() {
            match event {
                Event::Start(Tag::CodeBlock(kind)) => {
                    inside = true;
                    found.push(Block {
                        kind: match kind {
                            CodeBlockKind::Fenced(kind) => Some(kind.into_string()),
                            CodeBlockKind::Indented => None,
                        },
                        text: String::new(),
                        line: self.line(range.start),
                    });
                }
                Event::End(TagEnd::CodeBlock) => inside = false,
                Event::Text(text) if inside => {
                    if let Some(block) = found.last_mut() {
                        block.text.push_str(&text);
                    }
                }
                _ => {}
            }
        }
        found
    }

    pub(crate) fn events(&self) -> impl Iterator<Item = (Event<'_>, Range<usize>)> {
        Parser::new_ext(&self.text, Options::ENABLE_TABLES).into_offset_iter()
    }

    pub(crate) fn line(&self, offset: usize) -> usize {
        self.text[..offset].matches('\n').count() + 1
    }
}
