//! Manifests that are read once: files, directories, or what another program printed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use serde_json::Value;

use super::lines::Sheet;
use super::manifest::{self, NO_OBJECT};
use super::scan::{Contents, Listing, position};
use crate::report::{FilePosition, Finding, ObjectRef};
use crate::stores::{View, source};

/// A text with manifests.
#[derive(Clone, Debug)]
pub struct Text {
    /// What it is called where something is said about it.
    pub name: PathBuf,
    /// The manifests.
    pub content: String,
    /// Whether it was found in a directory, where other files may lie beside manifests.
    pub found: bool,
}

/// What some texts hold.
#[derive(Debug, Default)]
pub struct Reading {
    /// The objects, and what is wrong with the texts.
    pub view: View,
    /// The objects as they are written, those included that cannot be read.
    pub written: Vec<Written>,
    /// How many objects are of kinds that are not read.
    pub others: usize,
    /// Documents in files of directories that are no objects: values of a chart, for example.
    pub passed_over: Vec<FilePosition>,
}

/// An object as it is written.
#[derive(Clone, Debug)]
pub struct Written {
    /// Which.
    pub key: ObjectRef,
    /// What is written.
    pub value: Value,
    /// Where it begins.
    pub position: FilePosition,
    /// The template that it was made from, if a comment says so, as `helm template` writes them.
    pub source: Option<String>,
    /// The document that it stands in.
    document: Arc<Sheet>,
    /// Which item of the document's list it is, if it is one.
    item: Option<usize>,
}

/// Something cannot be read at all.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be read", path.display())]
pub struct ReadError {
    path: PathBuf,
    #[source]
    why: io::Error,
}

/// The text of a file, or those of the manifests under a directory, by name.
///
/// # Errors
/// When one of them cannot be read.
pub fn texts(path: &Path) -> Result<Vec<Text>, ReadError> {
    let fails = |path: &Path, why| ReadError {
        path: path.to_owned(),
        why,
    };
    let metadata = fs::metadata(path).map_err(|why| fails(path, why))?;
    if !metadata.is_dir() {
        return Ok(vec![text(path, false)?]);
    }
    let mut listing = Listing::default();
    listing.add(path, 0);
    if let Some((blocked, why)) = listing.blocked.pop_first() {
        return Err(fails(&blocked, io::Error::other(why)));
    }
    listing.files.keys().map(|path| text(path, true)).collect()
}

fn text(path: &Path, found: bool) -> Result<Text, ReadError> {
    let content = fs::read_to_string(path).map_err(|why| ReadError {
        path: path.to_owned(),
        why,
    })?;
    Ok(Text {
        name: path.to_owned(),
        content,
        found,
    })
}

/// Reads all of them. Objects that name no namespace are in this one, or in the default one.
pub fn read(texts: &[Text], namespace: Option<&str>) -> Reading {
    let mut contents = Contents::default();
    let mut reading = Reading::default();
    for text in texts {
        let manifest = manifest::parse_written(&text.content, namespace);
        for placed in &manifest.objects {
            contents.add(&text.name, placed, true);
        }
        for fault in manifest.faults {
            let place = position(&text.name, fault.line);
            if text.found && fault.message == NO_OBJECT {
                reading.passed_over.push(place);
                continue;
            }
            contents.findings.push(Finding {
                object: fault.object,
                position: Some(place),
                code: fault.code,
                message: fault.message,
            });
        }
        let written = manifest.written.into_iter().flatten();
        reading.written.extend(written.map(|it| Written {
            position: position(&text.name, it.line),
            source: source_of(it.document.text()),
            key: it.key,
            value: it.value,
            document: it.document,
            item: it.item,
        }));
        reading.others += manifest.others;
    }
    let (feed, source) = source();
    feed.replace(contents);
    reading.view = source.view().unwrap_or_default();
    reading
}

impl Reading {
    /// Whether there is no object in it, not even one that cannot be read or is of another kind.
    pub fn is_empty(&self) -> bool {
        self.written.is_empty() && self.others == 0 && self.view.findings.is_empty()
    }
}

impl Written {
    /// Where the field stands that a JSON pointer leads to, or what is nearest above it.
    pub fn place(&self, pointer: &str) -> FilePosition {
        let pointer = match self.item {
            Some(index) => format!("/items/{index}{pointer}"),
            None => pointer.to_owned(),
        };
        let line = self.document.line(&pointer).unwrap_or_default();
        FilePosition {
            line: line.max(self.position.line),
            file: self.position.file.clone(),
        }
    }
}

/// What the first comment of a document says that it was made from.
fn source_of(document: &str) -> Option<String> {
    let comments = document.lines().skip_while(|line| line.starts_with("---"));
    let mut comments = comments.take_while(|line| line.is_empty() || line.starts_with('#'));
    let source = comments.find_map(|line| line.strip_prefix("# Source: "))?;
    Some(source.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n";

    fn given(content: &str, found: bool) -> Reading {
        read(
            &[Text {
                name: "-".into(),
                content: content.to_owned(),
                found,
            }],
            Some("shop"),
        )
    }

    #[test]
    fn what_helm_printed_names_the_template() {
        let reading = given(
            &format!("---\n# Source: shop/templates/web.yaml\n{SERVICE}"),
            false,
        );
        let written = &reading.written[0];
        assert_eq!(written.source.as_deref(), Some("shop/templates/web.yaml"));
        assert_eq!(written.position.line, 3);
        let service = &reading.view.services[0];
        assert_eq!(service.metadata.namespace.as_deref(), Some("shop"));
    }

    #[test]
    fn fields_of_an_object_in_a_list_have_their_lines() {
        let list = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata:\n    name: web\n";
        let reading = given(&format!("# one\n---\n{list}"), false);
        assert_eq!(reading.written[0].place("/metadata/name").line, 9);
        assert_eq!(reading.written[0].place("/spec").line, 6);
    }

    #[test]
    fn other_files_of_a_directory_are_passed_over_and_a_named_one_is_not() {
        assert_eq!(given("replicas: 2\n", true).passed_over.len(), 1);
        let named = given("replicas: 2\n", false);
        assert_eq!((named.passed_over.len(), named.view.findings.len()), (0, 1));
    }

    #[test]
    fn without_an_object_there_is_nothing_in_it() {
        for content in [
            "",
            "# nothing\n---\n---\n",
            "apiVersion: v1\nkind: List\nitems: null\n",
            "apiVersion: v1\nkind: List\n",
            "apiVersion: v1\nkind: List\nitems: []\n",
        ] {
            assert!(given(content, false).is_empty(), "{content:?}");
        }
        assert!(given("replicas: 2\n", true).is_empty());
        let other = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n";
        for content in [SERVICE, other, "replicas: 2\n", "a: {\n"] {
            assert!(!given(content, false).is_empty(), "{content:?}");
        }
    }

    #[test]
    fn a_template_is_told_as_one() {
        let reading = given("kind: Service\nname: {{ .Values.name }}\n", false);
        let message = &reading.view.findings[0].message;
        assert!(message.contains("helm template"), "{message}");
    }

    #[test]
    fn objects_that_cannot_be_read_are_there_as_they_are_written() {
        let reading = given(&format!("{SERVICE}spec: 7\n"), false);
        assert_eq!(reading.view.services.len(), 0);
        assert_eq!(reading.written[0].value["spec"], 7);
    }
}
