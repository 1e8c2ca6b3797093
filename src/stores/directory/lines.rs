//! In which line of a document a field stands.

use std::fmt;
use std::sync::OnceLock;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use super::manifest::{line_of, yaml};

/// A document, for as long as somebody may ask where its fields stand.
#[derive(Debug)]
pub(super) struct Sheet {
    text: String,
    first_line: u32,
    shape: OnceLock<Shape>,
}

impl Sheet {
    /// Keeps a document that begins with this line.
    pub(super) fn new(text: &str, first_line: u32) -> Self {
        Self {
            text: text.to_owned(),
            first_line,
            shape: OnceLock::new(),
        }
    }

    /// What is written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The line, in its file, of the deepest field on the way to a JSON pointer. Its text is read for
    /// that once, however often it is asked.
    pub(super) fn line(&self, pointer: &str) -> Option<u32> {
        Some(self.first_line + self.shape().line(pointer)? - 1)
    }

    /// The line, in its file, of the field that a JSON pointer leads to, if its name stands there without
    /// quotation marks.
    pub(super) fn line_of_bare(&self, pointer: &str) -> Option<u32> {
        let name = self.shape().name(pointer)?;
        let line = usize::try_from(name.line()).ok()?.checked_sub(1)?;
        let column = usize::try_from(name.column()).ok()?.checked_sub(1)?;
        let first = self.text.lines().nth(line)?.chars().nth(column)?;
        let bare = !matches!(first, '"' | '\'');
        bare.then(|| self.first_line + line_of(name) - 1)
    }

    fn shape(&self) -> &Shape {
        self.shape.get_or_init(|| Shape::of(&self.text))
    }
}

/// The shape of a document, with the line of each field and item.
#[derive(Debug)]
pub(super) enum Shape {
    Map(Vec<(String, Location, Shape)>),
    List(Vec<(u32, Shape)>),
    Leaf,
}

impl Shape {
    /// The shape of a document that is YAML.
    pub(super) fn of(document: &str) -> Self {
        yaml(document).unwrap_or(Self::Leaf)
    }

    /// The line of the deepest field on the way to a JSON pointer, from 1.
    pub(super) fn line(&self, pointer: &str) -> Option<u32> {
        let mut here = self;
        let mut found = None;
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            let next = match here {
                Self::Map(fields) => {
                    let field = fields.iter().find(|(name, _, _)| *name == step);
                    field.map(|(_, place, shape)| (line_of(*place), shape))
                }
                Self::List(items) => {
                    let item = step.parse().ok().and_then(|index: usize| items.get(index));
                    item.map(|(line, shape)| (*line, shape))
                }
                Self::Leaf => None,
            };
            let Some((line, shape)) = next else { break };
            (found, here) = (Some(line).filter(|line| *line > 0).or(found), shape);
        }
        found
    }

    /// Where the name of the field stands that a JSON pointer leads to.
    fn name(&self, pointer: &str) -> Option<Location> {
        let (around, name) = pointer.rsplit_once('/')?;
        let Self::Map(fields) = self.part(around)? else {
            return None;
        };
        let (_, place, _) = fields.iter().find(|(known, _, _)| known == name)?;
        Some(*place)
    }

    fn part(&self, pointer: &str) -> Option<&Self> {
        let mut steps = pointer.split('/').skip(1);
        steps.try_fold(self, |here, step| match here {
            Self::Map(fields) => {
                let (_, _, shape) = fields.iter().find(|(name, _, _)| name == step)?;
                Some(shape)
            }
            Self::List(items) => {
                let (_, shape) = items.get(step.parse::<usize>().ok()?)?;
                Some(shape)
            }
            Self::Leaf => None,
        })
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Shapes)
    }
}

struct Shapes;

macro_rules! leaves {
    ($($visit:ident: $type:ty,)+) => {$(
        fn $visit<E>(self, _: $type) -> Result<Shape, E> {
            Ok(Shape::Leaf)
        }
    )+};
}

impl<'de> Visitor<'de> for Shapes {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    leaves! {
        visit_bool: bool,
        visit_i64: i64,
        visit_u64: u64,
        visit_i128: i128,
        visit_u128: u128,
        visit_f64: f64,
        visit_str: &str,
        visit_bytes: &[u8],
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Leaf)
    }

    fn visit_none<E>(self) -> Result<Shape, E> {
        Ok(Shape::Leaf)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Shape, D::Error> {
        Shape::deserialize(deserializer)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
        let mut fields = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let shape = map.next_value()?;
            fields.push((key.value, key.referenced, shape));
        }
        Ok(Shape::Map(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Shape, A::Error> {
        let mut shapes = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Shape>>()? {
            shapes.push((line_of(item.referenced), item.value));
        }
        Ok(Shape::List(shapes))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Shape, D::Error> {
        IgnoredAny::deserialize(inner).map(|_| Shape::Leaf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
kind: GatewayPolicy
spec:
  retry:
    attempts: 3
    on:
    - reset

    - timeout
  bypass: [{path: /}]
";

    #[test]
    fn a_field_and_an_item_are_found_in_their_lines() {
        let shape = Shape::of(TEXT);
        for (pointer, line) in [
            ("/kind", 1),
            ("/spec", 2),
            ("/spec/retry", 3),
            ("/spec/retry/attempts", 4),
            ("/spec/retry/on/1", 8),
            ("/spec/bypass/0/path", 9),
        ] {
            assert_eq!(shape.line(pointer), Some(line), "{pointer}");
        }
    }

    #[test]
    fn what_is_not_there_is_where_it_would_be() {
        let shape = Shape::of(TEXT);
        assert_eq!(shape.line("/spec/retry/within"), Some(3));
        assert_eq!(shape.line("/nowhere"), None);
        assert_eq!(Shape::of("[").line("/spec"), None);
    }

    #[test]
    fn a_name_without_quotation_marks_is_told_from_one_with_them() {
        for (text, line) in [
            (TEXT, Some(14)),
            ("spec: {retry: {attempts: 2,\n  on: [reset]}}", Some(11)),
            ("spec:\n  retry:\n    \"on\": [reset]", None),
            ("spec: {retry: {'on': [reset]}}", None),
            (r#"{"spec": {"retry": {"on": ["reset"]}}}"#, None),
            ("spec: {}", None),
        ] {
            let sheet = Sheet::new(text, 10);
            assert_eq!(sheet.line_of_bare("/spec/retry/on"), line, "{text}");
        }
        let list = Sheet::new("items:\n- {}\n- {spec: {retry: {on: []}}}", 1);
        assert_eq!(list.line_of_bare("/items/1/spec/retry/on"), Some(3));
    }
}
