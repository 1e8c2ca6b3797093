//! Giving up HTTP/2 streams whose client does not read.
//!
//! A client of HTTP/2 can hold a response back by its flow-control window alone (RFC 9113 section
//! 5.2): the socket stays writable and pings are answered, but the response, its account and its
//! connection to the endpoint stay for ever. hyper waits for the window without a limit and without
//! polling the body, so that no timer in a body would run. But it runs each stream as a task of an
//! executor that we choose; this one ends a task whose body gave a piece that was not taken for the
//! limit of a write. h2 then resets the stream.
//!
//! Whether the last thing a body did was to give a piece is known within one poll of the task, which
//! is why a thread's variable is enough to say it.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::Executor;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

/// What a response body last did, in the present poll of its task.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyDid {
    /// It was not asked.
    Nothing,
    /// It gave a piece: from then on the client is waited for.
    Give,
    /// It had nothing yet: the endpoint is waited for.
    Wait,
}

thread_local! {
    static LAST: Cell<BodyDid> = const { Cell::new(BodyDid::Nothing) };
}

/// A response body says what it did.
pub(super) fn body_did(what: BodyDid) {
    LAST.set(what);
}

/// Runs the streams of a connection, each as a task of the runtime.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streams {
    /// How long a piece of a body may wait for the client.
    pub(super) write_limit: Duration,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        tokio::spawn(Stream {
            task,
            limit: self.write_limit,
            held_since: None,
            timer: None,
        });
    }
}

pin_project! {
    /// The task of a stream, with the time since when a piece waits for the client and a timer that
    /// is made when first needed and set again only when it fires.
    struct Stream<F> {
        #[pin]
        task: F,
        limit: Duration,
        held_since: Option<Instant>,
        timer: Option<Pin<Box<Sleep>>>,
    }
}

impl<F: Future<Output = ()>> Future for Stream<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        LAST.set(BodyDid::Nothing);
        if this.task.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        match LAST.get() {
            BodyDid::Nothing => {}
            BodyDid::Give => *this.held_since = Some(Instant::now()),
            BodyDid::Wait => *this.held_since = None,
        }
        let Some(since) = *this.held_since else {
            return Poll::Pending;
        };
        let deadline = since + *this.limit;
        let timer = this
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        loop {
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    }
}
