//! From a cause, what was seen of it and what Kubernetes says, to a sentence that ends in what to do.
//!
//! A cause says what happened; only together with the facts does it say why, and to whom it belongs.
//! Each cause has an answer here, however little else is known: the match is exhaustive, and nothing
//! waits or fails. The most telling fact wins: a Pod that was killed explains a refused connection
//! better than the port it no longer listens on. What does not follow from the facts, but only fits
//! them, is worded as likely.
//!
//! Sentences are for the owner of the resource: names, numbers, times; never anything of a client.

mod ending;
mod http;
mod limits;
mod pods;
mod reach;
mod routes;
mod service;
mod situation;
mod slow;
mod tls;
mod words;

use crate::failure::Cause;
use crate::report::facts::{Facts, Problem};

use situation::Situation;

/// Why it fails, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// At most [`MOST`] bytes.
    pub sentence: String,
    /// The stable code of the diagnosis: a word for scripts, and the anchor in the docs.
    pub code: &'static str,
    /// Whether it only fits what is known, and does not follow from it.
    pub likely: bool,
}

/// The most bytes of a sentence.
pub const MOST: usize = 400;

/// To how many bytes names are cut, one after the other until the sentence is short enough.
const NAME_LIMITS: [usize; 4] = [253, 63, 40, 20];

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// The diagnoses.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code { $($(#[$doc])* $name,)+ }

        impl Code {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The code.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }
        }
    };
}

codes! {
    /// The Service's port leads to one that no container declares.
    WrongTargetPort,
    /// Nothing listens at the port.
    NothingListens,
    /// The Pod has just started.
    StillStarting,
    /// A container was killed for its memory.
    OutOfMemory,
    /// A container ended.
    ContainerEnded,
    /// A container cannot be started.
    CannotStart,
    /// The Pod is being deleted, or is gone.
    PodTerminating,
    /// Only the newest version fails.
    NewVersionFails,
    /// The port speaks TLS, and is not spoken TLS to.
    PlainHttpToTls,
    /// The port does not speak TLS, and is spoken TLS to.
    TlsToPlainHttp,
    /// The port speaks HTTP/2 alone.
    OnlyHttp2,
    /// The port speaks something else.
    OtherProtocol,
    /// The app closes idle connections at the moment when they are used.
    KeepAliveRace,
    /// The response's head is too large.
    HeadTooLarge,
    /// The app ends the connection instead of answering.
    EndsWithoutAnswer,
    /// The response's head breaks off.
    HeadBreaksOff,
    /// The response's head is malformed.
    MalformedHead,
    /// The response's body breaks off.
    BodyBreaksOff,
    /// The response's body is malformed.
    MalformedBody,
    /// The response's body is larger than the policy allows.
    BodyTooLarge,
    /// The response's body is not the JSON that its head announces.
    NotJson,
    /// The switch of protocols was not asked for.
    UnaskedUpgrade,
    /// The HTTP/2 connection or stream broke.
    Http2Broken,
    /// The certificate has expired.
    CertificateExpired,
    /// The certificate is not good yet.
    CertificateNotYetValid,
    /// The certificate is for another name.
    CertificateName,
    /// The certificate's issuer is not trusted.
    UnknownIssuer,
    /// The certificate is that of a certificate authority.
    CertificateOfCa,
    /// The certificate is not acceptable for another reason.
    CertificateUnusable,
    /// What certificates are verified by is missing.
    CaMissing,
    /// The endpoint refuses the handshake.
    HandshakeRefused,
    /// The endpoint takes connections and does not answer the handshake in time.
    SlowHandshake,
    /// TLS fails for another reason.
    TlsBroken,
    /// NetworkPolicies select the Pods and may drop what is sent to them.
    NetworkPolicyDrops,
    /// Packets get no answer.
    PacketsDropped,
    /// One Pod's node, or the network to it, is gone.
    NodeUnreachable,
    /// There is no route to the address.
    NoNetworkPath,
    /// The address may not be connected to.
    AddressForbidden,
    /// The external name does not resolve.
    NameNotResolved,
    /// There is no such Service.
    ServiceMissing,
    /// The Service is of type `ExternalName`, which is not allowed.
    ExternalNameForbidden,
    /// The Service has no such port.
    PortMissing,
    /// The Service asks for another protocol.
    ProtocolNotSpoken,
    /// No Pod has the labels of the selector.
    NoPodMatches,
    /// No container has a port of the name that the Service's port leads to.
    PortNameMismatch,
    /// Pods exist and none is Ready.
    AllPodsUnready,
    /// The Service has no endpoint.
    NoEndpoint,
    /// A limit of the policy turns requests away.
    LimitReached,
    /// Answers take longer and longer.
    Overload,
    /// The answer takes longer than is waited for.
    SlowAnswer,
    /// The app stops taking the request.
    StopsReading,
    /// The body stands still.
    BodyStandsStill,
    /// More fails than retries are allowed for.
    RetryBudgetSpent,
    /// The policy says that it is under maintenance.
    UnderMaintenance,
    /// No rule matches.
    NoRule,
    /// The request comes back.
    Loop,
    /// The app itself answered so.
    AppAnswered,
    /// The client is at fault, or went away.
    ClientsDoing,
    /// The gateway has no file descriptors or ports left.
    GatewayResources,
    /// The gateway ended.
    GatewayEnded,
    /// The gateway has a bug.
    GatewayBug,
}

