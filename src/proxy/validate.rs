//! Holding an answer back until its body is known to be what its head says.
//!
//! JSON that breaks off or is an error page in disguise passes every check of HTTP, and reaches a client
//! that can do nothing with it. While nothing of it is forwarded, it is a failed attempt like any other.
//! What is too long, and what there is no memory for, is passed on unseen: validation must not be what
//! takes a service down.
//!
//! Of every other answer just as much is looked at as is here with its head: one whose body has failed by
//! then is none either.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, Method, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::IgnoredAny;
use tokio::time::timeout;

use crate::failure::Cause;
use crate::upstream::classify::body_failure;
use crate::upstream::upload::{ReplayMemory, Reserved};

/// How much, of what, for how long.
pub(super) struct Limits<'a> {
    /// Of one body, in bytes.
    pub(super) most: usize,
    /// Of all that are held back.
    pub(super) memory: &'a Arc<ReplayMemory>,
    /// Between two reads.
    pub(super) read: Duration,
}

/// The body of an answer.
pub(super) enum AnswerBody {
    /// As it comes, after what came with the head.
    Flowing { first: Bytes, rest: Incoming },
    /// Some or all of it is here already.
    Held(Box<Held>),
}

/// A body of which the beginning was read.
pub(super) struct Held {
    beginning: Bytes,
    rest: Rest,
    _memory: Option<Reserved>,
}

/// What follows.
enum Rest {
    Flowing(Incoming),
    Trailers(Box<HeaderMap>),
    Nothing,
}

/// Why an answer is not one, and what it looked like, for logs.
pub(super) type Invalid = (Cause, Option<Box<str>>);

/// Whether the body of an answer has to be JSON.
pub(super) fn claims_json<B>(response: &Response<B>, method: &Method) -> bool {
    let without_content = matches!(
        response.status(),
        StatusCode::NO_CONTENT
            | StatusCode::RESET_CONTENT
            | StatusCode::PARTIAL_CONTENT
            | StatusCode::NOT_MODIFIED
            | StatusCode::SWITCHING_PROTOCOLS
    );
    let headers = response.headers();
    let content_type = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    !without_content
        && *method != Method::HEAD
        && !headers.contains_key(CONTENT_ENCODING)
        && content_type.is_some_and(is_json)
}

/// RFC 8259 section 11, RFC 6839 section 3.1; what gRPC calls JSON has a framing around it.
fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let media_type = media_type.to_ascii_lowercase();
    media_type == "application/json"
        || media_type.ends_with("+json") && !media_type.starts_with("application/grpc")
}

/// Reads the body of an answer that has to be JSON, if it is not too long.
///
/// # Errors
/// When it is none, or breaks off.
pub(super) async fn json(
    response: Response<Incoming>,
    limits: Limits<'_>,
) -> Result<Response<AnswerBody>, Invalid> {
    let (head, mut incoming) = response.into_parts();
    let answer = |body| Ok(Response::from_parts(head, body));
    let announced = incoming.size_hint().lower();
    if announced > limits.most as u64 {
        return answer(AnswerBody::from(incoming));
    }
    let Some(mut memory) = limits.memory.reserve(announced) else {
        return answer(AnswerBody::from(incoming));
    };
    // Not more than was found to be allowed.
    let mut held = BytesMut::with_capacity(usize::try_from(announced).unwrap_or_default());
    let mut trailers = None;
    loop {
        let frame = timeout(limits.read, incoming.frame()).await;
        let frame = match frame.map_err(|_| (Cause::BodyTimeout, None))? {
            None => break,
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Err((body_failure(&error), None)),
        };
        match frame.into_data() {
            Ok(data) => {
                held.extend_from_slice(&data);
                let room = memory.grow(held.len() as u64);
                if held.len() > limits.most || !room {
                    return answer(AnswerBody::held(
                        held.freeze(),
                        Rest::Flowing(incoming),
                        memory,
                    ));
                }
            }
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    judge(&held).map_err(|why| (Cause::InvalidJson, Some(why.into())))?;
    let rest = trailers.map_or(Rest::Nothing, |it| Rest::Trailers(Box::new(it)));
    answer(AnswerBody::held(held.freeze(), rest, memory))
}

/// Whether a text is JSON (RFC 8259): one value in UTF-8, perhaps after a byte order mark (section 8.1).
fn judge(text: &[u8]) -> Result<(), String> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let text = str::from_utf8(text).map_err(|error| error.to_string())?;
    let read: Result<IgnoredAny, _> = serde_json::from_str(text);
    read.map(|_| ()).map_err(|error| error.to_string())
}

impl AnswerBody {
    fn held(beginning: Bytes, rest: Rest, memory: Reserved) -> Self {
        Self::Held(Box::new(Held {
            beginning,
            rest,
            _memory: Some(memory),
        }))
    }

    /// The body of an answer whose head has just been read. Nothing is waited for.
    ///
    /// # Errors
    /// When it has failed already.
    pub(super) fn begun(mut incoming: Incoming) -> Result<Self, hyper::Error> {
        let frame = match incoming.frame().now_or_never() {
            None | Some(None) => return Ok(Self::from(incoming)),
            Some(Some(frame)) => frame?,
        };
        Ok(match frame.into_data() {
            Ok(first) => Self::Flowing {
                first,
                rest: incoming,
            },
            Err(frame) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                Self::Held(Box::new(Held {
                    beginning: Bytes::new(),
                    rest: Rest::Trailers(Box::new(trailers)),
                    _memory: None,
                }))
            }
        })
    }
}

