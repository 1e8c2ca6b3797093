//! One manifest: text to objects, each with its line; and what is wrong with the rest.
//!
//! Documents are told apart before they are parsed (a marker at the beginning of a line ends a
//! document wherever it stands, <https://yaml.org/spec/1.2.2/#912-document-markers>), so that one
//! that does not parse costs no other. A document becomes JSON first, as with kubectl, and an object
//! from that: a number where Kubernetes wants a string is refused here too. When that fails, it is
//! read again straight into its type, only to learn the line of the error.

use std::cell::OnceCell;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use serde_saphyr::{Spanned, budget, options};

use super::lines::Sheet;
use super::object::{Metadata, Object, admit};
use crate::api::policy::{GatewayPolicy, QUOTE_ON};
use crate::report::{Code, Kind, ObjectRef};

/// What a manifest holds.
#[derive(Debug, Default)]
pub(super) struct Manifest {
    pub(super) objects: Vec<Placed>,
    pub(super) faults: Vec<Fault>,
    /// The objects as they are written, broken ones included, where that is asked for.
    pub(super) written: Option<Vec<Written>>,
    /// How many objects are of kinds that are not read.
    pub(super) others: usize,
    /// Where objects are that do not say so; absent: in the default namespace.
    pub(super) namespace: Option<String>,
}

/// An object as it is written.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) key: ObjectRef,
    pub(super) value: Value,
    /// Where it begins, as for [`Placed`].
    pub(super) line: u32,
    /// The document that it stands in.
    pub(super) document: Arc<Sheet>,
    /// Which item of the document's list it is, if it is one.
    pub(super) item: Option<usize>,
}

/// Said of a document that is something else.
pub(super) const NO_OBJECT: &str = "this is not a Kubernetes object: apiVersion or kind is missing";

/// Said of a document that is to be made YAML yet.
const TEMPLATE: &str = "this is a template, no YAML yet: read what comes out of it, as from \
                        `helm template`";

/// An object and the line where it begins, from 1.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) line: u32,
    pub(super) key: ObjectRef,
    pub(super) object: Object,
}

/// Something that is not an object, or not a good one.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) line: u32,
    /// Which object it would be, as far as that can be told.
    pub(super) object: Option<ObjectRef>,
    pub(super) code: Code,
    pub(super) message: String,
}

/// A part of the text that holds one object or a list of them.
struct Document<'a> {
    text: &'a str,
    /// Of its first byte.
    first_line: u32,
    /// Of the first line that says something.
    line: u32,
    /// The same for whoever asks later, shared by all items of a list.
    kept: OnceCell<Arc<Sheet>>,
}

/// An object in a document.
struct Item<'a> {
    document: &'a Document<'a>,
    value: Value,
    line: u32,
    /// Which of the document's list; absent where it is the whole document, so that the document can
    /// be read as its type.
    item: Option<usize>,
}

/// Reads a manifest in YAML or JSON.
pub(super) fn parse(text: &str) -> Manifest {
    Manifest::default().parse(text)
}

/// The same, keeping what is written; objects that name no namespace are in this one.
pub(super) fn parse_written(text: &str, namespace: Option<&str>) -> Manifest {
    let manifest = Manifest {
        written: Some(Vec::new()),
        namespace: namespace.map(str::to_owned),
        ..Manifest::default()
    };
    manifest.parse(text)
}

impl Manifest {
    fn parse(mut self, text: &str) -> Self {
        for document in documents(text.trim_start_matches('\u{feff}')) {
            self.read(&document);
        }
        self
    }

    fn read(&mut self, document: &Document<'_>) {
        let value: Value = match yaml(document.text) {
            Ok(Value::Null) => return,
            Ok(value) => value,
            Err(_) => {
                let (line, message) = document.error::<Value>();
                let message = match document.text.contains("{{") {
                    true => TEMPLATE.to_owned(),
                    false => message,
                };
                return self.fault(line, None, Code::UnreadableFile, message);
            }
        };
        if is_list(&value) {
            self.read_list(document, value);
        } else {
            let line = document.line;
            self.read_item(Item {
                document,
                value,
                line,
                item: None,
            });
        }
    }

