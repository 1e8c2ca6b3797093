//! How times and counts are written in JSON: in logs, and where people debug.

use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use crate::failure::Cause;

/// RFC 3339 with milliseconds, in UTC.
///
/// # Errors
/// When the serializer fails.
pub fn timestamp<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    let time = jiff::Timestamp::try_from(*time).unwrap_or_default();
    serializer.collect_str(&format_args!("{time:.3}"))
}

/// Milliseconds, to the microsecond.
///
/// # Errors
/// When the serializer fails.
pub fn millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(in_millis(*duration))
}

/// The label of a cause.
///
/// # Errors
/// When the serializer fails.
pub fn label<S: Serializer>(cause: &Option<Cause>, serializer: S) -> Result<S::Ok, S::Error> {
    cause.map(Cause::label).serialize(serializer)
}

/// Whether a count is not worth a field.
pub(super) fn is_zero<T: Default + PartialEq>(count: &T) -> bool {
    *count == T::default()
}

pub(super) fn in_millis(duration: Duration) -> f64 {
    let micros = u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
    f64::from(micros) / 1000.0
}
