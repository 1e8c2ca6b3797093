//! A client comes back to its endpoint by a cookie.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bywash::faults::script::Script;
use bywash::faults::{Fault, Peer};
use bywash::routing::host::HostPattern;
use bywash::routing::path::{PathKind, PathRule};
use bywash::routing::policy::Policy;
use bywash::routing::policy::upstream::{Algorithm, LoadBalancing, StickyCookie};
use bywash::routing::snapshot::{EndpointState, Target};

use super::balancing::{get_with, peers};
use super::client::{Answer, get, within};
use super::gateway::{Gateway, SHORT, Setup, addresses};
use super::https::{ask_over_tls, secured};

/// Whoever has no cookie goes to the next endpoint in turn.
fn sticky() -> Policy {
    let mut policy = Policy::default();
    policy.upstream_mut().load_balancing = LoadBalancing {
        algorithm: Algorithm::RoundRobin,
        sticky_cookie: Some(StickyCookie {
            name: "pin".into(),
            max_age: None,
        }),
    };
    policy
}

fn before(peers: &[&Peer]) -> Gateway {
    Setup::to(&addresses(peers), sticky()).start()
}

/// A browser: keeps the cookie, and sends it.
struct Browser<'a> {
    gateway: &'a Gateway,
    cookie: Option<String>,
}

/// An answer that reached a browser.
struct Visit {
    answer: Answer,
    /// Where it is from.
    endpoint: SocketAddr,
    /// What was tried in vain.
    failed: usize,
    /// Whether the cookie was set.
    pinned: bool,
}

impl<'a> Browser<'a> {
    fn new(gateway: &'a Gateway) -> Self {
        let cookie = None;
        Self { gateway, cookie }
    }

    async fn visit(&mut self, path: &str) -> Visit {
        let cookie = self.cookie.as_deref().unwrap_or("other=1");
        let request = get_with(&format!("Cookie: {cookie}")).replace(" / ", &format!(" {path} "));
        let (answer, entry) = self.gateway.outcome(request).await;
        let set = answer.fields.iter();
        let set = set.filter(|(name, _)| name == "set-cookie");
        let mut set = set.filter_map(|(_, value)| value.split(';').next());
        let pin = set.find(|pair| pair.starts_with("pin="));
        if let Some(pin) = pin {
            self.cookie = Some(format!("other=1; {pin}"));
        }
        let endpoints = entry.endpoints();
        Visit {
            endpoint: *endpoints.last().unwrap(),
            failed: endpoints.len() - 1,
            pinned: pin.is_some(),
            answer,
        }
    }
}

#[tokio::test]
async fn a_client_comes_back_to_its_endpoint_whatever_others_do() {
    let [a, b, c] = &peers(Fault::Echo).await;
    let gateway = before(&[a, b, c]);
    let mut browser = Browser::new(&gateway);
    let first = browser.visit("/").await;
    let cookie = first.answer.field("set-cookie").unwrap();
    let (pin, attributes) = cookie.split_once(';').unwrap();
    assert_eq!(attributes, " Path=/; HttpOnly; SameSite=Lax");
    let digits = pin.strip_prefix("pin=").unwrap();
    assert!(digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_hexdigit()));
    let mut others = BTreeSet::new();
    for _ in 0..20 {
        others.insert(Browser::new(&gateway).visit("/").await.endpoint);
        let again = browser.visit("/").await;
        assert_eq!((again.endpoint, again.pinned), (first.endpoint, false));
    }
    assert_eq!(others.len(), 3);
    // The endpoint may read it too.
    let described = browser.visit("/").await.answer.described();
    let sent_on = format!("[\"cookie\",\"other=1; {pin}\"]");
    let fields = described["headers"].to_string().to_lowercase();
    assert!(fields.contains(&sent_on), "{fields}");
}

#[tokio::test]
async fn every_gateway_knows_the_pin_of_another() {
    let [a, b, c] = &peers(Fault::Echo).await;
    let (one, other) = (before(&[a, b, c]), before(&[a, b, c]));
    let mut browser = Browser::new(&one);
    let first = browser.visit("/").await;
    browser.gateway = &other;
    for _ in 0..10 {
        let again = browser.visit("/").await;
        assert_eq!((again.endpoint, again.pinned), (first.endpoint, false));
    }
}

