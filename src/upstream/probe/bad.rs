//! Why a probe was bad: no failure of a request, so that it is no cause of the taxonomy, but where
//! the same thing went wrong it has the same name.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::failure::Cause;

/// Why a probe was bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadProbe {
    /// There was no answer.
    #[error("{}", .0.sentence())]
    Failed(Cause),
    /// The status is not one that is expected.
    #[error("it answered with status {0}")]
    Status(u16),
    /// The call of gRPC failed (<https://grpc.io/docs/guides/status-codes/>).
    #[error("its health service answered with grpc-status {0}{meaning}", meaning = meaning(*.0))]
    GrpcStatus(u16),
    /// The answer is not one of gRPC.
    #[error("it did not answer as grpc.health.v1 does")]
    NotGrpc,
    /// It says so itself.
    #[error("it says that it does not serve: {status}", status = serving_status(*.0))]
    NotServing(u64),
}

/// Of one whose end is seen so much later than its time was over, this process cannot tell whether it
/// was the endpoint that took so long.
const LATE: Duration = Duration::from_millis(100);

impl BadProbe {
    /// What it is where its end is seen at `now`, though its time was over at the deadline.
    pub(super) fn seen_at(self, now: Instant, deadline: Instant) -> Self {
        if now > deadline + LATE {
            return Cause::LocalResources.into();
        }
        self
    }

    /// Whether it says nothing of the endpoint, since this process had not what it needs.
    pub(super) fn is_ours(self) -> bool {
        matches!(
            self,
            Self::Failed(Cause::LocalResources | Cause::LimitReached | Cause::Internal)
        )
    }
}

impl From<Cause> for BadProbe {
    fn from(cause: Cause) -> Self {
        Self::Failed(cause)
    }
}

/// Waits for an answer until then at most.
pub(super) async fn in_time<T, E: Into<BadProbe>>(
    deadline: Instant,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, BadProbe> {
    match timeout_at(deadline, answer).await {
        Ok(result) => result.map_err(Into::into),
        Err(_) => Err(Cause::ResponseTimeout.into()),
    }
}

/// What people most often meet.
fn meaning(status: u16) -> &'static str {
    match status {
        5 => " (NOT_FOUND: it does not know the service that is asked for)",
        12 => " (UNIMPLEMENTED: it does not offer grpc.health.v1)",
        14 => " (UNAVAILABLE)",
        16 => " (UNAUTHENTICATED)",
        _ => "",
    }
}

fn serving_status(status: u64) -> &'static str {
    match status {
        0 => "UNKNOWN",
        2 => "NOT_SERVING",
        3 => "SERVICE_UNKNOWN",
        _ => "a status that grpc.health.v1 does not have",
    }
}
