//! What an endpoint does becomes the right diagnosis, without a fact of Kubernetes: from the bytes.

use bywash::diagnose::window::{Reading, Windows};
use bywash::diagnose::{Advice, advise};
use bywash::failure::Cause;
use bywash::faults::script::{Script, Step, send};
use bywash::faults::{Fault, Peer};
use bywash::report::facts::{Facts, Problem};
use bywash::report::outcome::Outcome;
use bywash::report::traffic::RouteKey;
use bywash::routing::policy::Policy;

use super::client::{get, post};
use super::gateway::{Gateway, SHORT, Setup};
use super::secured::{Authority, Front, NAME, server};

/// A second.
const NOW: u64 = 1_763_998_923;

/// What is said of a request that failed, by way of the window in which requests are counted.
fn diagnosis(outcome: &Outcome) -> Advice {
    let ingress = outcome.ingress.as_ref().unwrap();
    let upstream = outcome.upstream.as_ref().map(ToString::to_string);
    let route = RouteKey {
        namespace: ingress.namespace.clone(),
        ingress: ingress.name.clone(),
        upstream: upstream.unwrap_or_default().into(),
        host: "*".into(),
    };
    let counted = Cause::labelled(outcome.cause.unwrap().label()).unwrap();
    let reading = Reading {
        requests: 1,
        failures: vec![(counted, 1)],
        ..Reading::default()
    };
    let mut windows = Windows::default();
    windows.count(NOW, [(route, reading)]);
    windows.illustrate(NOW, outcome);
    let mut reports = windows.report(NOW);
    let failure = reports.remove(0).failures.remove(0);
    assert_eq!(failure.request_id.as_deref(), Some(&*outcome.request_id));
    let problem = Problem {
        samples: failure.samples,
        ..Problem::of(counted)
    };
    advise(&problem, &Facts::default())
}

async fn asked(gateway: &Gateway, request: String) -> Advice {
    gateway.ask(request).await;
    let outcome = gateway.outcomes.next().await;
    diagnosis(&outcome)
}

/// What is said of a peer that fails so.
async fn of(fault: Fault) -> Advice {
    let peer = Peer::start(fault).await.unwrap();
    let gateway = Gateway::with(&[&peer], |policy| {
        policy.timeouts.connect = SHORT;
        policy.timeouts.read = SHORT;
        policy.timeouts.request = 8 * SHORT;
    });
    asked(&gateway, get("/")).await
}

#[tokio::test]
async fn each_way_to_fail_has_its_diagnosis() {
    for (fault, code) in [
        (Fault::Refuse, "NothingListens"),
        (Fault::Ignore, "PacketsDropped"),
        (Fault::ResetAfterRequest, "EndsWithoutAnswer"),
        (Fault::CutHead, "HeadBreaksOff"),
        (Fault::Garbage, "OtherProtocol"),
        (Fault::TlsBytes, "PlainHttpToTls"),
        (Fault::Http2Bytes, "OnlyHttp2"),
        (Fault::BadStatusLine, "MalformedHead"),
        (Fault::NulHeader, "MalformedHead"),
        (Fault::HugeHead, "HeadTooLarge"),
        (Fault::ManyHeaders, "HeadTooLarge"),
        (Fault::StallBeforeHead, "SlowAnswer"),
        (Fault::StallInBody, "BodyStandsStill"),
        (Fault::ShortBody, "BodyBreaksOff"),
        (Fault::CutChunks, "BodyBreaksOff"),
        (Fault::ResetInBody, "BodyBreaksOff"),
        (Fault::BadChunkSize, "MalformedBody"),
        (Fault::UnaskedUpgrade, "UnaskedUpgrade"),
        (Fault::GzipCoding, "MalformedHead"),
    ] {
        let advice = of(fault).await;
        assert_eq!(advice.code, code, "{fault}: {advice:?}");
    }
}

