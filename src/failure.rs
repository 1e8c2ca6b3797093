//! The closed taxonomy of failures: one cause, and everything that follows from it.
//!
//! A 502 is only useful when it says why. Every place that can fail names one [`Cause`], once, where
//! the bytes are read or written; the status, the RFC 9209 error type, the metric label, the reason
//! on the Kubernetes condition, the sentence for people, whether another attempt may follow and
//! whether the endpoint is to blame are all derived here, by exhaustive matches, so that a new cause
//! does not compile until each of these questions is answered.
//!
//! Refused: errors per module that are mapped later (a second mapping always drifts), and a generic
//! "other" variant (it would be where the detective story starts).

mod alert;
mod trouble;
mod word;

use http::StatusCode;

pub use alert::TlsAlert;
pub use trouble::Trouble;
pub use word::status_word;

macro_rules! causes {
    (
        plain { $($name:ident => $http:expr, $names:expr, $retry:ident, $blame:ident, $sentence:literal;)+ }
        carrying { $($with:ident($value:ident: $type:ty) => $w_http:expr, $w_names:expr, $w_retry:ident, $w_blame:ident,
            $w_sentence:expr, $w_doc:literal;)+ }
    ) => {
        /// Why a request, or one attempt of it, did not end as it should.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Cause {
            $(#[doc = $sentence] $name,)+
            $(#[doc = $w_doc] $with($type),)+
        }

        impl Cause {
            /// The causes that carry nothing, for whoever must treat each (metrics, documentation).
            pub const PLAIN: &[Self] = &[$(Self::$name,)+];

            const fn row(self) -> Row {
                match self {
                    $(Self::$name => {
                        Row::new($http, $names, RetryClass::$retry, Blame::$blame, $sentence)
                    })+
                    $(Self::$with($value) => {
                        Row::new($w_http, $w_names, RetryClass::$w_retry, Blame::$w_blame, $w_sentence)
                    })+
                }
            }
        }
    };
}

// Status and RFC 9209 error type, metric label and condition reason, retry class, blame; sentence.
causes! {
    plain {
    NoRoute => (404, "destination_not_found"), ("no_route", "NoRoute"), Never, Client,
        "no Ingress rule matches this host and path";
    UnknownUpstream => (503, "destination_not_found"), ("unknown_upstream", "UnknownUpstream"), Never, Configuration,
        "the Service or its port does not exist";
    NoEndpoints => (503, "destination_unavailable"), ("no_endpoints", "NoEndpoints"), Never, Configuration,
        "the Service has no usable endpoint";
    CaUnavailable => (503, "destination_unavailable"), ("ca_unavailable", "CaUnavailable"), Never, Configuration,
        "what the endpoint is to be verified by is missing or unusable";
    UnsupportedProtocol => (503, "destination_unavailable"), ("unsupported_protocol", "UnsupportedProtocol"), Never, Configuration,
        "the Service asks for a protocol that is not spoken to upstreams";
    Maintenance => (503, "destination_unavailable"), ("maintenance", "Maintenance"), Never, Configuration,
        "the service is under maintenance";
    DnsError => (502, "dns_error"), ("dns_error", "DnsError"), Unsent, Configuration,
        "the name of the external Service does not resolve";
    DnsTimeout => (504, "dns_timeout"), ("dns_timeout", "DnsTimeout"), Unsent, Configuration,
        "the name of the external Service was not resolved in time";
    ConnectionRefused => (502, "connection_refused"), ("connection_refused", "ConnectionRefused"), Unsent, Connectivity,
        "the connection was refused";
    AddressUnroutable => (502, "destination_ip_unroutable"), ("address_unroutable", "AddressUnroutable"), Unsent, Connectivity,
        "there is no network path to the endpoint";
    AddressProhibited => (502, "destination_ip_prohibited"), ("address_prohibited", "AddressProhibited"), Never, Configuration,
        "the endpoint's address is not one that may be connected to";
    ConnectTimeout => (504, "connection_timeout"), ("connect_timeout", "ConnectTimeout"), Unsent, Connectivity,
        "the connection was not established in time";
    LocalResources => (503, "proxy_internal_error"), ("local_resources", "LocalResources"), Unsent, Gateway,
        "the gateway ran out of file descriptors or ports";
    LimitReached => (503, "connection_limit_reached"), ("limit_reached", "LimitReached"), Never, Gateway,
        "a limit on connections or requests was reached";
    TlsCertificate => (502, "tls_certificate_error"), ("tls_certificate", "TlsCertificateError"), Unsent, Connectivity,
        "the endpoint's certificate is not acceptable";
    TlsProtocol => (502, "tls_protocol_error"), ("tls_protocol", "TlsProtocolError"), Unsent, Connectivity,
        "the endpoint does not speak TLS as expected";
    ClosedBeforeSend => (502, "connection_terminated"), ("closed_before_send", "ClosedBeforeSend"), Unsent, Connectivity,
        "the connection ended before the request was sent";
    ConnectionClosed => (502, "connection_terminated"), ("connection_closed", "ConnectionClosed"), Idempotent, Endpoint,
        "the endpoint closed the connection without an answer";
    ConnectionReset => (502, "connection_terminated"), ("connection_reset", "ConnectionReset"), Idempotent, Endpoint,
        "the endpoint reset the connection";
    PeerVanished => (502, "connection_terminated"), ("peer_vanished", "PeerVanished"), Idempotent, Connectivity,
        "the endpoint stopped acknowledging: its node or the network to it is gone";
    HeadIncomplete => (502, "http_response_incomplete"), ("head_incomplete", "ResponseIncomplete"), Idempotent, Endpoint,
        "the response ended inside its header section";
    NotHttp => (502, "http_protocol_error"), ("not_http", "NotHttp"), Idempotent, Endpoint,
        "the endpoint did not answer with HTTP/1.1";
    BadStatusLine => (502, "http_protocol_error"), ("bad_status_line", "BadStatusLine"), Idempotent, Endpoint,
        "the status line of the response is malformed";
    BadHeader => (502, "http_protocol_error"), ("bad_header", "BadHeader"), Idempotent, Endpoint,
        "the header section of the response is malformed";
    HeadTooLarge => (502, "http_response_header_section_size"), ("head_too_large", "ResponseHeadTooLarge"), Never, Configuration,
        "the header section of the response is too large";
    BadTransferCoding => (502, "http_response_transfer_coding"), ("bad_transfer_coding", "BadTransferCoding"), Never, Endpoint,
        "the response uses a transfer coding that does not end in chunked";
    ResponseTimeout => (504, "http_response_timeout"), ("response_timeout", "ResponseTimeout"), Idempotent, Endpoint,
        "no response arrived in time";
    SendTimeout => (504, "connection_write_timeout"), ("send_timeout", "SendTimeout"), Never, Endpoint,
        "the endpoint stopped taking the request";
    DeadlineExceeded => (504, "http_response_timeout"), ("deadline_exceeded", "DeadlineExceeded"), Never, Endpoint,
        "no response arrived in the time allowed for the request";
    CallerDeadline => (504, "http_response_timeout"), ("caller_deadline", "CallerDeadline"), Never, Client,
        "no response arrived in the time that the caller allows, which is less than the policy does";
    BodyTimeout => (504, "connection_read_timeout"), ("body_timeout", "BodyTimeout"), Never, Endpoint,
        "the endpoint fell silent inside the response body";
    BodyIncomplete => (502, "http_response_incomplete"), ("body_incomplete", "BodyIncomplete"), Idempotent, Endpoint,
        "the response body ended early";
    BodyReset => (502, "connection_terminated"), ("body_reset", "BodyReset"), Idempotent, Endpoint,
        "the connection was reset inside the response body";
    BodyBadChunk => (502, "http_response_transfer_coding"), ("body_bad_chunk", "BodyBadChunk"), Idempotent, Endpoint,
        "a chunk of the response body is malformed";
    InvalidJson => (502, "http_protocol_error"), ("invalid_json", "InvalidJson"), Idempotent, Configuration,
        "the response says that it is JSON, and is not";
    BodyTooLarge => (502, "http_response_body_size"), ("body_too_large", "ResponseBodyTooLarge"), Never, Configuration,
        "the response body is too large";
    UpgradeFailed => (502, "http_upgrade_failed"), ("upgrade_failed", "UpgradeFailed"), Never, Endpoint,
        "the endpoint switched protocols in a way that was not asked for";
    StreamRefused => (502, "http_protocol_error"), ("stream_refused", "StreamRefused"), Unsent, Endpoint,
        "the endpoint refused the stream";
    GoneAway => (502, "connection_terminated"), ("gone_away", "GoneAway"), Unsent, Gateway,
        "the connection went away before the request was processed";
    Http11Required => (502, "http_protocol_error"), ("http_1_1_required", "Http11Required"), Unsent, Gateway,
        "the endpoint wants HTTP/1.1";
    StreamReset => (502, "http_protocol_error"), ("stream_reset", "StreamReset"), Idempotent, Endpoint,
        "the endpoint reset the stream";
    H2ConnectionLost => (502, "connection_terminated"), ("h2_connection_lost", "ConnectionLost"), Idempotent, Endpoint,
        "the HTTP/2 connection broke";
    H2Internal => (502, "proxy_internal_error"), ("h2_internal", "Http2Internal"), Idempotent, Gateway,
        "the gateway gave up its HTTP/2 connection";
    NotHttp2 => (502, "http_protocol_error"), ("not_http2", "NotHttp2"), Unsent, Endpoint,
        "the endpoint does not speak HTTP/2";
    BodyStreamReset => (502, "http_response_incomplete"), ("body_stream_reset", "BodyStreamReset"), Never, Endpoint,
        "the stream was reset inside the response body";
    LoopDetected => (502, "proxy_loop_detected"), ("loop_detected", "LoopDetected"), Never, Configuration,
        "the request came back to this gateway";
    ClientAborted => (499, "http_request_error"), ("client_aborted", "ClientAborted"), Never, Client,
        "the client went away";
    CutOff => (503, "proxy_internal_error"), ("cut_off", "CutOff"), Never, Gateway,
        "the gateway ended before the response was complete";
    Internal => (500, "proxy_internal_error"), ("internal", "Internal"), Never, Gateway,
        "the gateway itself failed";
    }
    carrying {
    TlsAlert(_alert: TlsAlert) => (502, "tls_alert_received"), ("tls_alert", "TlsAlertReceived"), Unsent, Connectivity,
        "the endpoint refused the TLS handshake", "the endpoint refused the TLS handshake";
    RetriedStatus(code: u16) => (code, "http_protocol_error"), ("retried_status", "RetriedStatus"), Idempotent, Client,
        "the application answered with a status that is retried", "the application answered with a status that is retried";
    BadRequest(fault: ClientFault) => (fault.status(), "http_request_error"), ("bad_request", "BadRequest"), Never, Client,
        fault.sentence(), "the client's message is at fault";
    }
}

/// What is wrong with the client's own message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClientFault {
    /// `Host` is absent, repeated or malformed (RFC 9112 section 3.2).
    Host,
    /// The request target has a form that is not allowed here (RFC 9112 section 3.2).
    Target,
    /// The path holds a NUL, a backslash, an invalid escape or climbs above the root.
    Path,
    /// `CONNECT` is not offered.
    Connect,
    /// The transfer coding is unknown, or `chunked` is not last and once (RFC 9112 section 6.1).
    TransferCoding,
    /// `Connection` names a field that must reach the origin.
    Connection,
    /// `Upgrade` is malformed or names a protocol that is never forwarded.
    Upgrade,
    /// The body is malformed.
    Body,
    /// The body did not arrive in time.
    BodyTimeout,
    /// The expectation is not one that we know (RFC 9110 section 10.1.1).
    Expect,
    /// The head cannot be read (RFC 9112 section 2.2).
    Head,
    /// The head is larger than is read, or has too many fields (RFC 6585 section 5).
    HeadTooLarge,
    /// The head did not arrive in time.
    HeadTimeout,
}

