//! What the application said to an attempt that was followed by others.
//!
//! Its answer is valid, so that the client gets it if what follows brings none. It is read at once:
//! where an upstream may have few connections, a request that held one while it waits for another
//! would wait for itself.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use tokio::task::JoinHandle;

use super::Answer;
use crate::upstream::upload::{ReplayMemory, Reserved};

/// An answer that is being read, and the memory for it.
pub(in crate::proxy) type Reading = JoinHandle<Option<(Response<Bytes>, Reserved)>>;

/// In bytes; a longer answer, or one for which there is no memory, ends its connection, and is lost.
const MOST: usize = 64 * 1024;

/// How long reading it may take.
const WITHIN: Duration = Duration::from_secs(1);

/// Whether an answer can be read while something else is tried. The next attempt takes the rest of an
/// upload, with which this exchange breaks.
fn is_readable(answer: &Answer) -> bool {
    let least = answer.response.body().size_hint().lower();
    !answer.lease.is_uploading() && least <= MOST as u64
}

/// Reads an answer and gives its connection back.
pub(in crate::proxy) fn read(answer: Box<Answer>, memory: &Arc<ReplayMemory>) -> Option<Reading> {
    if !is_readable(&answer) {
        return None;
    }
    let length = answer.response.body().size_hint().exact();
    let reserved = memory.reserve(length.unwrap_or(MOST as u64))?;
    let Answer {
        response, lease, ..
    } = *answer;
    let (head, body) = response.into_parts();
    Some(tokio::spawn(async move {
        let whole = Limited::new(body, MOST).collect();
        let whole = tokio::time::timeout(WITHIN, whole).await.ok()?.ok()?;
        lease.finish();
        Some((Response::from_parts(head, whole.to_bytes()), reserved))
    }))
}
