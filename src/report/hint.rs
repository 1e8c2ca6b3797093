//! What the bytes of a failed attempt suggest beyond its cause, for whoever explains it.
//!
//! Noted where the bytes are read, since nobody sees them later; typed and bounded, so that nothing
//! which an endpoint sent is repeated to anybody.

use serde::{Deserialize, Serialize};

/// What an attempt tells besides its cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Hint {
    /// What came in begins as this protocol does.
    Speaks(Protocol),
    /// The response head has more bytes than are taken.
    HeadOverBytes(u32),
    /// The response head has more fields than are taken.
    HeadOverFields(u32),
    /// The certificate was good until then, in seconds since 1970.
    Expired(u64),
    /// The certificate is not good before then, in seconds since 1970.
    NotYetValid(u64),
    /// The certificate has other names.
    WrongName(Box<Names>),
    /// The certificate is of an issuer that is not trusted.
    UnknownIssuer,
    /// The certificate is that of a certificate authority, which no server may present as its own.
    CaAsServer,
    /// The handshake was refused with this alert of TLS.
    Alert(u8),
    /// The connection ended within the TLS handshake, without a word.
    SilentHandshake,
    /// The connection stood, and the TLS handshake was not over in time.
    LateHandshake,
    /// The body ended after so many bytes.
    BodyEnded {
        /// Bytes that came.
        received: u64,
        /// Bytes that the head announced, if it did.
        announced: Option<u64>,
    },
}

/// The names of a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Names {
    /// The one that was asked for.
    pub wanted: Box<str>,
    /// Some of those that it has.
    pub found: Vec<Box<str>>,
}

/// Protocols that are known by their first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Protocol {
    /// TLS.
    Tls,
    /// Anything but TLS, in answer to a handshake.
    NotTls,
    /// HTTP/2.
    Http2,
    /// SSH.
    Ssh,
    /// The protocol of Redis.
    Redis,
    /// SMTP or FTP.
    Mail,
}

impl Protocol {
    /// What begins with these bytes, if it is known and not HTTP/1.
    pub fn begins_with(bytes: &[u8]) -> Option<Self> {
        match bytes {
            // A TLS record: handshake or alert, of any version (RFC 8446 section 5.1).
            [0x15 | 0x16, 3, 0..=4, ..] => Some(Self::Tls),
            // A SETTINGS frame of a sane length, the first that a server sends, without padding
            // (RFC 9113 sections 3.4 and 4.1).
            [0, 0, _, 4, ..] => Some(Self::Http2),
            _ if bytes.starts_with(b"SSH-") => Some(Self::Ssh),
            _ if bytes.starts_with(b"-ERR ") => Some(Self::Redis),
            _ if bytes.starts_with(b"220 ") || bytes.starts_with(b"220-") => Some(Self::Mail),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_known_by_their_first_bytes() {
        for (bytes, protocol) in [
            // An alert of OpenSSL about a request in plain text.
            (
                &b"\x15\x03\x01\x00\x02\x02\x46\x00"[..],
                Some(Protocol::Tls),
            ),
            (b"\x15\x03\x03\x00\x02\x02\x0a\x00", Some(Protocol::Tls)),
            (b"\x00\x00\x12\x04\x00\x00\x00\x00", Some(Protocol::Http2)),
            (b"\x00\x00\x00\x04\x00\x00\x00\x00", Some(Protocol::Http2)),
            (b"SSH-2.0-", Some(Protocol::Ssh)),
            (b"-ERR unk", Some(Protocol::Redis)),
            (b"220 mail", Some(Protocol::Mail)),
            (b"garbage!", None),
            (b"\0\0\0\0\0\0\0\0", None),
            (b"", None),
        ] {
            assert_eq!(Protocol::begins_with(bytes), protocol, "{bytes:?}");
        }
    }
}