/// What explains the problem best, and what to do about it.
pub fn advise(problem: &Problem, facts: &Facts) -> Advice {
    let mut advice = Advice::of(Code::GatewayBug, String::new());
    for limit in NAME_LIMITS {
        advice = explain(&Situation::new(problem, facts, limit));
        if advice.sentence.len() <= MOST {
            return advice;
        }
    }
    words::cut(&mut advice.sentence, MOST);
    advice
}

fn explain(it: &Situation<'_>) -> Advice {
    match it.problem.cause {
        Cause::NoRoute
        | Cause::LoopDetected
        | Cause::Maintenance
        | Cause::RetriedStatus(_)
        | Cause::ClientAborted
        | Cause::CallerDeadline
        | Cause::BadRequest(_) => routes::explain(it),
        Cause::UnknownUpstream
        | Cause::NoEndpoints
        | Cause::UnsupportedProtocol
        | Cause::DnsError
        | Cause::DnsTimeout
        | Cause::AddressProhibited => service::explain(it),
        Cause::ConnectionRefused => reach::refused(it),
        Cause::ConnectTimeout => reach::timed_out(it),
        Cause::AddressUnroutable => reach::unroutable(it),
        Cause::PeerVanished => reach::vanished(it),
        Cause::CaUnavailable | Cause::TlsCertificate | Cause::TlsProtocol | Cause::TlsAlert(_) => {
            tls::explain(it)
        }
        Cause::ClosedBeforeSend
        | Cause::ConnectionClosed
        | Cause::ConnectionReset
        | Cause::GoneAway => ending::explain(it),
        Cause::HeadIncomplete
        | Cause::NotHttp
        | Cause::BadStatusLine
        | Cause::BadHeader
        | Cause::HeadTooLarge
        | Cause::BadTransferCoding
        | Cause::BodyIncomplete
        | Cause::BodyReset
        | Cause::BodyBadChunk
        | Cause::BodyTooLarge
        | Cause::InvalidJson
        | Cause::BodyStreamReset
        | Cause::UpgradeFailed
        | Cause::StreamRefused
        | Cause::StreamReset
        | Cause::Http11Required
        | Cause::H2ConnectionLost
        | Cause::H2Internal
        | Cause::NotHttp2 => http::explain(it),
        Cause::ResponseTimeout
        | Cause::DeadlineExceeded
        | Cause::SendTimeout
        | Cause::BodyTimeout => slow::explain(it),
        Cause::LimitReached | Cause::LocalResources | Cause::CutOff | Cause::Internal => {
            limits::explain(it)
        }
    }
}

impl Advice {
    /// What follows from what is known.
    fn of(code: Code, sentence: String) -> Self {
        Self {
            sentence,
            code: code.as_str(),
            likely: false,
        }
    }

    /// What only fits what is known; the sentence says so.
    fn likely(code: Code, sentence: String) -> Self {
        Self {
            likely: true,
            ..Self::of(code, sentence)
        }
    }
}

#[cfg(test)]
mod tests;
