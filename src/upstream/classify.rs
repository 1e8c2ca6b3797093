//! From what the operating system and hyper report to the cause.
//!
//! Error types and what moved on the connection decide; never an error's text, which is for logs. What
//! they tell beyond the cause becomes a [`Hint`], and there alone a name counts where no type is left.

use std::error::Error;
use std::io;

use rustls::AlertDescription;

use crate::failure::{Cause, ClientFault, TlsAlert};
use crate::report::hint::{Hint, Names, Protocol};

use super::connection::{MAX_FIELDS, MAX_HEAD};
use super::counting::Moved;

/// How many names of a certificate are told.
const NAMES: usize = 3;

/// So much of what an error says is kept, in bytes.
const DETAIL: usize = 256;

/// Why a connection could not be opened.
pub fn connect_failure(error: &io::Error) -> Cause {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::ConnectionRefused => Cause::ConnectionRefused,
        // The connection stood, and was gone before anything was made of it.
        Kind::ConnectionReset => Cause::ClosedBeforeSend,
        Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown => {
            Cause::AddressUnroutable
        }
        Kind::TimedOut => Cause::ConnectTimeout,
        Kind::AddrNotAvailable | Kind::OutOfMemory | Kind::QuotaExceeded => Cause::LocalResources,
        _ => match error.raw_os_error() {
            // EMFILE, ENFILE, ENOBUFS, EAGAIN (no free port): Linux, all architectures but MIPS.
            Some(11 | 23 | 24 | 105) => Cause::LocalResources,
            // EACCES, EPERM: a firewall on our own side.
            _ => Cause::AddressUnroutable,
        },
    }
}

/// Why TLS did not come about on a connection that stood.
pub fn handshake_failure(error: &io::Error) -> Cause {
    use io::ErrorKind as Kind;
    match (tls_error(error), error.kind()) {
        (
            Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented),
            _,
        ) => Cause::TlsCertificate,
        (Some(rustls::Error::AlertReceived(alert)), _) => {
            Cause::TlsAlert(TlsAlert(u8::from(*alert)))
        }
        (Some(_), _) => Cause::TlsProtocol,
        (None, Kind::ConnectionReset | Kind::BrokenPipe) => Cause::ClosedBeforeSend,
        (None, Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown) => {
            Cause::AddressUnroutable
        }
        (None, Kind::TimedOut) => Cause::ConnectTimeout,
        // A plaintext peer has nothing to say to a handshake, and closes.
        (None, _) => Cause::TlsProtocol,
    }
}

/// What a failed handshake tells beyond its cause.
pub fn handshake_hint(error: &io::Error) -> Option<Box<Hint>> {
    use rustls::CertificateError as Certificate;
    use rustls::{Error, InvalidMessage};
    let hint = match tls_error(error) {
        Some(Error::InvalidCertificate(why)) => match why {
            Certificate::ExpiredContext { not_after, .. } => Hint::Expired(not_after.as_secs()),
            Certificate::NotValidYetContext { not_before, .. } => {
                Hint::NotYetValid(not_before.as_secs())
            }
            Certificate::NotValidForNameContext {
                expected,
                presented,
            } => Hint::WrongName(Box::new(Names {
                wanted: expected.to_str().into(),
                found: presented
                    .iter()
                    .take(NAMES)
                    .map(|name| plain(name))
                    .collect(),
            })),
            // A bad signature: an issuer of the same name, which has another key by now.
            Certificate::UnknownIssuer | Certificate::BadSignature => Hint::UnknownIssuer,
            Certificate::Other(why) if is_of_a_ca(why) => Hint::CaAsServer,
            _ => return None,
        },
        Some(Error::AlertReceived(alert)) => Hint::Alert(u8::from(*alert)),
        // No record of TLS begins so.
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            Hint::Speaks(Protocol::NotTls)
        }
        None if error.kind() == io::ErrorKind::UnexpectedEof => Hint::SilentHandshake,
        _ => return None,
    };
    Some(Box::new(hint))
}

/// Whether a server presents the certificate of an authority (RFC 5280 section 4.2.1.9). rustls has no
/// variant for that, and does not pass on the type of the library that found it: its name is left.
fn is_of_a_ca(why: &rustls::OtherError) -> bool {
    format!("{:?}", why.0) == "CaUsedAsEndEntity"
}

