//! By what the cookie of a client names its endpoint.
//!
//! A pin is a hash of what stays the same over restarts and replicas: of the UID of the endpoint's
//! Pod, else of its Service and address. It tells a client neither.
//!
//! A browser has one cookie of a name, and paths of one host may lead to several Services. If each
//! replaced the others' pin, a client that alternates between two of them would lose its endpoint
//! with every request. So the cookie holds the pins of several upstreams, separated by dots, the
//! newest first. Refused: the path of a rule as the cookie's path, because a Service that has several
//! rules would have an endpoint for each.

use std::fmt;
use std::net::SocketAddr;

use crate::routing::snapshot::{PodRef, ServicePort};

use super::hash::hash;

/// The upstreams that one cookie holds a pin of, at most.
const MOST: usize = 8;

/// In hexadecimal digits.
const LENGTH: usize = 16;

/// What an endpoint is called in cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointPin(u64);

/// The pins in a client's cookie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pins(Vec<EndpointPin>);

impl EndpointPin {
    /// That of an endpoint.
    pub fn new(service: &ServicePort, address: SocketAddr, pod: Option<&PodRef>) -> Self {
        match pod.and_then(|pod| pod.uid.as_deref()) {
            Some(uid) => Self(hash(uid.as_bytes())),
            None => Self(hash(format!("{service} {address}").as_bytes())),
        }
    }

    /// As a number that is evenly distributed.
    pub fn number(self) -> u64 {
        self.0
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let digits = text.len() == LENGTH && text.bytes().all(|b| b.is_ascii_hexdigit());
        let number = digits.then(|| u64::from_str_radix(text, 16));
        number?.ok().map(Self)
    }
}

impl Pins {
    /// Those in the value of a cookie; what is no pin is passed over.
    pub fn parse(value: &[u8]) -> Self {
        let pins = value.split(|b| *b == b'.').filter_map(EndpointPin::parse);
        Self(pins.take(MOST).collect())
    }

    /// The newest first.
    pub fn as_slice(&self) -> &[EndpointPin] {
        &self.0
    }

    /// With a new pin in place of the others of its upstream.
    pub fn with(&self, pin: EndpointPin, same_upstream: impl Fn(EndpointPin) -> bool) -> Self {
        let others = self.0.iter().copied();
        let others = others.filter(|other| *other != pin && !same_upstream(*other));
        Self([pin].into_iter().chain(others).take(MOST).collect())
    }
}

impl fmt::Display for Pins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, EndpointPin(number)) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "." };
            write!(f, "{separator}{number:016x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str) -> ServicePort {
        ServicePort {
            namespace: "shop".into(),
            name: name.into(),
            port: 80,
        }
    }

    fn address(n: u8) -> SocketAddr {
        ([10, 0, 0, n], 8080).into()
    }

    #[test]
    fn a_pod_has_one_pin_whatever_leads_to_it_and_a_bare_address_one_for_each_service() {
        let pod = PodRef {
            name: "cart-1".into(),
            uid: Some("c0ffee".into()),
        };
        let of_pod = |name, n| EndpointPin::new(&service(name), address(n), Some(&pod));
        assert_eq!(of_pod("cart", 1), of_pod("web", 2));
        let bare = |name, n| EndpointPin::new(&service(name), address(n), None);
        assert_eq!(bare("cart", 1), bare("cart", 1));
        assert_ne!(bare("cart", 1), bare("cart", 2));
        assert_ne!(bare("cart", 1), bare("web", 1));
    }

    /// Clients keep it over updates of this program.
    #[test]
    fn a_pin_is_what_it_always_was() {
        let pin = EndpointPin::new(&service("cart"), address(1), None);
        let expected = hash(b"shop/cart:80 10.0.0.1:8080");
        assert_eq!(Pins(vec![pin]).to_string(), format!("{expected:016x}"));
    }

    #[test]
    fn what_is_written_is_read_again_and_nothing_else_is() {
        let pins = Pins(vec![
            EndpointPin(0),
            EndpointPin(u64::MAX),
            EndpointPin(0x00ab_cdef),
        ]);
        assert_eq!(Pins::parse(pins.to_string().as_bytes()), pins);
        let strange = "x.+00000000000000a.0000000000000001.12.00000000000000011..";
        assert_eq!(Pins::parse(strange.as_bytes()), Pins(vec![EndpointPin(1)]));
        let many = ["0000000000000001"; 100].join(".");
        assert_eq!(Pins::parse(many.as_bytes()).as_slice().len(), MOST);
    }

    #[test]
    fn a_new_pin_goes_before_those_of_other_upstreams_and_replaces_those_of_its_own() {
        let pins = Pins((1..=8).map(EndpointPin).collect());
        let ours = |pin: EndpointPin| [4, 8].contains(&pin.0);
        let kept: Vec<u64> = pins
            .with(EndpointPin(12), ours)
            .0
            .iter()
            .map(|pin| pin.0)
            .collect();
        assert_eq!(kept, [12, 1, 2, 3, 5, 6, 7]);
        let kept = pins.with(EndpointPin(9), |_| false);
        assert_eq!((kept.0[0], kept.0.len()), (EndpointPin(9), MOST));
    }
}