/// When another attempt may follow a failed one (RFC 9110 section 9.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryClass {
    /// The request was never processed: any method, free of the retry budget.
    Unsent,
    /// The request may have been processed: idempotent methods only.
    Idempotent,
    /// Another attempt would not help, or is not safe.
    Never,
}

/// Who has to act on a failure, and whose statistics it counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The endpoint: it counts towards its ejection.
    Endpoint,
    /// The endpoint's connectivity: it counts as a connection failure.
    Connectivity,
    /// The configuration of the route: no endpoint is at fault.
    Configuration,
    /// The client.
    Client,
    /// This process.
    Gateway,
}

/// Everything that follows from a cause: one row of the taxonomy.
struct Row {
    status: u16,
    proxy_error: &'static str,
    label: &'static str,
    reason: &'static str,
    retry: RetryClass,
    blame: Blame,
    sentence: &'static str,
}

impl Row {
    const fn new(
        (status, proxy_error): (u16, &'static str),
        (label, reason): (&'static str, &'static str),
        retry: RetryClass,
        blame: Blame,
        sentence: &'static str,
    ) -> Self {
        Self {
            status,
            proxy_error,
            label,
            reason,
            retry,
            blame,
            sentence,
        }
    }
}

impl Cause {
    /// The status of a response that this process makes for the failure (RFC 9110 section 15).
    ///
    /// 499 is never sent: it marks a client that left, in logs and metrics, as nginx does.
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().status).unwrap_or(StatusCode::BAD_GATEWAY)
    }

    /// The error type for the `Proxy-Status` field (RFC 9209 section 2.3).
    pub fn proxy_error(self) -> &'static str {
        self.row().proxy_error
    }

    /// The parameters of the `Proxy-Status` field: the error type, and what section 2.3 defines for it as far
    /// as the cause says it.
    pub fn proxy_status(self) -> String {
        let error = format!("error={}", self.proxy_error());
        match self {
            // Section 2.3.16
            Self::BadRequest(_) => {
                let status = self.status();
                let phrase = status.canonical_reason().unwrap_or_default();
                let code = status.as_u16();
                format!("{error}; status-code={code}; status-phrase=\"{phrase}\"")
            }
            // Section 2.3.15
            Self::TlsAlert(alert) => match alert.name() {
                Some(name) => format!("{error}; alert-id={}; alert-message=\"{name}\"", alert.0),
                None => format!("{error}; alert-id={}", alert.0),
            },
            _ => error,
        }
    }

    /// The value of the `cause` label of metrics, and of `cause` in the access log.
    pub fn label(self) -> &'static str {
        self.row().label
    }

    /// The `reason` of a Kubernetes condition or Event.
    pub fn reason(self) -> &'static str {
        self.row().reason
    }

    /// Whether another attempt may follow.
    pub fn retry_class(self) -> RetryClass {
        self.row().retry
    }

    /// Whose failure this is.
    pub fn blame(self) -> Blame {
        self.row().blame
    }

    /// What happened, for people: no address, no name, no bytes of the peer's.
    pub fn sentence(self) -> &'static str {
        self.row().sentence
    }

    /// One of each cause.
    pub fn all() -> Vec<Self> {
        let faults = ClientFault::ALL
            .iter()
            .map(|fault| Self::BadRequest(*fault));
        Self::PLAIN
            .iter()
            .copied()
            // handshake_failure
            .chain([Self::TlsAlert(TlsAlert(40)), Self::RetriedStatus(503)])
            .chain(faults)
            .collect()
    }
}

