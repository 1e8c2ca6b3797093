//! An upload whose client is a script.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use proptest::prelude::*;

use crate::failure::{Cause, ClientFault};

use super::kept::{Kept, MAX_FRAMES, ReplayMemory};
use super::{RequestBody, Source, Turn, Upload};

type Polled = Poll<Option<Result<Frame<Bytes>, Cause>>>;

/// What the client's side of an upload says at each poll, and then that it has ended.
#[derive(Debug)]
pub(super) struct Script(VecDeque<Polled>);

impl Script {
    pub(super) fn poll_frame(&mut self, _: &mut Context<'_>) -> Polled {
        self.0.pop_front().unwrap_or(Poll::Ready(None))
    }
}

fn data(bytes: &[u8]) -> Polled {
    Poll::Ready(Some(Ok(Frame::data(Bytes::copy_from_slice(bytes)))))
}

fn upload(script: impl Into<VecDeque<Polled>>, length: Option<u64>, room: usize) -> Arc<Upload> {
    let kept = Kept::new(room, &ReplayMemory::new(1 << 20));
    Upload::of(Source::Script(Script(script.into())), length, kept, |_| {})
}

fn poll(body: &mut RequestBody) -> Poll<Option<Result<Frame<Bytes>, super::UploadEnded>>> {
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

/// What an attempt has been given.
#[derive(Debug, Default)]
struct Given {
    bytes: Vec<u8>,
    trailers: bool,
    /// How it ended, if it has: well or not.
    end: Option<bool>,
}

impl Given {
    /// As hyper does: to the end, or to the announced length.
    fn poll(&mut self, body: &mut RequestBody, length: Option<u64>) {
        if self.end.is_some() {
            return;
        }
        match poll(body) {
            Poll::Pending => {}
            Poll::Ready(None) => self.end = Some(true),
            Poll::Ready(Some(Err(_))) => self.end = Some(false),
            Poll::Ready(Some(Ok(frame))) if frame.is_trailers() => {
                self.trailers = true;
                self.end = Some(true);
            }
            Poll::Ready(Some(Ok(frame))) => {
                self.bytes.extend_from_slice(&frame.into_data().unwrap());
            }
        }
        if length == Some(self.bytes.len() as u64) {
            self.end = Some(true);
        }
    }
}

/// What happens next to the attempts of a request.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Poll,
    PollAnOldOne,
    AnotherAttempt,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        8 => Just(Happening::Poll),
        1 => Just(Happening::PollAnOldOne),
        1 => Just(Happening::AnotherAttempt),
    ]
}

#[derive(Clone, Debug)]
struct Client {
    frames: Vec<Vec<u8>>,
    pauses: Vec<bool>,
    announced: bool,
    trailers: bool,
    breaks: bool,
}

impl Client {
    fn script(&self) -> VecDeque<Polled> {
        let mut script = VecDeque::new();
        let pauses = self.pauses.iter().chain(std::iter::repeat(&false));
        for (frame, pause) in self.frames.iter().zip(pauses) {
            script.extend(pause.then_some(Poll::Pending));
            script.push_back(data(frame));
        }
        if self.breaks {
            script.push_back(Poll::Ready(Some(Err(Cause::BadRequest(ClientFault::Body)))));
        } else if self.trailers {
            script.push_back(Poll::Ready(Some(Ok(Frame::trailers(HeaderMap::new())))));
        }
        script
    }

    fn bytes(&self) -> Vec<u8> {
        self.frames.concat()
    }

    fn length(&self) -> Option<u64> {
        (self.announced && !self.trailers && !self.breaks).then(|| self.bytes().len() as u64)
    }
}

prop_compose! {
    fn client()(
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..12),
        pauses in prop::collection::vec(any::<bool>(), 12),
        announced in any::<bool>(),
        trailers in any::<bool>(),
        breaks in prop::bool::weighted(0.2),
    ) -> Client {
        Client { frames, pauses, announced, trailers, breaks }
    }
}

proptest! {
    /// However attempts, polls and abandoned connections interleave.
    #[test]
    fn the_last_attempt_gets_exactly_the_clients_bytes_or_none_is_made(
        client in client(),
        room in 0..200_usize,
        happenings in prop::collection::vec(happening(), 0..60),
    ) {
        let (whole, length) = (client.bytes(), client.length());
        // hyper asks for no body of length zero.
        prop_assume!(length != Some(0));
        let upload = upload(client.script(), length, room);
        let mut old = Vec::new();
        let mut body = upload.next_attempt().unwrap();
        let mut given = Given::default();
        for happening in happenings {
            match happening {
                Happening::Poll => given.poll(&mut body, length),
                Happening::PollAnOldOne => {
                    if let Some(old) = old.last_mut() {
                        // At most its end, if it had everything.
                        prop_assert!(matches!(poll(old), Poll::Ready(None | Some(Err(_)))));
                    }
                }
                Happening::AnotherAttempt => match upload.next_attempt() {
                    Some(next) => {
                        old.push(std::mem::replace(&mut body, next));
                        given = Given::default();
                    }
                    None => prop_assert!(upload.taken() > room as u64, "refused within its room"),
                },
            }
            prop_assert!(upload.turn().is_finished() >= (given.end == Some(true)));
        }
        while given.end.is_none() {
            given.poll(&mut body, length);
        }
        if client.breaks {
            prop_assert_eq!(given.end, Some(false));
            prop_assert_eq!(upload.fault(), Some(Cause::BadRequest(ClientFault::Body)));
        } else {
            prop_assert_eq!(given.end, Some(true));
            prop_assert_eq!(&given.bytes, &whole);
            prop_assert_eq!(given.trailers, client.trailers);
            prop_assert_eq!(upload.taken(), whole.len() as u64);
        }
        prop_assert_eq!(upload.is_replayable(), upload.taken() <= room as u64);
    }
}