/// A name as rustls shows it: `DnsName("cart.test")`, `IpAddress(10.0.0.1)`.
fn plain(name: &str) -> Box<str> {
    let inner = name.split_once('(').map(|(_, rest)| rest);
    let inner = inner.and_then(|rest| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"').into()
}

/// What a request without a response head tells beyond its cause.
pub fn exchange_hint(cause: Cause, moved: Moved) -> Option<Box<Hint>> {
    let hint = match cause {
        Cause::TlsAlert(alert) => Hint::Alert(alert.0),
        Cause::NotHttp => Hint::Speaks(Protocol::begins_with(&moved.first)?),
        Cause::HeadTooLarge if moved.read < MAX_HEAD as u64 => Hint::HeadOverFields(MAX_FIELDS),
        Cause::HeadTooLarge => Hint::HeadOverBytes(MAX_HEAD as u32),
        _ => return None,
    };
    Some(Box::new(hint))
}

/// What a body that broke off after so many bytes tells beyond its cause.
pub fn body_hint(cause: Cause, received: u64, announced: Option<u64>) -> Option<Hint> {
    let ended = matches!(cause, Cause::BodyIncomplete | Cause::BodyReset);
    ended.then_some(Hint::BodyEnded {
        received,
        announced,
    })
}

/// The TLS alert that is behind an error, if one is.
pub fn alert(error: &io::Error) -> Option<TlsAlert> {
    match tls_error(error) {
        Some(rustls::Error::AlertReceived(alert)) => Some(TlsAlert(u8::from(*alert))),
        _ => None,
    }
}

/// Whether an alert says that the handshake is refused. Others may come at any time, for any reason
/// (RFC 8446 section 6.2).
pub fn refuses_handshake(alert: TlsAlert) -> bool {
    use AlertDescription as Alert;
    matches!(
        AlertDescription::from(alert.0),
        Alert::HandshakeFailure
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError
            | Alert::ProtocolVersion
            | Alert::InsufficientSecurity
            | Alert::MissingExtension
            | Alert::UnsupportedExtension
            | Alert::UnrecognisedName
            | Alert::UnknownPSKIdentity
            | Alert::CertificateRequired
            | Alert::NoApplicationProtocol
    )
}

/// Why a request has no response head.
pub fn exchange_failure(error: &hyper::Error, moved: Moved) -> Cause {
    if moved.written == 0 {
        return Cause::ClosedBeforeSend;
    }
    if error.is_parse_too_large() {
        return Cause::HeadTooLarge;
    }
    if error.is_parse_status() {
        return Cause::BadStatusLine;
    }
    if error.is_parse() {
        return if moved.first.starts_with(b"HTTP/1.") {
            Cause::BadHeader
        } else {
            Cause::NotHttp
        };
    }
    match io_source(error).map(io::Error::kind) {
        Some(_) if is_lost(error) => Cause::PeerVanished,
        // Of interim responses there is no end.
        Some(io::ErrorKind::FileTooLarge) => Cause::HeadTooLarge,
        Some(io::ErrorKind::UnexpectedEof) | None if moved.read == 0 => Cause::ConnectionClosed,
        Some(io::ErrorKind::UnexpectedEof) | None => Cause::HeadIncomplete,
        Some(_) => Cause::ConnectionReset,
    }
}

/// Whether a connection ended because the other side could not be reached any more: not by its will.
pub fn is_lost(error: &hyper::Error) -> bool {
    use io::ErrorKind as Kind;
    let lost = |kind| {
        matches!(
            kind,
            Kind::TimedOut | Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown
        )
    };
    io_source(error).map(io::Error::kind).is_some_and(lost)
}

/// Why a response body broke off. An end that TLS did not announce is one of the body too early: who
/// closes the connection may be anybody (RFC 8446 section 6.1).
pub fn body_failure(error: &hyper::Error) -> Cause {
    let source = io_source(error);
    if source.is_some_and(|error| tls_error(error).is_some()) {
        return Cause::BodyReset;
    }
    match source.map(io::Error::kind) {
        Some(io::ErrorKind::UnexpectedEof) | None => Cause::BodyIncomplete,
        Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => Cause::BodyBadChunk,
        Some(io::ErrorKind::TimedOut) => Cause::PeerVanished,
        Some(_) => Cause::BodyReset,
    }
}

/// What was wrong with a client's body: it broke its message, or broke off.
pub fn upload_failure(error: &hyper::Error) -> Cause {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            return match io.kind() {
                io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                    Cause::BadRequest(ClientFault::Body)
                }
                io::ErrorKind::TimedOut => Cause::BadRequest(ClientFault::BodyTimeout),
                _ => Cause::ClientAborted,
            };
        }
        if let Some(h2) = inner.downcast_ref::<h2::Error>() {
            return if h2.is_library() {
                Cause::BadRequest(ClientFault::Body)
            } else {
                Cause::ClientAborted
            };
        }
        source = inner.source();
    }
    if error.is_parse() || error.is_user() {
        Cause::BadRequest(ClientFault::Body)
    } else {
        Cause::ClientAborted
    }
}

/// What an error says, with what is behind it: for logs.
pub fn detail(error: &(dyn Error + 'static)) -> Box<str> {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let more = inner.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = inner.source();
    }
    text.truncate(text.floor_char_boundary(DETAIL));
    text.into()
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn io_source(error: &hyper::Error) -> Option<&io::Error> {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            return Some(io);
        }
        source = inner.source();
    }
    None
}

#[cfg(test)]
mod tests;
