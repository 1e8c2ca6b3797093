//! Where a request stands in a trace: the fields of <https://www.w3.org/TR/trace-context/>.
//!
//! They are passed on as they came where they can be right. What cannot is dropped here, so that neither
//! the upstream nor a trace of ours continues something that nobody began.

use http::{HeaderMap, HeaderName, HeaderValue};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The most members of a `tracestate` (section 3.3.1.1).
const MOST_MEMBERS: usize = 32;

/// A position in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Which trace; never 0.
    pub trace: u128,
    /// The span; never 0.
    pub span: u64,
    /// Whether it is recorded.
    pub sampled: bool,
}

impl Position {
    /// Reads the value of a `traceparent`; of a version that is not known yet, what this one knows of it
    /// (section 3.2.4).
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        let version = hex(text.get(..2)?)?;
        let more = match text.get(55) {
            None => true,
            Some(b'-') => version > 0,
            Some(_) => false,
        };
        let separated = [2, 35, 52].iter().all(|at| text.get(*at) == Some(&b'-'));
        if version == 0xff || !more || !separated {
            return None;
        }
        let trace = hex(text.get(3..35)?)?;
        let span = u64::try_from(hex(text.get(36..52)?)?).ok()?;
        let flags = hex(text.get(53..55)?)?;
        (trace != 0 && span != 0).then_some(Self {
            trace,
            span,
            sampled: flags & 1 == 1,
        })
    }

    /// As the value of a `traceparent`.
    pub fn field(self) -> Option<HeaderValue> {
        let Self {
            trace,
            span,
            sampled,
        } = self;
        let text = format!("00-{trace:032x}-{span:016x}-{:02x}", u8::from(sampled));
        HeaderValue::try_from(text).ok()
    }

    /// Writes it into the fields of a request.
    pub fn write(self, headers: &mut HeaderMap) {
        if let Some(field) = self.field() {
            headers.insert(TRACEPARENT, field);
        }
    }

    /// That of a request with these fields. Fields that cannot be right are removed: a `tracestate` means
    /// nothing without a `traceparent` (section 3.3.1.4).
    pub fn take(headers: &mut HeaderMap) -> Option<Self> {
        let mut parents = headers.get_all(TRACEPARENT).iter();
        let position = match (parents.next(), parents.next()) {
            (None, _) => {
                headers.remove(TRACESTATE);
                return None;
            }
            (Some(one), None) => one.to_str().ok().and_then(Self::parse),
            (Some(_), Some(_)) => None,
        };
        if position.is_none() {
            headers.remove(TRACEPARENT);
        }
        if position.is_none() || !is_state(headers) {
            headers.remove(TRACESTATE);
        }
        position
    }
}

/// Lower-case hexadecimal digits, at most 32 of them.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |value: u128, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u128::from(digit))
    })
}

/// Whether the members of all `tracestate` fields together are as section 3.3.1.3 has them.
fn is_state(headers: &HeaderMap) -> bool {
    let values = headers.get_all(TRACESTATE).iter();
    let members = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let mut keys: Vec<&[u8]> = Vec::new();
    for member in members.map(<[u8]>::trim_ascii) {
        if member.is_empty() {
            continue;
        }
        let Some(equals) = member.iter().position(|byte| *byte == b'=') else {
            return false;
        };
        let (key, value) = (&member[..equals], &member[equals + 1..]);
        if keys.len() == MOST_MEMBERS || keys.contains(&key) || !is_key(key) || !is_value(value) {
            return false;
        }
        keys.push(key);
    }
    true
}

fn is_key(key: &[u8]) -> bool {
    let begins = |part: &[u8]| {
        part.first()
            .is_some_and(|it| it.is_ascii_lowercase() || it.is_ascii_digit())
    };
    let made_of = |part: &[u8]| {
        part.iter()
            .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || b"_-*/@".contains(it))
    };
    begins(key) && made_of(key) && key.len() <= 256
}

fn is_value(value: &[u8]) -> bool {
    let printable = |it: &u8| (0x20..=0x7e).contains(it) && *it != b'=';
    !value.is_empty() && value.len() <= 256 && value.iter().all(printable)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn fields(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_position_is_read_and_written_as_it_was() {
        let position = Position::parse(PARENT).unwrap();
        assert_eq!(position.trace, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!(
            (position.span, position.sampled),
            (0x00f0_67aa_0ba9_02b7, true)
        );
        assert_eq!(position.field().unwrap(), PARENT);
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later = format!("cc{}-what-comes", &PARENT[2..]);
        assert_eq!(Position::parse(&later), Position::parse(PARENT));
        assert_eq!(Position::parse(&format!("cc{}.", &PARENT[2..])), None);
    }

    #[test]
    fn what_nobody_can_have_begun_is_no_position() {
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(Position::parse(bad), None, "{bad}");
            let mut headers = fields(&[("traceparent", bad), ("tracestate", "a=1")]);
            assert_eq!(Position::take(&mut headers), None);
            assert!(headers.is_empty(), "{bad}");
        }
    }

    #[test]
    fn two_parents_are_none_and_a_state_without_one_means_nothing() {
        let mut headers = fields(&[("traceparent", PARENT), ("traceparent", PARENT)]);
        assert_eq!(Position::take(&mut headers), None);
        assert!(headers.is_empty());
        let mut headers = fields(&[("tracestate", "a=1")]);
        assert_eq!(Position::take(&mut headers), None);
        assert!(headers.is_empty());
    }

    #[test]
    fn a_state_passes_whole_or_not_at_all() {
        for good in ["a=1", "a=1, b=2", "tenant@vendor=x y", "", "a=1,,b=2"] {
            let mut headers = fields(&[("traceparent", PARENT), ("tracestate", good)]);
            assert!(Position::take(&mut headers).is_some());
            assert_eq!(headers["tracestate"], good);
        }
        let many: Vec<String> = (0..33).map(|n| format!("k{n}=1")).collect();
        for bad in ["a", "a=1,a=2", "A=1", "a=", "a=b=c", "=1", &many.join(",")] {
            let mut headers = fields(&[("traceparent", PARENT), ("tracestate", bad)]);
            assert!(Position::take(&mut headers).is_some());
            assert!(!headers.contains_key("tracestate"), "{bad}");
            assert!(headers.contains_key("traceparent"));
        }
    }
}