#[tokio::test]
async fn sizes_are_told_as_they_were() {
    for (fault, text) in [
        (Fault::HugeHead, "larger than the 64 KiB"),
        (Fault::ManyHeaders, "more than the 128 header fields"),
        (
            Fault::ShortBody,
            "announces 8 bytes and ends the body after 4 bytes",
        ),
        (Fault::CutChunks, "breaks the body off after 4 bytes"),
    ] {
        let Advice { sentence, .. } = of(fault).await;
        assert!(sentence.contains(text), "{fault}: {sentence}");
    }
}

#[tokio::test]
async fn a_close_of_a_reused_connection_is_likely_a_keep_alive_race() {
    let peer = Peer::start(Fault::CloseOnReuse).await.unwrap();
    let gateway = Gateway::before(&[&peer]);
    assert_eq!(gateway.ask(get("/")).await.status, 200);
    let advice = asked(&gateway, post("/", "body")).await;
    assert_eq!((advice.code, advice.likely), ("KeepAliveRace", true));
}

/// What is said of an endpoint with such a certificate.
async fn of_certificate(authority: &Authority, front: &Front) -> Advice {
    let mut policy = Policy::default();
    policy.timeouts.connect = 20 * SHORT;
    policy.upstream_mut().tls = authority.verifies(NAME);
    let gateway = Setup::to(&[front.address], policy).start();
    asked(&gateway, get("/")).await
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_told() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let expired = Front::before(&peer, server(ours.sign_expired(NAME))).await;
    let advice = of_certificate(&ours, &expired).await;
    assert_eq!(advice.code, "CertificateExpired");
    let at = "expired at 2001-01-01 00:00:00 UTC";
    assert!(advice.sentence.contains(at), "{advice:?}");

    let other = Front::before(&peer, server(ours.sign("shop.internal"))).await;
    let advice = of_certificate(&ours, &other).await;
    assert_eq!(advice.code, "CertificateName");
    let names = "is for shop.internal, not for cart.internal";
    assert!(advice.sentence.contains(names), "{advice:?}");

    let unknown = Front::before(&peer, server(theirs.sign(NAME))).await;
    let advice = of_certificate(&ours, &unknown).await;
    assert_eq!(advice.code, "UnknownIssuer");
}

#[tokio::test]
async fn an_endpoint_that_wants_a_certificate_of_the_client_is_told_by_its_alert() {
    let authority = Authority::new();
    let peer = Peer::start(Fault::Echo).await.unwrap();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let demanding = authority.demanding(authority.sign(NAME), &[version]);
        let front = Front::before(&peer, demanding).await;
        let advice = of_certificate(&authority, &front).await;
        assert_eq!(advice.code, "HandshakeRefused");
        let wants = "It wants a client's certificate";
        assert!(advice.sentence.contains(wants), "{advice:?}");
    }
}

#[tokio::test]
async fn how_a_tls_handshake_fails_is_told() {
    let authority = Authority::new();
    let answered = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    for (steps, code, likely) in [
        (
            vec![Step::AwaitBytes, send(answered), Step::Finish],
            "TlsToPlainHttp",
            false,
        ),
        (vec![Step::AwaitBytes, Step::Finish], "TlsToPlainHttp", true),
        (vec![Step::AwaitBytes, Step::Drain], "SlowHandshake", true),
    ] {
        let peer = Peer::start(Script::on_connection(steps)).await.unwrap();
        let mut policy = Policy::default();
        policy.timeouts.connect = 4 * SHORT;
        policy.upstream_mut().tls = authority.verifies(NAME);
        let gateway = Setup::to(&[peer.address()], policy).start();
        let advice = asked(&gateway, get("/")).await;
        assert_eq!((advice.code, advice.likely), (code, likely), "{advice:?}");
    }
}

#[tokio::test]
async fn plain_http_to_a_server_with_tls_is_told() {
    let authority = Authority::new();
    let peer = Peer::start(Fault::Echo).await.unwrap();
    let front = Front::before(&peer, server(authority.sign(NAME))).await;
    let gateway = Setup::to(&[front.address], Policy::default()).start();
    let advice = asked(&gateway, get("/")).await;
    assert_eq!(
        (advice.code, advice.likely),
        ("PlainHttpToTls", false),
        "{advice:?}"
    );
}
