//! One attempt's view of an upload: first what was kept, then what still comes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{Turn, Upload, UploadEnded};

/// What is sent to an endpoint as the body of a request.
#[derive(Debug)]
pub struct RequestBody(Kind);

#[derive(Debug)]
enum Kind {
    Empty,
    Upload {
        upload: Arc<Upload>,
        /// The index of the next kept frame to send.
        next: usize,
        attempt: u32,
        done: bool,
    },
}

impl RequestBody {
    /// No body.
    pub fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// The upload, for this attempt.
    pub(super) fn of(upload: Arc<Upload>, attempt: u32) -> Self {
        Self(Kind::Upload {
            upload,
            next: 0,
            attempt,
            done: false,
        })
    }
}

impl Drop for RequestBody {
    /// A connection lets go of a body when it has all of it, or has ended.
    fn drop(&mut self) {
        let Kind::Upload {
            upload, attempt, ..
        } = &self.0
        else {
            return;
        };
        let mut state = upload.lock();
        if state.attempt == *attempt && !state.turn.is_finished() {
            state.dropped = true;
            upload.finished.notify_one();
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = UploadEnded;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadEnded>>> {
        let Kind::Upload {
            upload,
            next,
            attempt,
            done,
        } = &mut self.0
        else {
            return Poll::Ready(None);
        };
        if *done {
            return Poll::Ready(None);
        }
        let mut state = upload.lock();
        if state.attempt != *attempt || state.fault.is_some() {
            return Poll::Ready(Some(Err(UploadEnded)));
        }
        let kept = state.kept.as_ref().and_then(|kept| kept.get(*next));
        if let Some(data) = kept.cloned() {
            *next += 1;
            if !state.turn.is_finished() {
                state.turn = Turn::Endpoint(Instant::now());
            }
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if state.turn.is_finished() {
            *done = true;
            return Poll::Ready(state.trailers.clone().map(|t| Ok(Frame::trailers(t))));
        }
        let polled = state.poll_source(cx, upload.length);
        if state.turn.is_finished() {
            upload.finished.notify_one();
        }
        match &polled {
            Poll::Ready(Some(Ok(frame))) if frame.is_trailers() => *done = true,
            Poll::Ready(Some(Ok(_))) => *next += 1,
            Poll::Ready(None) => *done = true,
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Upload { done, .. } => *done,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Upload { upload, .. } => upload
                .length
                .map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}
