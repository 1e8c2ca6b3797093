//! Traces: a span for each request and one for each of its attempts, over OTLP.
//!
//! Configured by the environment variables that every OpenTelemetry program knows, and by nothing else:
//! without an endpoint there is no thread, no queue, and a request costs nothing. Whether a request is
//! recorded is decided when its head has been read, because what the upstream gets says so; its spans
//! are made of its account when it has ended. They go through a bounded queue to an OS thread that
//! sends them in batches: a collector that is slow or away costs spans, which are counted, never time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, TraceContextExt, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchSpanProcessor, Config, IdGenerator, SamplingDecision, ShouldSample, SpanProcessor,
};

use context::Position;
use export::{Client, Counting};
use variables::set;

use super::metrics::Metrics;

pub mod context;
mod export;
mod spans;
mod variables;

pub use spans::Seen;

/// The name of the service where the environment gives none.
const SERVICE: &str = "bywash";

/// How long the last spans may take when the process ends.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// The one that is spoken.
const PROTOCOL: &str = "http/protobuf";

/// Where spans are left; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Traces(Option<Arc<Open>>);

struct Open {
    sampler: Box<dyn ShouldSample>,
    ids: Box<dyn IdGenerator>,
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
    metrics: Arc<Metrics>,
}

/// A request that is recorded, until it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traced {
    /// That of its own span.
    position: Position,
    /// The span of whoever sent it.
    parent: Option<u64>,
    /// What those of its attempts are made of.
    seed: u64,
}

/// Why there can be no traces.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// Something is asked for that is not offered.
    #[error("{variable}={value}: {why}")]
    NotOffered {
        /// Where it was asked for.
        variable: String,
        /// What was.
        value: String,
        /// What is, in a clause.
        why: &'static str,
    },
    /// What a collector is to be verified by cannot be read.
    #[error("{variable}={path}: no certificates can be read there")]
    Certificate {
        /// Where it was named.
        variable: String,
        /// The file.
        path: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A variable that cannot be right.
    #[error("traces cannot be exported as the OTEL_… variables say")]
    Exporter(#[from] ExporterBuildError),
    /// No client.
    #[error("traces cannot be exported")]
    Client(#[source] std::io::Error),
}

impl Traces {
    /// None at all.
    pub fn off() -> Self {
        Self::default()
    }

    /// As the environment says; none without an endpoint.
    ///
    /// # Errors
    /// When what it says cannot be.
    pub fn from_environment(metrics: &Arc<Metrics>) -> Result<Self, TracesError> {
        if !variables::are_wanted() {
            return Ok(Self::off());
        }
        variables::check()?;
        let roots = match variables::certificate() {
            None => export::roots_of_the_system(),
            Some((variable, path)) => {
                export::roots_in(&path).map_err(|source| TracesError::Certificate {
                    variable,
                    path: path.display().to_string(),
                    source,
                })?
            }
        };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client::new(roots).map_err(TracesError::Client)?)
            .build()?;
        let exporter = Counting::new(exporter, Arc::clone(metrics));
        let config = Config::default();
        let mut processor = BatchSpanProcessor::builder(exporter).build();
        processor.set_resource(&resource());
        Ok(Self(Some(Arc::new(Open {
            sampler: config.sampler,
            ids: config.id_generator,
            processor,
            scope: InstrumentationScope::builder(SERVICE)
                .with_version(env!("CARGO_PKG_VERSION"))
                .build(),
            metrics: Arc::clone(metrics),
        }))))
    }

    /// Whether any request may be recorded.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// A request begins, sent by whoever is at `parent`: the upstream is told, by its fields, whether it
    /// is recorded. Absent if it is not.
    pub fn begin(&self, parent: Option<Position>, headers: &mut http::HeaderMap) -> Option<Traced> {
        let open = self.0.as_deref()?;
        let trace = parent.map_or_else(|| open.ids.new_trace_id(), |it| it.trace.into());
        let within = parent.map(|parent| Context::new().with_remote_span_context(remote(parent)));
        let decided = open.sampler.should_sample(
            within.as_ref(),
            trace,
            "request",
            &SpanKind::Server,
            &[],
            &[],
        );
        let position = Position {
            trace: u128::from_be_bytes(trace.to_bytes()),
            span: u64::from_be_bytes(open.ids.new_span_id().to_bytes()),
            sampled: decided.decision == SamplingDecision::RecordAndSample,
        };
        position.write(headers);
        position.sampled.then(|| Traced {
            position,
            parent: parent.map(|parent| parent.span),
            seed: u64::from_be_bytes(open.ids.new_span_id().to_bytes()),
        })
    }

    /// Sends what is left.
    pub fn finish(&self) {
        if let Some(open) = &self.0 {
            let _too_slow = open.processor.shutdown_with_timeout(LAST_SPANS);
        }
    }
}

impl Traced {
    /// Which trace, as it is written in a `traceparent`.
    pub fn trace(&self) -> String {
        format!("{:032x}", self.position.trace)
    }

    /// Where the attempt stands that is the request's so-manieth, from 0.
    pub fn attempt(&self, index: usize) -> Position {
        // Multiples of an odd number differ for as long as their factors do.
        let step = (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Position {
            span: self.seed.wrapping_add(step).max(1),
            ..self.position
        }
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Traces({:?})", self.sampler)
    }
}

/// As the environment says; `bywash` where it names no service.
fn resource() -> Resource {
    let builder = Resource::builder();
    let named = set("OTEL_SERVICE_NAME").is_some()
        || set("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|it| it.contains("service.name="));
    let builder = if named {
        builder
    } else {
        builder.with_service_name(SERVICE)
    };
    builder
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build()
}

fn remote(position: Position) -> SpanContext {
    let flags = if position.sampled {
        TraceFlags::SAMPLED
    } else {
        TraceFlags::NOT_SAMPLED
    };
    SpanContext::new(
        TraceId::from(position.trace),
        SpanId::from(position.span),
        flags,
        true,
        TraceState::NONE,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_attempts_of_a_request_stand_at_different_places_of_its_trace() {
        let traced = Traced {
            position: Position {
                trace: 7,
                span: 9,
                sampled: true,
            },
            parent: None,
            seed: u64::MAX,
        };
        let mut spans: Vec<u64> = (0..100).map(|it| traced.attempt(it).span).collect();
        spans.sort_unstable();
        spans.dedup();
        assert_eq!(spans.len(), 100);
        assert!(spans.iter().all(|span| *span > 0));
        assert_eq!(traced.attempt(3).trace, 7);
    }

    #[test]
    fn without_traces_the_fields_of_a_request_stay_as_they_are() {
        let mut headers = http::HeaderMap::new();
        assert!(!Traces::off().is_on());
        assert_eq!(Traces::off().begin(None, &mut headers), None);
        assert!(headers.is_empty());
    }
}