impl From<Incoming> for AnswerBody {
    fn from(rest: Incoming) -> Self {
        let first = Bytes::new();
        Self::Flowing { first, rest }
    }
}

/// What is here already, before the rest of a body.
fn with_rest(here: &Bytes, rest: SizeHint) -> SizeHint {
    let here = here.len() as u64;
    let mut hint = SizeHint::new();
    hint.set_lower(here + rest.lower());
    if let Some(upper) = rest.upper() {
        hint.set_upper(here + upper);
    }
    hint
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let held = match &mut *self {
            Self::Flowing { first, rest } if first.is_empty() => {
                return Pin::new(rest).poll_frame(cx);
            }
            Self::Flowing { first, .. } => {
                return Poll::Ready(Some(Ok(Frame::data(std::mem::take(first)))));
            }
            Self::Held(held) => held,
        };
        if !held.beginning.is_empty() {
            let beginning = std::mem::take(&mut held.beginning);
            return Poll::Ready(Some(Ok(Frame::data(beginning))));
        }
        match std::mem::replace(&mut held.rest, Rest::Nothing) {
            Rest::Flowing(mut incoming) => {
                let frame = Pin::new(&mut incoming).poll_frame(cx);
                held.rest = Rest::Flowing(incoming);
                Poll::Ready(ready!(frame))
            }
            Rest::Trailers(trailers) => Poll::Ready(Some(Ok(Frame::trailers(*trailers)))),
            Rest::Nothing => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Flowing { first, rest } => first.is_empty() && rest.is_end_stream(),
            Self::Held(held) => {
                held.beginning.is_empty()
                    && match &held.rest {
                        Rest::Flowing(incoming) => incoming.is_end_stream(),
                        Rest::Trailers(_) => false,
                        Rest::Nothing => true,
                    }
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        let held = match self {
            Self::Flowing { first, rest } => return with_rest(first, rest.size_hint()),
            Self::Held(held) => held,
        };
        let rest = match &held.rest {
            Rest::Flowing(incoming) => incoming.size_hint(),
            // After a length that is known nothing could follow.
            Rest::Trailers(_) => SizeHint::new(),
            Rest::Nothing => SizeHint::with_exact(0),
        };
        with_rest(&held.beginning, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_in_utf8_is_json_and_nothing_else_is() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for text in ["{}", " [1, \"a\"] \n", "null", "\u{feff}{}", "1e5", &deep] {
            assert_eq!(judge(text.as_bytes()), Ok(()));
        }
        for text in [
            "", "{", "{} {}", "<html>", "{'a': 1}", "[1,]", "NaN", "\"\n\"",
        ] {
            assert!(judge(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(judge(b"\"\xff\"").is_err());
    }

    fn claims(status: u16, method: Method, fields: &[(&'static str, &'static str)]) -> bool {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        for (name, value) in fields {
            let value = http::HeaderValue::from_static(value);
            response.headers_mut().insert(*name, value);
        }
        claims_json(&response, &method)
    }

    #[test]
    fn an_answer_says_that_it_is_json_by_its_content_type() {
        for content_type in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/vnd.api+json",
            "application/problem+json",
        ] {
            let fields = [("content-type", content_type)];
            assert!(claims(200, Method::GET, &fields), "{content_type}");
        }
        for content_type in [
            "text/plain",
            "application/x-ndjson",
            "application/grpc+json",
        ] {
            let fields = [("content-type", content_type)];
            assert!(!claims(200, Method::GET, &fields), "{content_type}");
        }
    }

    #[test]
    fn what_has_no_body_of_its_own_or_is_encoded_is_not_looked_at() {
        let json = ("content-type", "application/json");
        assert!(claims(500, Method::POST, &[json]));
        assert!(!claims(200, Method::HEAD, &[json]));
        for status in [101, 204, 205, 206, 304] {
            assert!(!claims(status, Method::GET, &[json]), "{status}");
        }
        assert!(!claims(
            200,
            Method::GET,
            &[json, ("content-encoding", "gzip")]
        ));
    }
}
