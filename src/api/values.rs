//! Durations and quantities, as they are written.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::config::duration::GatewayDuration;

/// How durations are written (GEP-2257).
pub(super) const DURATION: &str = "^([0-9]{1,5}(h|m|s|ms)){1,4}$";

/// How quantities of bytes are written.
pub(super) const QUANTITY: &str = "^[0-9]+(k|M|Ki|Mi)?$";

/// A duration as the Gateway API writes it (GEP-2257): `500ms`, `10s`, `1h30m`. Any text, until it is
/// read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DurationText(pub String);

/// A quantity of bytes: `64Ki`, or a number of bytes. Anything, until it is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Quantity {
    /// In bytes.
    Number(i64),
    /// With or without a suffix.
    Text(String),
}

impl DurationText {
    /// The duration.
    ///
    /// # Errors
    /// With a sentence that says how one is written.
    pub fn read(&self) -> Result<Duration, String> {
        let read = self.0.parse::<GatewayDuration>();
        read.map(GatewayDuration::get)
            .map_err(|error| format!("'{}' is {error}", self.0))
    }
}

impl Quantity {
    /// The number of bytes; absent where this is not a quantity of whole bytes
    /// (<https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>).
    pub fn bytes(&self) -> Option<i64> {
        let text = match self {
            Self::Number(number) => return Some(*number),
            Self::Text(text) => text,
        };
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, suffix) = text.split_at(digits);
        let factor = match suffix {
            "" => 1,
            "k" => 1000,
            "M" => 1_000_000,
            "Ki" => 1 << 10,
            "Mi" => 1 << 20,
            _ => return None,
        };
        number.parse::<i64>().ok()?.checked_mul(factor)
    }
}

impl JsonSchema for DurationText {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 28,
            "pattern": DURATION,
        })
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "maxLength": 16,
            "pattern": QUANTITY,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Option<i64> {
        Quantity::Text(text.to_owned()).bytes()
    }

    #[test]
    fn a_quantity_is_a_number_of_bytes_with_or_without_a_suffix() {
        assert_eq!(bytes("64Ki"), Some(65_536));
        assert_eq!(bytes("1Mi"), Some(1_048_576));
        assert_eq!(bytes("1k"), Some(1000));
        assert_eq!(bytes("1M"), Some(1_000_000));
        assert_eq!(bytes("512"), Some(512));
        assert_eq!(Quantity::Number(512).bytes(), Some(512));
    }

    #[test]
    fn what_is_no_quantity_of_bytes_has_no_number() {
        for text in [
            "",
            "Ki",
            "64KiB",
            "-1",
            "1.5Ki",
            "1 Ki",
            "99999999999999999Mi",
        ] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }

    #[test]
    fn a_duration_that_is_none_says_how_to_write_one() {
        let error = DurationText("10".into()).read().unwrap_err();
        assert!(error.contains("'10' is not a duration; write"), "{error}");
        assert_eq!(
            DurationText("1m30s".into()).read(),
            Ok(Duration::from_secs(90))
        );
    }
}