    fn read_list(&mut self, document: &Document<'_>, mut list: Value) {
        #[derive(Deserialize)]
        struct Lines {
            items: Vec<Spanned<IgnoredAny>>,
        }
        let lines: Vec<u32> = match yaml::<Lines>(document.text) {
            Ok(list) => list
                .items
                .iter()
                .map(|item| line_of(item.referenced))
                .collect(),
            Err(_) => Vec::new(),
        };
        let items = match list.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        };
        for (index, value) in items.into_iter().enumerate() {
            let line = lines.get(index).filter(|line| **line > 0);
            let line = line.map_or(document.line, |line| document.first_line + line - 1);
            self.read_item(Item {
                document,
                value,
                line,
                item: Some(index),
            });
        }
    }

    fn read_item(&mut self, mut item: Item<'_>) {
        if let Some(Value::Object(metadata)) = item.value.get_mut("metadata")
            && let Some(namespace) = &self.namespace
        {
            let said = metadata.entry("namespace").or_insert(Value::Null);
            if said.is_null() {
                *said = namespace.as_str().into();
            }
        }
        let text = |name| item.value.get(name).and_then(Value::as_str);
        let (Some(api_version), Some(kind)) = (text("apiVersion"), text("kind")) else {
            return self.fault(item.line, None, Code::InvalidObject, NO_OBJECT.to_owned());
        };
        let group = match api_version.split_once('/') {
            Some((group, _)) => group,
            None => "",
        };
        let Some(kind) = ours(group, kind) else {
            if group == "bywash.dev" {
                let message =
                    format!("this version does not know {api_version} {kind}: it has no effect");
                self.fault(item.line, None, Code::UnknownKind, message);
            }
            self.others += 1;
            return;
        };
        let metadata = match Metadata::of(kind, &item.value) {
            Ok(metadata) => metadata,
            Err(message) => return self.fault(item.line, None, Code::InvalidObject, message),
        };
        let key = metadata.key.clone();
        if api_version != kind.api_version() {
            let message = format!(
                "apiVersion {api_version} is not known: use {}",
                kind.api_version()
            );
            return self.fault(item.line, Some(key), Code::InvalidObject, message);
        }
        let line = item.line;
        if let Some(written) = &mut self.written {
            written.push(Written {
                key: key.clone(),
                value: item.value.clone(),
                line,
                document: item.document.kept(),
                item: item.item,
            });
        }
        if let Some(line) = item.bare_on(kind) {
            let message = format!("spec.retry.on: {QUOTE_ON}");
            self.fault(line, Some(key.clone()), Code::AmbiguousKey, message);
        }
        match item.object(kind, &metadata) {
            Ok(object) => self.objects.push(Placed { line, key, object }),
            Err((line, message)) => self.fault(line, Some(key), Code::InvalidObject, message),
        }
    }

    fn fault(&mut self, line: u32, object: Option<ObjectRef>, code: Code, message: String) {
        self.faults.push(Fault {
            line,
            object,
            code,
            message,
        });
    }
}