impl ClientFault {
    const ALL: &[Self] = &[
        Self::Host,
        Self::Target,
        Self::Path,
        Self::Connect,
        Self::TransferCoding,
        Self::Connection,
        Self::Upgrade,
        Self::Body,
        Self::BodyTimeout,
        Self::Expect,
        Self::Head,
        Self::HeadTooLarge,
        Self::HeadTimeout,
    ];

    const fn status(self) -> u16 {
        match self {
            Self::Host
            | Self::Target
            | Self::Path
            | Self::Connection
            | Self::Upgrade
            | Self::Body
            | Self::Head => 400,
            Self::Connect => 405,
            Self::BodyTimeout | Self::HeadTimeout => 408,
            Self::Expect => 417,
            Self::HeadTooLarge => 431,
            Self::TransferCoding => 501,
        }
    }

    const fn sentence(self) -> &'static str {
        match self {
            Self::Host => "the Host field is absent, repeated or malformed",
            Self::Target => "the request target is not an origin-form or absolute-form path",
            Self::Path => "the path is not a valid one",
            Self::Connect => "CONNECT is not offered here",
            Self::TransferCoding => "the transfer coding is not supported",
            Self::Connection => "the Connection field names a field that must not be removed",
            Self::Upgrade => "the Upgrade field is malformed or names a protocol not offered here",
            Self::Body => "the request body is malformed",
            Self::BodyTimeout => "the request body did not arrive in time",
            Self::Expect => "the expectation cannot be met",
            Self::Head => "the head of the request is malformed",
            Self::HeadTooLarge => "the head of the request is too large or has too many fields",
            Self::HeadTimeout => "the head of the request did not arrive in time",
        }
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.sentence())
    }
}

impl std::error::Error for Cause {}

#[cfg(test)]
mod tests;
