//! Scripted bad upstreams, on real sockets.
//!
//! A gateway that explains failures has to be shown every failure, so each way in which a backend
//! goes wrong is a named [`Fault`] here, served by a [`Peer`]: `bywash demo` shows them to people,
//! the tests hold the data plane against them. A peer writes bytes, not messages: an HTTP library on
//! this side would refuse to send what a broken backend sends, and its retries and clean-ups would
//! hide what the gateway did. For the same reason a peer counts exactly what reached it
//! ([`Counts`]) and keeps the bytes ([`Peer::received`]).
//!
//! Behaviour is data: a fault is a [`Script`](script::Script), a short list of steps for a connection
//! and for each request on it. Refused: mock servers that match on requests (wiremock and the like
//! can neither reset, truncate nor send garbage).

mod connection;
mod describe;
mod ledger;
mod peer;
mod request;
pub mod script;
#[cfg(test)]
mod tests;
mod websocket;

use std::fmt;

pub use ledger::{Counts, Received};
pub use peer::Peer;

macro_rules! faults {
    ($($(#[$doc:meta])+ $variant:ident $name:literal $did:literal,)+) => {
        /// What an upstream does, by name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Fault { $($(#[$doc])+ $variant,)+ }

        impl Fault {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name, as on the command line.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What the upstream does, to follow "it": for tables.
            pub fn did(self) -> &'static str {
                match self { $(Self::$variant => $did,)+ }
            }
        }
    };
}

faults! {
    /// None: answers with a description of the request, echoes WebSockets.
    Echo "ok" "works",
    /// Nothing listens: the port is bound, and every connection is refused.
    Refuse "refuse" "refuses connections",
    /// The accept queue is full: connection requests go unanswered.
    Ignore "ignore" "ignores connection requests",
    /// Closes each connection as soon as it stands.
    AcceptAndClose "accept-and-close" "accepts and closes",
    /// Resets each connection as soon as it stands.
    AcceptAndReset "accept-and-reset" "accepts and resets",
    /// Closes after the request, without an answer.
    CloseAfterRequest "close" "closes without an answer",
    /// Resets after the request, without an answer.
    ResetAfterRequest "reset" "resets without an answer",
    /// Closes inside the response head.
    CutHead "cut-head" "closes inside the head",
    /// Resets inside the response head.
    ResetInHead "reset-in-head" "resets inside the head",
    /// Answers with bytes that are no HTTP.
    Garbage "garbage" "answers garbage",
    /// Answers with a version of HTTP that was not asked for.
    WrongVersion "wrong-version" "answers as HTTP/3.7",
    /// Speaks TLS on a plain port.
    TlsBytes "tls" "speaks TLS on a plain port",
    /// Speaks HTTP/2 on a plain port.
    Http2Bytes "http2" "speaks HTTP/2 on a plain port",
    /// The status is not a number.
    BadStatusLine "bad-status" "sends a malformed status line",
    /// A folded field line (RFC 9112 section 5.2).
    FoldedHeader "folded-header" "folds a header line",
    /// A field with a NUL in its value.
    NulHeader "nul-header" "sends a NUL in a header",
    /// A field whose name holds a space.
    BadHeaderName "bad-header-name" "sends a malformed header name",
    /// Two lengths that differ.
    DifferingLengths "differing-lengths" "announces two lengths",
    /// A response head of a mebibyte.
    HugeHead "huge-head" "sends a head of 1 MiB",
    /// A response head of a thousand fields.
    ManyHeaders "many-headers" "sends 1,000 headers",
    /// Takes the request and says nothing.
    StallBeforeHead "stall" "takes the request and is silent",
    /// Falls silent inside the response head.
    StallInHead "stall-in-head" "falls silent inside the head",
    /// Falls silent inside the response body.
    StallInBody "stall-in-body" "falls silent inside the body",
    /// A body shorter than its announced length.
    ShortBody "truncate" "sends half of the announced body",
    /// A chunked body without its last chunk.
    CutChunks "truncate-chunked" "ends a chunked body early",
    /// A chunk whose size is not a number.
    BadChunkSize "bad-chunk" "sends a malformed chunk size",
    /// Resets inside a body of announced length.
    ResetInBody "reset-in-body" "resets inside the body",
    /// Resets inside a body that ends with the connection.
    ResetInCloseDelimited "reset-in-open-body" "resets inside a body of unknown length",
    /// Reads the request head and no byte of the body.
    NeverReads "never-reads" "does not read the upload",
    /// 413 at once, then FIN; the upload is not read.
    RejectAndFinish "reject-and-close" "answers 413 before the upload, closes",
    /// 413 at once, then close with the upload unread, which makes the kernel send RST.
    RejectAndReset "reject-and-reset" "answers 413 before the upload, resets",
    /// 413 at once, while the upload is still read to its end.
    RejectAndRead "reject-and-read" "answers 413 before the upload, reads on",
    /// 101 to a request that asked for no upgrade.
    UnaskedUpgrade "unasked-101" "switches protocols unasked",
    /// `Transfer-Encoding: gzip` without `chunked`.
    GzipCoding "gzip-coding" "uses transfer coding gzip",
    /// `chunked` and a length; the coding is what counts (RFC 9112 section 6.3).
    CodingAndLength "coding-and-length" "sends chunks and a length",
    /// 100 and 103 before a good answer.
    Informational "informational" "sends 103 before its answer",
    /// A good answer of the application with status 503.
    Unavailable "unavailable" "answers 503",
    /// 503 with `Retry-After`.
    UnavailableLater "unavailable-later" "answers 503 with Retry-After",
    /// Answers, then closes when the next request comes on the same connection.
    CloseOnReuse "close-on-reuse" "closes on the second request",
    /// Answers, then resets when the next request comes on the same connection.
    ResetOnReuse "reset-on-reuse" "resets on the second request",
    /// Answers, then closes the idle connection when told ([`Peer::open`]).
    CloseWhenIdle "close-when-idle" "closes idle connections",
    /// Answers, then sends stray bytes on the idle connection when told ([`Peer::open`]).
    StrayWhenIdle "stray-when-idle" "sends stray bytes when idle",
    /// Answers every request with a body of 4 GiB.
    Source "source" "sends 4 GiB",
}

/// No fault has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no backend is called {0:?}")]
pub struct UnknownFault(String);

impl std::str::FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(name: &str) -> Result<Self, UnknownFault> {
        let known = Self::ALL.iter().find(|fault| fault.name() == name);
        known.copied().ok_or_else(|| UnknownFault(name.to_owned()))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
