//! TLS that does not come about.

use crate::failure::{Cause, TlsAlert};
use crate::report::hint::{Hint, Names, Protocol};

use super::situation::Situation;
use super::words::{list, seconds};
use super::{Advice, Code};

pub(super) fn explain(it: &Situation<'_>) -> Advice {
    match it.problem.cause {
        Cause::CaUnavailable => ca_missing(it),
        Cause::TlsAlert(alert) => {
            let seen = it.hints().find_map(|hint| match hint {
                Hint::Alert(number) => Some(TlsAlert(*number)),
                _ => None,
            });
            refused(it, seen.unwrap_or(alert))
        }
        Cause::TlsCertificate => it
            .hints()
            .find_map(|hint| certificate(it, hint))
            .unwrap_or_else(|| unusable(it)),
        _ => broken(it),
    }
}

fn ca_missing(it: &Situation<'_>) -> Advice {
    let sentence = format!(
        "What the certificates of {} are to be verified by is missing or unusable: create the ConfigMap \
         that upstreamTls.caConfigMap names, with ca.crt and the label bywash.dev/ca=true. The policy's \
         ResolvedRefs says what is wrong with it.",
        it.service()
    );
    Advice::of(Code::CaMissing, sentence)
}

fn certificate(it: &Situation<'_>, hint: &Hint) -> Option<Advice> {
    let who = it.who();
    Some(match hint {
        Hint::Expired(at) => {
            let at = seconds(*at, it.facts.at);
            let sentence = format!(
                "The certificate of {who} expired at {at}. Renew it, have the app load the new one, and \
                 see why it was not renewed by itself: with cert-manager, kubectl get certificate{}.",
                it.in_namespace()
            );
            Advice::of(Code::CertificateExpired, sentence)
        }
        Hint::NotYetValid(at) => {
            let at = seconds(*at, it.facts.at);
            let sentence = format!(
                "The certificate of {who} is not good before {at}. Wait, issue it anew, or set the clock \
                 of the node right if that is wrong.",
            );
            Advice::of(Code::CertificateNotYetValid, sentence)
        }
        Hint::WrongName(names) => wrong_name(it, names),
        Hint::UnknownIssuer => {
            let sentence = format!(
                "The certificate of {who} is of an issuer that is not trusted. Put the issuer's \
                 certificate as ca.crt into a ConfigMap with the label bywash.dev/ca=true, and name it in \
                 upstreamTls.caConfigMap of a GatewayPolicy for {}.",
                it.service()
            );
            Advice::of(Code::UnknownIssuer, sentence)
        }
        Hint::CaAsServer => {
            let sentence = format!(
                "The certificate of {who} is that of a certificate authority (CA:TRUE), as openssl req -x509 \
                 makes them. Issue one with basicConstraints=CA:FALSE for the app: openssl req -x509 -addext \
                 basicConstraints=critical,CA:FALSE, or let that authority sign it.",
            );
            Advice::of(Code::CertificateOfCa, sentence)
        }
        _ => return None,
    })
}

fn wrong_name(it: &Situation<'_>, names: &Names) -> Advice {
    let wanted = it.name(&names.wanted);
    let found: Vec<String> = names.found.iter().map(|name| it.name(name)).collect();
    let has = match list(&found) {
        Some(found) => format!("is for {found}, not for {wanted}"),
        None => format!("has no name, so that it is not for {wanted}"),
    };
    let sentence = format!(
        "The certificate of {} {has}. Issue one for {wanted}, or set upstreamTls.serverName of a \
         GatewayPolicy for {} to a name that it has.",
        it.who(),
        it.service()
    );
    Advice::of(Code::CertificateName, sentence)
}

fn unusable(it: &Situation<'_>) -> Advice {
    let sentence = format!(
        "The certificate of {} cannot be verified. Look at it with openssl s_client -showcerts; the \
         access log of Bywash has what is wrong with it.",
        it.who()
    );
    Advice::of(Code::CertificateUnusable, sentence)
}

fn refused(it: &Situation<'_>, alert: TlsAlert) -> Advice {
    let name = alert.name().map_or(format!("{}", alert.0), str::to_owned);
    let next = match alert.0 {
        42..=46 | 48 | 116 => {
            "It wants a client's certificate, which Bywash has none of: have it accept connections \
             without one"
        }
        70 | 71 => "Have it speak TLS 1.2 or 1.3",
        112 => {
            "It knows no such server name: set upstreamTls.serverName of a GatewayPolicy to one that it \
             has a certificate for"
        }
        120 => "It speaks HTTP/2 alone here: have it offer http/1.1 by ALPN",
        _ => "See its log, and its TLS versions and ciphers",
    };
    let sentence = format!(
        "{} refuses the TLS handshake with the alert {name}. {next}.",
        it.app()
    );
    Advice::of(Code::HandshakeRefused, sentence)
}

fn broken(it: &Situation<'_>) -> Advice {
    let spoken = it.hints().find_map(|hint| match hint {
        Hint::Speaks(protocol) => Some((*protocol, false)),
        Hint::SilentHandshake => Some((Protocol::NotTls, true)),
        _ => None,
    });
    if let Some((Protocol::NotTls, likely)) = spoken {
        return plain(it, likely);
    }
    let sentence = format!(
        "TLS with {} breaks in the handshake. Try openssl s_client from a Pod beside it, and see {}; \
         if the port speaks plain HTTP, take upstreamTls and appProtocol away from {}.",
        it.who(),
        it.log(),
        it.port()
    );
    Advice::of(Code::TlsBroken, sentence)
}

/// The connection stood, so that the network is not to blame.
pub(super) fn slow(it: &Situation<'_>) -> Option<Advice> {
    let late = |hint: &Hint| *hint == Hint::LateHandshake;
    it.hints().any(late).then(|| {
        let sentence = format!(
            "{} takes connections on {} and does not answer the TLS handshake in time: likely it has more \
             to do than it can, or speaks something else than TLS there. See {}; timeouts.connect is how \
             long Bywash waits.",
            it.app(),
            it.port_there(),
            it.log()
        );
        Advice::likely(Code::SlowHandshake, sentence)
    })
}

/// The port is one for plain HTTP.
fn plain(it: &Situation<'_>, likely: bool) -> Advice {
    let protocol = it
        .service_port()
        .and_then(|port| port.app_protocol.as_deref());
    let asked = match protocol {
        Some(protocol) => format!("appProtocol: {}", it.name(protocol)),
        None => "upstreamTls".to_owned(),
    };
    let port = it.port_there();
    let (does, make): (_, fn(Code, String) -> Advice) = if likely {
        (
            format!(
                "{} ends the TLS handshake on {port} without a word: likely it speaks plain HTTP",
                it.app()
            ),
            Advice::likely,
        )
    } else {
        (
            format!("{} does not answer in TLS on {port}", it.app()),
            Advice::of,
        )
    };
    let sentence = format!(
        "{does}, but {asked} of {} asks for TLS. Take that away, or lead targetPort to the port that \
         speaks TLS.",
        it.port()
    );
    make(Code::TlsToPlainHttp, sentence)
}
