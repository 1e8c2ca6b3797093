//! Lists, times, sizes, and names that fit.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// How many names of a list are told.
const TOLD: usize = 3;

/// `a`, `a and b`, `a, b and c`, `a, b, c and 4 more`; absent for none.
pub(super) fn list(items: &[String]) -> Option<String> {
    let told = &items[..items.len().min(TOLD)];
    let more = items.len() - told.len();
    let (last, first) = told.split_last()?;
    Some(match (first, more) {
        ([], 0) => last.clone(),
        (first, 0) => format!("{} and {last}", first.join(", ")),
        (_, more) => format!("{} and {more} more", told.join(", ")),
    })
}

/// `17:42:03 UTC`, with the day if it is another one than that of `now`.
pub(super) fn time(at: Timestamp, now: Timestamp) -> String {
    let [at, now] = [at, now].map(|time| time.to_zoned(TimeZone::UTC).datetime());
    let clock = format!("{:02}:{:02}:{:02} UTC", at.hour(), at.minute(), at.second());
    if at.date() == now.date() {
        clock
    } else {
        format!("{} {clock}", at.date())
    }
}

/// The same, of seconds since 1970.
pub(super) fn seconds(at: u64, now: Timestamp) -> String {
    let at = i64::try_from(at).ok();
    match at.and_then(|at| Timestamp::from_second(at).ok()) {
        Some(at) => time(at, now),
        None => "a time that no calendar has".to_owned(),
    }
}

/// `64 KiB`, or bytes where they are not whole.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        1 => "1 byte".to_owned(),
        _ if bytes > 0 && bytes.is_multiple_of(1024) => format!("{} KiB", bytes / 1024),
        _ => format!("{bytes} bytes"),
    }
}

/// `40 ms`, or that it is less than one.
pub(super) fn millis(time: Duration) -> String {
    match time.as_millis() {
        0 => "less than 1 ms".to_owned(),
        millis => format!("{millis} ms"),
    }
}

/// `1 restart`, `3 restarts`.
pub(super) fn count(number: u32, what: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {what}{ending}")
}

/// `text`, cut to so many bytes.
pub(super) fn short(text: &str, most: usize) -> String {
    let mut text = text.to_owned();
    cut(&mut text, most);
    text
}

/// Cuts to so many bytes, and shows it.
pub(super) fn cut(text: &mut String, most: usize) {
    const MARK: char = '…';
    if text.len() > most {
        let end = text.floor_char_boundary(most.saturating_sub(MARK.len_utf8()));
        text.truncate(end);
        text.push(MARK);
    }
}
