//! What a client asks for: a request with a unique id, and bodies that follow from the id.
//!
//! Both bodies are slices of one block of random bytes, at places that the id decides. So whoever
//! knows the id knows every byte, and no body can be taken for another's or for its own beginning.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::Full;
use rand::rngs::SmallRng;
use rand::{Rng, RngExt, SeedableRng};

/// The host of the one Ingress.
pub(crate) const HOST: &str = "shop.test";

/// What a policy keeps of a body for another attempt, unless it says otherwise.
const KEPT: usize = 64 * 1024;

/// Larger than any body.
const BLOCK: usize = 1 << 20;

static RANDOM: LazyLock<Bytes> = LazyLock::new(|| {
    let mut block = vec![0; BLOCK];
    SmallRng::seed_from_u64(7).fill_bytes(&mut block);
    block.into()
});

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) id: String,
    pub(crate) method: Method,
    /// Bytes of the request body; none for GET.
    upload: usize,
    /// Bytes of the response body.
    answer: usize,
    /// Whether the response body is sent in chunks.
    chunked: bool,
}

impl Order {
    /// The next request of a client. Half are GETs; PUTs have bodies that are kept for another
    /// attempt, POSTs some that are not.
    pub(crate) fn draw(id: String, rng: &mut SmallRng) -> Self {
        let (method, upload) = match rng.random_range(0..10) {
            0..5 => (Method::GET, 0),
            5..7 => (Method::PUT, size(KEPT, rng)),
            7..9 => (Method::POST, size(KEPT, rng)),
            _ => (Method::POST, KEPT + size(KEPT, rng)),
        };
        Self {
            id,
            method,
            upload,
            answer: size(4 * KEPT, rng),
            chunked: rng.random(),
        }
    }

    /// Whether it may be repeated although it was sent.
    pub(crate) fn is_idempotent(&self) -> bool {
        self.method != Method::POST
    }

    pub(crate) fn request(&self, h2: bool) -> Request<Full<Bytes>> {
        let coding = if self.chunked { "chunks" } else { "whole" };
        let path = format!("/{coding}/{}", self.answer);
        let request = Request::builder()
            .method(self.method.clone())
            .header("x-request-id", &self.id);
        let request = match h2 {
            true => request.uri(format!("http://{HOST}{path}")),
            false => request.uri(path).header(header::HOST, HOST),
        };
        let body = body(&self.id, "request", self.upload);
        request.body(Full::from(body)).unwrap()
    }

    /// What must come back.
    pub(crate) fn answer(&self) -> Bytes {
        answer(&self.id, self.answer)
    }
}

/// Mostly small, so that few bytes are moved and all sizes occur.
fn size(most: usize, rng: &mut SmallRng) -> usize {
    let most = most >> rng.random_range(0..10);
    rng.random_range(2..=most.max(2))
}

/// The response body of a request.
pub(crate) fn answer(id: &str, length: usize) -> Bytes {
    body(id, "answer", length)
}

/// Whether this is the body of a request.
pub(crate) fn is_upload(id: &str, bytes: &[u8]) -> bool {
    body(id, "request", bytes.len()) == bytes
}

/// A number that the id decides.
pub(crate) fn number(id: &str, of: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (id, of).hash(&mut hasher);
    hasher.finish()
}

fn body(id: &str, of: &str, length: usize) -> Bytes {
    let places = (BLOCK - length) as u64;
    let start = usize::try_from(number(id, of) % places).unwrap();
    RANDOM.slice(start..start + length)
}