#[tokio::test]
async fn a_client_whose_endpoint_refuses_gets_another_and_stays_there() {
    let [a, b, c] = peers(Fault::Echo).await;
    let gateway = before(&[&a, &b, &c]);
    let mut browser = Browser::new(&gateway);
    let gone = browser.visit("/").await.endpoint;
    let (mut refusing, left): (Vec<Peer>, Vec<Peer>) = [a, b, c]
        .into_iter()
        .partition(|peer| peer.address() == gone);
    for peer in &mut refusing {
        peer.refuse().await.unwrap();
    }
    let moved = browser.visit("/").await;
    assert_eq!((moved.answer.status, moved.failed), (200, 1));
    assert!(moved.pinned && moved.endpoint != gone);
    for _ in 0..10 {
        let again = browser.visit("/").await;
        assert_eq!((again.endpoint, again.pinned), (moved.endpoint, false));
    }
    assert_eq!(left.len(), 2);
}

/// That of an endpoint that answers an error stays: the application may say so on purpose.
#[tokio::test]
async fn a_client_moves_when_its_endpoint_is_ejected_and_not_for_an_answer() {
    let [a, b] = &peers(Fault::Echo).await;
    let mut policy = sticky();
    policy.upstream_mut().outlier_detection.statuses = vec![503];
    policy.retry.statuses = Vec::new();
    let gateway = Setup::to(&addresses(&[a, b]), policy).start();
    let mut browser = Browser::new(&gateway);
    let own = browser.visit("/").await.endpoint;
    let bad = if a.address() == own { a } else { b };
    bad.from_now_on(Fault::Unavailable);
    for _ in 0..5 {
        let answered = browser.visit("/").await;
        assert_eq!((answered.answer.status, answered.pinned), (503, false));
        assert_eq!(answered.endpoint, own);
    }
    assert_eq!(gateway.metric("bywash_upstream_ejections_total", ""), 1.0);
    let moved = browser.visit("/").await;
    assert_eq!((moved.answer.status, moved.failed), (200, 0));
    assert!(moved.pinned && moved.endpoint != own);
}

#[tokio::test]
async fn clients_that_are_pinned_elsewhere_have_an_ejected_endpoint_connected_to() {
    let [a, b] = &peers(Fault::Echo).await;
    let mut policy = sticky();
    policy.upstream_mut().outlier_detection.ejection.base = SHORT;
    let gateway = Setup::to(&addresses(&[a, b]), policy).start();
    let mut browser = Browser::new(&gateway);
    let own = browser.visit("/").await.endpoint;
    let (bad, left) = if a.address() == own { (a, b) } else { (b, a) };
    bad.from_now_on(Fault::ResetAfterRequest);
    let before = browser.cookie.clone();
    while gateway.metric("bywash_upstream_ejections_total", "") < 1.0 {
        browser.cookie.clone_from(&before);
        browser.visit("/").await;
    }
    let failed = bad.connections();
    bad.from_now_on(Fault::Echo);
    within("a connection to it", async {
        while bad.connections() == failed {
            let visit = browser.visit("/").await;
            assert_eq!((visit.answer.status, visit.endpoint), (200, left.address()));
        }
    })
    .await;
}

/// It may be ejected again with the next answer.
#[tokio::test]
async fn no_client_is_pinned_to_an_endpoint_that_is_being_tried() {
    let [a, b] = &peers(Fault::Echo).await;
    let mut policy = sticky();
    policy.retry.statuses = Vec::new();
    let rules = &mut policy.upstream_mut().outlier_detection;
    rules.statuses = vec![503];
    rules.ejection.base = Duration::from_millis(1);
    let gateway = Setup::to(&addresses(&[a, b]), policy).start();
    a.from_now_on(Fault::Unavailable);
    while gateway.metric("bywash_upstream_ejections_total", "") < 1.0 {
        Browser::new(&gateway).visit("/").await;
    }
    a.from_now_on(Fault::Echo);
    let mut trials = 0;
    while gateway.metric("bywash_upstream_readmissions_total", "") < 1.0 {
        let visit = Browser::new(&gateway).visit("/").await;
        assert_eq!(visit.answer.status, 200);
        assert_eq!(visit.pinned, visit.endpoint == b.address());
        trials += usize::from(visit.endpoint == a.address());
    }
    assert_eq!(trials, 2);
}