impl Item<'_> {
    /// Where a policy has a field for whose name others would read something else than we do.
    fn bare_on(&self, kind: Kind) -> Option<u32> {
        const ON: &str = "/spec/retry/on";
        if kind != Kind::GatewayPolicy {
            return None;
        }
        self.value.pointer(ON)?;
        let sheet = self.document.kept();
        match self.item {
            None => sheet.line_of_bare(ON),
            Some(index) => sheet.line_of_bare(&format!("/items/{index}{ON}")),
        }
    }

    fn object(self, kind: Kind, metadata: &Metadata) -> Result<Object, (u32, String)> {
        Ok(match kind {
            Kind::Ingress => Object::Ingress(self.typed::<Ingress>(metadata)?),
            Kind::IngressClass => Object::IngressClass(self.typed::<IngressClass>(metadata)?),
            Kind::Service => Object::Service(self.typed::<Service>(metadata)?),
            Kind::EndpointSlice => Object::EndpointSlice(self.typed::<EndpointSlice>(metadata)?),
            Kind::Secret => Object::Secret(self.typed::<Secret>(metadata)?),
            Kind::ConfigMap => Object::ConfigMap(self.typed::<ConfigMap>(metadata)?),
            Kind::GatewayPolicy => Object::GatewayPolicy(self.typed::<GatewayPolicy>(metadata)?),
        })
    }

    fn typed<K>(self, metadata: &Metadata) -> Result<Arc<K>, (u32, String)>
    where
        K: DeserializeOwned + kube::Resource + super::object::Defaults,
    {
        let error = match serde_json::from_value::<K>(self.value) {
            Ok(object) => return Ok(admit(object, metadata)),
            Err(error) => error,
        };
        let is_whole = self.item.is_none();
        let line = match is_whole && yaml::<K>(self.document.text).is_err() {
            true => self.document.error::<K>().0,
            false => self.line,
        };
        let message = match metadata.key.kind {
            // The error would show what nobody may see.
            Kind::Secret => {
                "each value of data must be base64, each of stringData a string".to_owned()
            }
            _ => format!("this is not what the field holds: {error}"),
        };
        Err((line, message))
    }
}

impl Document<'_> {
    fn kept(&self) -> Arc<Sheet> {
        let kept = || Arc::new(Sheet::new(self.text, self.first_line));
        Arc::clone(self.kept.get_or_init(kept))
    }

    /// Why the document cannot be read as a `T`, and in which line of the file.
    fn error<T: DeserializeOwned>(&self) -> (u32, String) {
        // The message may name lines: let it count from the beginning of the file.
        let padding = "\n".repeat(self.first_line as usize - 1);
        match yaml::<T>(&(padding + self.text)) {
            Ok(_) => (self.line, "cannot be read".to_owned()),
            Err(error) => {
                let line = error.location().map_or(0, line_of);
                let message = error.without_snippet().to_string();
                (line.max(self.line), message)
            }
        }
    }
}

pub(super) fn yaml<T: DeserializeOwned>(text: &str) -> Result<T, serde_saphyr::Error> {
    // One document may be a list of everything in a cluster.
    let options = options! {
        budget: budget! { max_events: 50_000_000, max_nodes: 20_000_000 },
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options)
}

pub(super) fn line_of(location: serde_saphyr::Location) -> u32 {
    u32::try_from(location.line()).unwrap_or(u32::MAX)
}

fn is_list(value: &Value) -> bool {
    let kind = value
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or_default();
    // Nothing but a list is called so, and an empty one may be written without items.
    kind == "List" || (kind.ends_with("List") && value.get("items").is_some_and(Value::is_array))
}

/// The kind, if it is one that is read; in whichever version of its group.
fn ours(group: &str, kind: &str) -> Option<Kind> {
    let kind = Kind::ALL.into_iter().find(|known| known.as_str() == kind)?;
    let own_group = match kind.api_version().split_once('/') {
        Some((group, _)) => group,
        None => "",
    };
    (group == own_group || (group == "extensions" && kind == Kind::Ingress)).then_some(kind)
}

/// Splits a text at document markers; without those that say nothing.
fn documents(text: &str) -> Vec<Document<'_>> {
    let mut found = Vec::new();
    let mut start = (0, 1);
    let mut offset = 0;
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        if offset > start.0 && is_marker(line) {
            found.extend(document(&text[start.0..offset], start.1));
            start = (offset, number);
        }
        offset += line.len();
    }
    found.extend(document(&text[start.0..], start.1));
    found
}

fn document(text: &str, first_line: u32) -> Option<Document<'_>> {
    let says_something = |line: &str| {
        let content = if is_marker(line) { &line[3..] } else { line }.trim();
        !content.is_empty() && !content.starts_with('#') && content != "..."
    };
    let ahead = text.lines().position(says_something)?;
    Some(Document {
        text,
        first_line,
        line: first_line + u32::try_from(ahead).ok()?,
        kept: OnceCell::new(),
    })
}

fn is_marker(line: &str) -> bool {
    line.strip_prefix("---")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

#[cfg(test)]
mod tests;
