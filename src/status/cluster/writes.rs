//! Writes that are under way: several at once, so that an API server that is far away, or slow, does not
//! set the pace; and never two about the same.

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;

use super::Topic;
use crate::api::status::GatewayPolicyStatus;
use crate::report::ObjectRef;
use crate::status::wanted::AddressChange;
use crate::stores::writer::{EventRecord, WriteError, Writer};

/// So many at once. An answer after 100 ms, and two round trips for an Event, still make 40 a second.
const AT_ONCE: usize = 8;

/// What is written, as it was wanted when the write began.
#[derive(Clone, Debug)]
pub(super) enum Write {
    Addresses(ObjectRef, AddressChange),
    Policy(ObjectRef, Box<GatewayPolicyStatus>),
    Event(EventRecord),
}

/// Writes that are under way.
pub(super) struct Writes(FuturesUnordered<BoxFuture<'static, Written>>);

/// A write that has ended.
pub(super) struct Written {
    pub(super) write: Write,
    pub(super) result: Result<(), WriteError>,
}

impl Write {
    /// What it is about.
    pub(super) fn topic(&self) -> Topic {
        match self {
            Self::Addresses(ingress, _) => Topic::Addresses(ingress.clone()),
            Self::Policy(policy, _) => Topic::Policy(policy.clone()),
            Self::Event(record) => Topic::Event(record.object.clone(), record.reason),
        }
    }

    async fn with(&self, writer: &Writer) -> Result<(), WriteError> {
        match self {
            Self::Addresses(ingress, AddressChange::Publish(addresses)) => {
                writer.publish(ingress, addresses).await
            }
            Self::Addresses(ingress, AddressChange::Withdraw) => writer.withdraw(ingress).await,
            Self::Policy(policy, status) => writer.tell(policy, status).await,
            Self::Event(record) => writer.record(record).await,
        }
    }
}

impl Writes {
    pub(super) fn new() -> Self {
        Self(FuturesUnordered::new())
    }

    /// Whether another one may begin.
    pub(super) fn have_room(&self) -> bool {
        self.0.len() < AT_ONCE
    }

    pub(super) fn begin(&mut self, write: Write, writer: &Writer) {
        let writer = writer.clone();
        self.0.push(Box::pin(async move {
            let result = write.with(&writer).await;
            Written { write, result }
        }));
    }

    /// The next one that ends; nothing while none is under way.
    pub(super) async fn next(&mut self) -> Option<Written> {
        self.0.next().await
    }
}
