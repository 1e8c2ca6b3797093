//! Every metric, once: what is exported is written with these, and so is `docs/metrics.md`.
//!
//! Names follow OpenMetrics: a metric in a unit ends in the unit, a counter in `_total`. No label is one
//! that a ServiceMonitor sets for its own purposes, and none holds what strangers choose.

use std::fmt;

use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until the process ends or what it is about is gone.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
    /// Facts, as labels of the value 1.
    Info,
}

/// One metric.
#[derive(Debug)]
pub struct Metric {
    /// Without the prefix, the unit, and what its kind adds.
    stem: &'static str,
    /// What it is.
    pub kind: Kind,
    /// In which unit, if in any.
    pub unit: Option<Unit>,
    /// The names of its labels, in their order.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub meaning: &'static str,
}

impl Kind {
    /// As OpenMetrics spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }

    pub(super) fn encoded(self) -> MetricType {
        match self {
            Self::Counter => MetricType::Counter,
            Self::Gauge => MetricType::Gauge,
            Self::Histogram => MetricType::Histogram,
            Self::Info => MetricType::Info,
        }
    }
}

impl Metric {
    pub(super) fn stem(&self) -> &'static str {
        self.stem
    }

    /// The name of its family: of the lines that describe it.
    pub fn family(&self) -> String {
        match &self.unit {
            Some(unit) => format!("{PREFIX}_{}_{}", self.stem, unit.as_str()),
            None => format!("{PREFIX}_{}", self.stem),
        }
    }

    /// The name of its samples: a histogram's have more after it.
    pub fn name(&self) -> String {
        let family = self.family();
        match self.kind {
            Kind::Counter => family + "_total",
            Kind::Info => family + "_info",
            Kind::Gauge | Kind::Histogram => family,
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// What each name begins with.
pub(super) const PREFIX: &str = "bywash";

macro_rules! metrics {
    ($($name:ident: $kind:ident $stem:literal $(in $unit:ident)? [$($label:literal),*] $meaning:literal;)+) => {
        $(pub(super) const $name: Metric = Metric {
            stem: $stem,
            kind: Kind::$kind,
            unit: metrics!(@unit $($unit)?),
            labels: &[$($label),*],
            meaning: $meaning,
        };)+

        /// All of them, in the order in which they are described.
        pub const ALL: &[&Metric] = &[$(&$name),+];
    };
    (@unit) => { None };
    (@unit $unit:ident) => { Some(Unit::$unit) };
}

metrics! {
    REQUESTS: Counter "requests" ["status", "ingress_namespace", "ingress", "upstream"]
        "Requests answered, by the status sent to the client; seldom ones by class; 499: the client left";
    REQUEST_FAILURES: Counter "request_failures" ["cause", "ingress_namespace", "ingress", "upstream"]
        "Requests that failed after all attempts, by cause";
    FALLBACK_REQUESTS: Counter "fallback_requests" ["ingress_namespace", "ingress", "upstream"]
        "Requests that were sent to the fallback Service of their route";
    REQUEST_DURATION: Histogram "request_duration" in Seconds ["ingress_namespace", "ingress", "upstream"]
        "From the end of the request head to the end of the response";
    CLIENT_CONNECTIONS: Gauge "client_connections" []
        "Connections of clients that are open";
    CLIENT_CONNECTIONS_ACCEPTED: Counter "client_connections_accepted" []
        "Connections accepted from clients";
    CLIENT_CONNECTIONS_CLOSED: Counter "client_connections_closed" []
        "Connections of clients that ended";
    TLS_HANDSHAKE_FAILURES: Counter "tls_handshake_failures" []
        "TLS handshakes of clients that did not succeed";
    ATTEMPTS: Counter "upstream_attempts" ["upstream"]
        "Attempts to have a request answered by an endpoint";
    ATTEMPT_FAILURES: Counter "upstream_attempt_failures" ["upstream", "cause"]
        "Attempts that failed, by cause";
    RETRIES: Counter "retries" ["upstream"]
        "Attempts that were followed by another, here or at the fallback Service";
    RETRIES_OVER_BUDGET: Counter "retries_over_budget" ["upstream"]
        "Retries that did not happen because their upstream's budget was exhausted";
    CONNECTIONS: Gauge "upstream_connections" ["upstream"]
        "Connections to endpoints that are open";
    IDLE_CONNECTIONS: Gauge "upstream_idle_connections" ["upstream"]
        "Those of them that wait in a pool for a request";
    CONNECTIONS_OPENED: Counter "upstream_connections_opened" ["upstream"]
        "Connections opened to endpoints";
    CONNECTIONS_REUSED: Counter "upstream_connections_reused" ["upstream"]
        "Requests sent on a connection opened before";
    IDLE_CONNECTIONS_CUT: Counter "upstream_idle_connections_cut" ["upstream"]
        "Idle connections that endpoints closed before their time";
    ENDPOINTS: Gauge "upstream_endpoints" ["upstream", "state"]
        "Endpoints by what becomes of them: ready for requests, ejected, down as their probes say, or draining";
    USABLE: Gauge "upstream_usable_endpoints" ["upstream"]
        "Endpoints that a request may use now; 0: requests are answered 503, or by the fallback Service";
    EJECTIONS: Counter "upstream_ejections" ["upstream"]
        "Endpoints left out because they failed too often";
    READMISSIONS: Counter "upstream_readmissions" ["upstream"]
        "Ejected endpoints that came back";
    PROBES: Counter "upstream_probes" ["upstream", "result"]
        "Probes of endpoints, by result";
    TURNED_AWAY: Counter "requests_turned_away" ["upstream", "limit"]
        "Requests answered 503 at once because of a limit of their upstream's circuit breaker";
    BREAKER_OPEN: Gauge "circuit_breaker_open" ["upstream", "limit"]
        "Whether a limit of an upstream's circuit breaker turned requests away of late";
    CONFIG_GENERATION: Gauge "config_generation" []
        "The generation of the configuration that is served; 0: none yet";
    CONFIG_CHANGED: Gauge "config_last_change_timestamp" in Seconds []
        "When what is served changed last";
    CONFIG_AGE: Gauge "config_age" in Seconds []
        "For how long what is served has been served";
    CONFIG_STALE: Gauge "config_stale" in Seconds []
        "For how long the objects of some kind cannot be followed; 0: all are up to date";
    CERTIFICATE_NOT_AFTER: Gauge "certificate_not_after" in Seconds ["ingress_namespace", "secret"]
        "Until the certificate of a Secret that is served expires; negative: since it has";
    FINDINGS: Gauge "findings" ["severity", "code"]
        "Defects in objects, by severity and code";
    LEADER: Gauge "leader" []
        "Whether this replica writes statuses and Events";
    STATUS_WRITES: Counter "status_writes" ["kind", "result"]
        "Writes of statuses, Events and the ConfigMaps of replicas, by what was written and what became of it";
    ACCESS_LOG_DROPPED: Counter "access_log_dropped_lines" []
        "Lines of the access log dropped because its reader was too slow";
    FAILURE_RECORDS_DROPPED: Counter "failure_records_dropped" []
        "Records of failures lost because they came faster than they were looked at";
    LOG_DROPPED: Counter "log_dropped_lines" []
        "Lines of the process's own log dropped because its reader was too slow";
    SPANS_MADE: Counter "trace_spans_made" []
        "Spans left for export; those that were neither exported nor lost wait, or did not fit into the queue";
    SPANS_SENT: Counter "trace_spans_sent" ["result"]
        "Spans that a collector took, and those that were lost because it did not";
    BUILD: Info "build" ["version"]
        "The version of the program";
    WORKERS: Gauge "workers" []
        "Threads that serve requests";
    PROCESS_START: Gauge "process_start_time" in Seconds []
        "When the process started";
    PROCESS_CPU: Counter "process_cpu" in Seconds []
        "Processor time used, of the process and the kernel for it";
    PROCESS_MEMORY: Gauge "process_resident_memory" in Bytes []
        "Memory held in RAM";
    PROCESS_OPEN_FDS: Gauge "process_open_fds" []
        "Open file descriptors";
    PROCESS_MAX_FDS: Gauge "process_max_fds" []
        "File descriptors that may be open";
}
