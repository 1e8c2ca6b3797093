//! Answers that are none, or break off.

use crate::failure::Cause;
use crate::report::hint::{Hint, Protocol};

use super::situation::{Situation, capital};
use super::words::size;
use super::{Advice, Code, pods};

pub(super) fn explain(it: &Situation<'_>) -> Advice {
    let spoken = it.hints().find_map(|hint| match hint {
        Hint::Speaks(protocol) => Some(*protocol),
        _ => None,
    });
    match (it.problem.cause, spoken) {
        (Cause::NotHttp, Some(protocol)) => speaks(it, protocol, false),
        (Cause::NotHttp, None) => {
            pods::new_version(it).unwrap_or_else(|| other(it, "something else"))
        }
        (Cause::HeadTooLarge, _) => too_large(it),
        (Cause::HeadIncomplete, _) => breaks_off(it, Code::HeadBreaksOff),
        (Cause::BodyIncomplete | Cause::BodyReset | Cause::BodyStreamReset, _) => {
            breaks_off(it, Code::BodyBreaksOff)
        }
        (Cause::BodyTooLarge, _) => {
            let sentence = format!(
                "{} answers with a body that is larger than the policy allows. Have it answer in smaller \
                 parts, or raise the limit in the GatewayPolicy.",
                it.app()
            );
            Advice::of(Code::BodyTooLarge, sentence)
        }
        (Cause::InvalidJson, _) => {
            let sentence = format!(
                "{} answers with a body that is not the JSON which its Content-Type announces. Look in \
                 its log for what it answers by the request ID; have it send its errors and pages \
                 under a Content-Type of their own.",
                it.app()
            );
            Advice::of(Code::NotJson, sentence)
        }
        (Cause::UpgradeFailed, _) => {
            let sentence = format!(
                "{} switches to a protocol that nobody asked for. Have it answer 101 to requests with \
                 Upgrade alone, and with the protocol that they name.",
                it.app()
            );
            Advice::of(Code::UnaskedUpgrade, sentence)
        }
        (
            Cause::BadStatusLine
            | Cause::BadHeader
            | Cause::BadTransferCoding
            | Cause::BodyBadChunk,
            _,
        ) => malformed(it),
        _ => http2(it),
    }
}

/// The port speaks this instead of HTTP/1.1.
pub(super) fn speaks(it: &Situation<'_>, protocol: Protocol, likely: bool) -> Advice {
    let port = capital(&it.port_there());
    let (code, what, next) = match protocol {
        Protocol::Tls => (
            Code::PlainHttpToTls,
            "speaks TLS, and Bywash sends plain HTTP there",
            "Set appProtocol: https on it, with upstreamTls.caConfigMap in a GatewayPolicy if a CA of \
             your own signs, or lead targetPort to the plain port",
        ),
        Protocol::Http2 => (
            Code::OnlyHttp2,
            "speaks HTTP/2 alone, as gRPC servers do, and Bywash sends HTTP/1.1 there",
            "Have the app take HTTP/1.1 on that port too, or lead targetPort to a port that does",
        ),
        Protocol::Ssh => return other(it, "SSH"),
        Protocol::Redis => return other(it, "the protocol of Redis"),
        Protocol::Mail => return other(it, "SMTP or FTP"),
        Protocol::NotTls => return other(it, "something else"),
    };
    let of = it.who();
    let here = it.port();
    let make = if likely { Advice::likely } else { Advice::of };
    let what = if likely {
        format!("ends connections without a word: likely it {what}")
    } else {
        what.to_owned()
    };
    make(code, format!("{port} of {of} ({here}) {what}. {next}."))
}

fn other(it: &Situation<'_>, what: &str) -> Advice {
    let sentence = format!(
        "{} leads to a port where {} speaks {what}, not HTTP. Lead targetPort of {} to the port that \
         speaks HTTP.",
        capital(&it.port()),
        it.who(),
        it.service()
    );
    Advice::of(Code::OtherProtocol, sentence)
}

fn too_large(it: &Situation<'_>) -> Advice {
    let what = it.hints().find_map(|hint| match hint {
        Hint::HeadOverBytes(bytes) => Some(format!(
            "a header section larger than the {} that Bywash takes",
            size(u64::from(*bytes))
        )),
        Hint::HeadOverFields(fields) => Some(format!(
            "more than the {fields} header fields that Bywash takes"
        )),
        _ => None,
    });
    let what = what.unwrap_or_else(|| "a header section larger than Bywash takes".to_owned());
    let sentence = format!(
        "{} answers with {what}. Have it send less: mostly it is Set-Cookie that repeats, a session kept \
         in cookies, or a long Content-Security-Policy.",
        it.app()
    );
    Advice::of(Code::HeadTooLarge, sentence)
}

fn breaks_off(it: &Situation<'_>, code: Code) -> Advice {
    if let Some(advice) = pods::ended(it).or_else(|| pods::leaving(it)) {
        return advice;
    }
    let ended = it.hints().find_map(|hint| match hint {
        Hint::BodyEnded {
            received,
            announced,
        } => Some((*received, *announced)),
        _ => None,
    });
    let subject = it.app();
    let how = match (code, ended) {
        (Code::HeadBreaksOff, _) => {
            format!("{subject} ends the connection inside the response's head")
        }
        (_, Some((received, Some(announced)))) => format!(
            "{subject} announces {} and ends the body after {}",
            size(announced),
            size(received)
        ),
        (_, Some((received, None))) => {
            format!("{subject} breaks the body off after {}", size(received))
        }
        (_, None) => format!("{subject} breaks the body off"),
    };
    let or = match ended {
        Some((_, Some(_))) => ", or sets a wrong Content-Length",
        _ => "",
    };
    let sentence = format!(
        "{how}: likely it crashes or runs into a time limit of its own while it answers{or}. See {} at \
         that time.",
        it.log()
    );
    Advice::likely(code, sentence)
}

fn malformed(it: &Situation<'_>) -> Advice {
    let (code, what) = match it.problem.cause {
        Cause::BadStatusLine => (Code::MalformedHead, "a malformed status line"),
        Cause::BadTransferCoding => (
            Code::MalformedHead,
            "a Transfer-Encoding that does not end in chunked",
        ),
        Cause::BodyBadChunk => (Code::MalformedBody, "a malformed chunk in its body"),
        _ => (
            Code::MalformedHead,
            "a malformed header section: a name with spaces, a folded line, a NUL, or lengths that differ",
        ),
    };
    let sentence = format!(
        "{} answers with {what}. Correct what writes it (curl -v shows it from a Pod beside \
         it); no retry and no setting heals that.",
        it.app()
    );
    Advice::of(code, sentence)
}

fn http2(it: &Situation<'_>) -> Advice {
    if let Some(advice) = pods::state(it) {
        return advice;
    }
    let (what, next) = match it.problem.cause {
        Cause::NotHttp2 => (
            "does not speak HTTP/2",
            "Enable HTTP/2 there, or do not ask for it",
        ),
        Cause::Http11Required => ("wants HTTP/1.1", "Do not ask for HTTP/2 there"),
        Cause::StreamRefused => (
            "refuses streams of HTTP/2",
            "Raise its limit of concurrent streams, or add Pods",
        ),
        Cause::H2Internal => (
            "resets so many streams that Bywash gave the connection up",
            "See why it resets them",
        ),
        Cause::H2ConnectionLost => ("broke an HTTP/2 connection", "See its log at that time"),
        _ => ("resets streams of HTTP/2", "See its log at that time"),
    };
    let sentence = format!("{} {what}. {next}: {}.", it.app(), it.log());
    Advice::of(Code::Http2Broken, sentence)
}
