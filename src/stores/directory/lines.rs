//! In which line of a document a field stands.

use std::fmt;
use std::sync::OnceLock;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

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
        let shape = self.shape.get_or_init(|| Shape::of(&self.text));
        Some(self.first_line + shape.line(pointer)? - 1)
    }
}

/// The shape of a document, with the line of each field and item.
#[derive(Debug)]
pub(super) enum Shape {
    Map(Vec<(String, u32, Shape)>),
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
                    field.map(|(_, line, shape)| (*line, shape))
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
            fields.push((key.value, line_of(key.referenced), shape));
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
}
