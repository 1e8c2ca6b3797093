//! Finding out that a request came back to us.
//!
//! A Service that leads to this gateway's own address makes each request breed another until
//! something gives way. RFC 8586 has a field for it, `CDN-Loop`, which intermediaries may neither
//! change nor remove. `Via` would do as well, but origin servers read it as a hint not to compress.
//!
//! The mark names one installation (all its replicas), not the product: a gateway before another
//! gateway is an ordinary set-up. A request that already carries our mark is refused at once; letting
//! it pass a few times would multiply it, because each level retries a failed answer.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::failure::Cause;

const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");

/// Marks what passes, and knows its own mark.
#[derive(Clone, Debug)]
pub(crate) struct LoopGuard {
    mark: HeaderValue,
}

impl LoopGuard {
    /// A guard of the installation with this identity, which replicas share and others do not.
    ///
    /// What a `cdn-id` cannot hold (RFC 8586 section 2) becomes a hyphen.
    pub(crate) fn new(identity: &str) -> Self {
        let identity: String = identity
            .chars()
            .map(|c| match c {
                c if c.is_ascii_alphanumeric() || c == '.' || c == '-' => c.to_ascii_lowercase(),
                _ => '-',
            })
            .collect();
        let mark = HeaderValue::try_from(format!("bywash-{identity}"));
        Self {
            mark: mark.unwrap_or(HeaderValue::from_static("bywash")),
        }
    }

    /// Marks a request on its way to the upstream.
    ///
    /// # Errors
    /// When it carries the mark already.
    pub(crate) fn pass(&self, headers: &mut HeaderMap) -> Result<(), Cause> {
        let mut marks = headers
            .get_all(CDN_LOOP)
            .iter()
            .flat_map(|value| value.as_bytes().split(|b| *b == b','));
        if marks.any(|mark| self.is_ours(mark)) {
            return Err(Cause::LoopDetected);
        }
        headers.append(CDN_LOOP, self.mark.clone());
        Ok(())
    }

    fn is_ours(&self, mark: &[u8]) -> bool {
        let id = mark.split(|b| *b == b';').next().unwrap_or_default();
        id.trim_ascii().eq_ignore_ascii_case(self.mark.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_passes_once() {
        let guard = LoopGuard::new("shop-cluster");
        let mut headers = HeaderMap::new();
        assert_eq!(guard.pass(&mut headers), Ok(()));
        assert_eq!(headers["cdn-loop"], "bywash-shop-cluster");
        assert_eq!(guard.pass(&mut headers), Err(Cause::LoopDetected));
    }

    #[test]
    fn another_installation_before_this_one_is_no_loop() {
        let mut headers = HeaderMap::new();
        assert_eq!(LoopGuard::new("edge").pass(&mut headers), Ok(()));
        assert_eq!(LoopGuard::new("origin").pass(&mut headers), Ok(()));
        assert_eq!(headers.get_all("cdn-loop").iter().count(), 2);
    }

    #[test]
    fn the_mark_is_found_among_others_and_with_parameters() {
        let guard = LoopGuard::new("x");
        for value in ["a.example, Bywash-X", "bywash-x; v=1, b", " bywash-x"] {
            let mut headers = HeaderMap::new();
            headers.insert("cdn-loop", value.parse().unwrap());
            assert_eq!(
                guard.pass(&mut headers),
                Err(Cause::LoopDetected),
                "{value}"
            );
        }
        let mut headers = HeaderMap::new();
        headers.insert("cdn-loop", HeaderValue::from_static("bywash-xy, bywash"));
        assert_eq!(guard.pass(&mut headers), Ok(()));
    }

    #[test]
    fn any_identity_makes_a_valid_mark() {
        let guard = LoopGuard::new("bywash.dev/ingress-controller @ käse");
        let mut headers = HeaderMap::new();
        assert_eq!(guard.pass(&mut headers), Ok(()));
        assert_eq!(
            headers["cdn-loop"],
            "bywash-bywash.dev-ingress-controller---k-se"
        );
    }
}
