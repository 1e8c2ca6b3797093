//! Durations as the Gateway API writes them (GEP-2257): `500ms`, `10s`, `1h30m`.
//!
//! One spelling everywhere, in flags as in `GatewayPolicy`: no fractions, no days, and a bare number
//! is refused, because nobody remembers whether it meant seconds.

use std::str::FromStr;
use std::time::Duration;

/// A duration of at most four numbers of at most five digits, each with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GatewayDuration(Duration);

/// Not a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a duration; write a number and h, m, s or ms, for example 500ms, 10s or 1h30m")]
pub struct InvalidDuration;

impl GatewayDuration {
    /// The duration itself.
    pub fn get(self) -> Duration {
        self.0
    }
}

impl FromStr for GatewayDuration {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, InvalidDuration> {
        let mut rest = text;
        let mut total = Duration::ZERO;
        let mut parts = 0;
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, tail) = rest.split_at(digits);
            let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
            let (unit, tail) = tail.split_at(letters);
            let millis = match unit {
                "h" => 3_600_000,
                "m" => 60_000,
                "s" => 1000,
                "ms" => 1,
                _ => return Err(InvalidDuration),
            };
            parts += 1;
            if parts > 4 || digits > 5 {
                return Err(InvalidDuration);
            }
            let number: u64 = number.parse().map_err(|_| InvalidDuration)?;
            total += Duration::from_millis(number * millis);
            rest = tail;
        }
        if parts == 0 {
            return Err(InvalidDuration);
        }
        Ok(Self(total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_units_add_up() {
        for (text, millis) in [
            ("0s", 0),
            ("500ms", 500),
            ("10s", 10_000),
            ("1h30m", 5_400_000),
            ("1h1m1s1ms", 3_661_001),
            ("99999h", 99_999 * 3_600_000),
        ] {
            let duration: GatewayDuration = text.parse().unwrap();
            assert_eq!(duration.get(), Duration::from_millis(millis), "{text}");
        }
    }

    #[test]
    fn what_could_be_misread_is_refused() {
        for text in [
            "",
            "10",
            "1.5s",
            "-1s",
            "1d",
            "10 s",
            "s",
            "1us",
            "100000s",
            "1s1s1s1s1s",
            "1S",
            "١s",
        ] {
            assert_eq!(
                text.parse::<GatewayDuration>(),
                Err(InvalidDuration),
                "{text:?}"
            );
        }
    }
}