#[test]
fn a_body_of_exactly_the_room_can_be_sent_again_and_one_byte_more_cannot() {
    for (room, again) in [(8, true), (7, false)] {
        let upload = upload([data(b"half"), data(b"rest")], Some(8), room);
        let mut body = upload.next_attempt().unwrap();
        assert!(poll(&mut body).is_ready() && poll(&mut body).is_ready());
        assert!(upload.turn().is_finished());
        assert_eq!(upload.next_attempt().is_some(), again);
    }
}

#[test]
fn a_body_of_a_great_many_tiny_frames_is_not_kept() {
    let frames: Vec<_> = (0..=MAX_FRAMES).map(|_| data(b"")).collect();
    let upload = upload(frames, None, 64 * 1024);
    let mut body = upload.next_attempt().unwrap();
    for _ in 0..MAX_FRAMES {
        assert!(poll(&mut body).is_ready());
    }
    assert!(upload.is_replayable());
    assert!(poll(&mut body).is_ready());
    assert!(!upload.is_replayable());
}

/// Counts how often it is woken.
#[derive(Default)]
struct Alarm(AtomicUsize);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn another_attempt_wakes_the_connection_of_the_one_before() {
    let upload = upload([Poll::Pending, data(b"half")], None, 64);
    let mut before = upload.next_attempt().unwrap();
    let alarm = Arc::new(Alarm::default());
    let waker = Waker::from(Arc::clone(&alarm));
    let mut context = Context::from_waker(&waker);
    assert!(Pin::new(&mut before).poll_frame(&mut context).is_pending());
    let mut next = upload.next_attempt().unwrap();
    assert_eq!(alarm.0.load(Ordering::Relaxed), 1);
    assert!(matches!(poll(&mut before), Poll::Ready(Some(Err(_)))));
    assert!(matches!(poll(&mut next), Poll::Ready(Some(Ok(_)))));
}

#[test]
fn giving_up_wakes_the_connection_that_waits_for_the_client() {
    let upload = upload([data(b"half"), Poll::Pending], None, 64);
    let mut body = upload.next_attempt().unwrap();
    let alarm = Arc::new(Alarm::default());
    let waker = Waker::from(Arc::clone(&alarm));
    let mut context = Context::from_waker(&waker);
    assert!(Pin::new(&mut body).poll_frame(&mut context).is_ready());
    assert!(Pin::new(&mut body).poll_frame(&mut context).is_pending());
    assert!(matches!(upload.turn(), Turn::Client(_)));
    upload.give_up();
    assert_eq!(alarm.0.load(Ordering::Relaxed), 1);
    assert!(matches!(poll(&mut body), Poll::Ready(Some(Err(_)))));
    assert!(upload.next_attempt().is_none());
}

#[tokio::test]
async fn the_rest_of_an_upload_is_given_up_when_it_stands_still() {
    let upload = upload([data(b"half"), Poll::Pending], None, 64);
    let mut body = upload.next_attempt().unwrap();
    assert!(poll(&mut body).is_ready());
    assert!(!upload.ends_by_itself(Duration::from_millis(1)).await);
    assert!(matches!(poll(&mut body), Poll::Ready(Some(Err(_)))));
}

#[tokio::test]
async fn the_rest_of_an_upload_ends_with_its_connection_or_by_itself() {
    let limit = Duration::from_secs(60);
    for completes in [true, false] {
        let upload = upload([data(b"half"), data(b"rest")], Some(8), 64);
        let mut body = upload.next_attempt().unwrap();
        assert!(poll(&mut body).is_ready());
        let rest = tokio::spawn({
            let upload = Arc::clone(&upload);
            async move { upload.ends_by_itself(limit).await }
        });
        tokio::task::yield_now().await;
        match completes {
            true => assert!(poll(&mut body).is_ready()),
            false => drop(body),
        }
        assert_eq!(rest.await.unwrap(), completes);
    }
}

#[test]
fn all_uploads_together_keep_no_more_than_the_process_has_for_them() {
    let memory = ReplayMemory::new(10);
    let data = Bytes::from_static(b"123456");
    let mut first = Kept::new(100, &memory);
    assert!(first.push(&data));
    let mut second = Kept::new(100, &memory);
    assert!(!second.push(&data));
    drop(first);
    assert!(second.push(&data));
}