#[tokio::test]
async fn a_client_moves_when_its_endpoint_drains_or_is_gone() {
    let peers: [Peer; 3] = peers(Fault::Echo).await;
    let [a, b, c] = &peers;
    let gateway = before(&[a, b, c]);
    let mut browser = Browser::new(&gateway);
    let first = browser.visit("/").await.endpoint;
    let drains = |peer: &Peer| peer.address() == first;
    let state = |peer| match drains(peer) {
        true => EndpointState::Draining,
        false => EndpointState::Ready,
    };
    gateway.now_has([(a, state(a)), (b, state(b)), (c, state(c))]);
    let second = browser.visit("/").await;
    assert!(second.pinned && second.endpoint != first);
    let left = |peer: &&Peer| ![first, second.endpoint].contains(&peer.address());
    let left = [a, b, c].into_iter().find(left).unwrap();
    gateway.now_has([(left, EndpointState::Ready)]);
    let third = browser.visit("/").await;
    assert!(third.pinned && third.endpoint == left.address());
}

/// Else a page that needs both would move its client with every request.
#[tokio::test]
async fn one_cookie_serves_several_services_of_a_host() {
    let [a, b] = &peers(Fault::Echo).await;
    let [c, d] = &peers(Fault::Echo).await;
    let mut setup = Setup::to(&addresses(&[a, b]), sticky());
    let mut api = Setup::to(&addresses(&[c, d]), sticky());
    let (mut id, endpoints) = api.snapshot.upstreams.pop_first().unwrap();
    id.service.name = "api".into();
    let host = setup.snapshot.hosts.get_mut(&HostPattern::Any).unwrap();
    let mut route = host.default.as_deref().unwrap().clone();
    route.target = Target::Upstream(id.clone());
    let rule = PathRule::new(PathKind::Prefix, "/api");
    host.routes.push((rule, Arc::new(route)));
    setup.snapshot.upstreams.insert(id, endpoints);
    let gateway = setup.start();
    let mut browser = Browser::new(&gateway);
    let web = browser.visit("/").await;
    let api = browser.visit("/api").await;
    assert!(web.pinned && api.pinned);
    for _ in 0..10 {
        let again = [browser.visit("/").await, browser.visit("/api").await];
        assert_eq!(again[0].endpoint, web.endpoint);
        assert_eq!(again[1].endpoint, api.endpoint);
        assert!(!again[0].pinned && !again[1].pinned);
    }
}

#[tokio::test]
async fn the_cookies_of_the_application_are_kept() {
    let answer = "HTTP/1.1 200 OK\r\nset-cookie: session=1\r\nset-cookie: pin=x\r\ncontent-length: 0\r\n\r\n";
    let peer = Peer::start(Script::answer(answer)).await.unwrap();
    let gateway = before(&[&peer]);
    let answer = gateway.ask(get("/")).await;
    let cookies = answer.fields.iter();
    let cookies = cookies.filter(|(name, _)| name == "set-cookie");
    let cookies: Vec<&str> = cookies.map(|(_, value)| value.as_str()).collect();
    assert_eq!(cookies[..2], ["session=1", "pin=x"]);
    assert!(cookies[2].starts_with("pin="), "{cookies:?}");
}

#[tokio::test]
async fn an_upgrade_sets_the_cookie_too() {
    let [peer] = &peers(Fault::Echo).await;
    let gateway = before(&[peer]);
    let mut client = gateway.client().await;
    let upgrade = get_with("Connection: upgrade\r\nUpgrade: echo");
    client.send(upgrade).await;
    let head = client.head().await;
    assert_eq!(head.status, 101);
    assert!(head.field("set-cookie").is_some(), "{head:?}");
}

#[tokio::test]
async fn an_answer_of_the_gateway_sets_no_cookie() {
    let [peer] = &peers(Fault::Refuse).await;
    let answer = before(&[peer]).ask(get("/")).await;
    assert_eq!((answer.status, answer.field("set-cookie")), (502, None));
}

#[tokio::test]
async fn the_cookie_is_secure_where_the_client_spoke_tls_and_lives_as_long_as_the_policy_says() {
    let [peer] = &peers(Fault::Echo).await;
    let mut policy = sticky();
    let cookie = &mut policy.upstream_mut().load_balancing.sticky_cookie;
    cookie.as_mut().unwrap().max_age = Some(Duration::from_secs(3_600));
    let (gateway, connector) = secured(peer, policy.clone());
    let request = "GET /a HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n";
    let answer = ask_over_tls(&gateway, &connector, request).await;
    let ending = "; Path=/; HttpOnly; SameSite=Lax; Max-Age=3600; Secure\r\n";
    assert!(answer.contains(ending), "{answer}");
    let plain = Setup::to(&addresses(&[peer]), policy).start();
    let answer = plain.ask(get("/")).await;
    let cookie = answer.field("set-cookie").unwrap();
    assert!(cookie.ends_with("; Max-Age=3600"), "{cookie}");
}
