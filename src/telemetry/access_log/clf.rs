//! The Common Log Format (<https://httpd.apache.org/docs/2.4/logs.html#common>).

use std::io::{self, Write};

use super::Record;

/// Appends a record, without the end of the line.
pub(super) fn write(line: &mut Vec<u8>, record: &Record<'_>) -> io::Result<()> {
    let time = jiff::Timestamp::try_from(record.time).unwrap_or_default();
    let time = time.strftime("%d/%b/%Y:%H:%M:%S +0000");
    write!(line, "{} - - [{time}] \"", record.client)?;
    if record.method.is_empty() {
        // The head could not be read.
        line.push(b'-');
    } else {
        request_line(line, record)?;
    }
    write!(line, "\" {} ", record.status)?;
    match record.bytes_sent {
        0 => line.push(b'-'),
        bytes => write!(line, "{bytes}")?,
    }
    Ok(())
}

fn request_line(line: &mut Vec<u8>, record: &Record<'_>) -> io::Result<()> {
    escape(line, record.method)?;
    line.push(b' ');
    escape(line, record.path)?;
    if let Some(query) = record.query {
        line.push(b'?');
        escape(line, query)?;
    }
    write!(line, " {}", record.protocol)
}

/// What could end the quoted part or the line, as `\xHH`.
fn escape(line: &mut Vec<u8>, text: &str) -> io::Result<()> {
    for byte in text.bytes() {
        if byte == b'"' || byte == b'\\' || !(b' '..=b'~').contains(&byte) {
            write!(line, "\\x{byte:02x}")?;
        } else {
            line.push(byte);
        }
    }
    Ok(())
}
