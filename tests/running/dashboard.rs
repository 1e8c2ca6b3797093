//! The page of the admin port, in a real browser.

use std::net::{SocketAddr, TcpListener};

use serde_json::json;

use crate::browser::Browser;
use crate::http::{get, send};
use crate::manifests::{Manifests, route};
use crate::program::Program;
use crate::upstream::{Answers, Upstream};

/// An address at which nothing listens.
fn nowhere() -> SocketAddr {
    TcpListener::bind("127.0.0.2:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

/// A route to an upstream that answers, and one endpoint that refuses.
fn half_broken(name: &str, host: &str) -> (Upstream, String) {
    let upstream = Upstream::start("web", Answers::AtOnce);
    let refusing = nowhere();
    let (good, port) = (upstream.address, refusing.port());
    let slice = format!(
        "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{name: {name}-2, namespace: shop, labels: {{kubernetes.io/service-name: {name}}}}}\n\
         addressType: IPv4\nports: [{{name: http, port: {port}}}]\n\
         endpoints: [{{addresses: [{}], targetRef: {{kind: Pod, name: web-refusing}}}}]\n",
        refusing.ip()
    );
    let policy = format!(
        "---\napiVersion: bywash.dev/v1alpha1\nkind: GatewayPolicy\n\
         metadata: {{name: {name}, namespace: shop}}\n\
         spec: {{targetRefs: [{{group: networking.k8s.io, kind: Ingress, name: {name}}}], \
         loadBalancing: {{algorithm: RoundRobin}}}}\n"
    );
    (upstream, route(name, host, good) + &slice + &policy)
}

#[test]
fn routes_appear_and_an_endpoint_that_fails_shows_up_while_one_looks() {
    let manifests = Manifests::empty();
    let (_upstream, text) = half_broken("shop", "shop.example");
    manifests.write("shop.yaml", &text);
    let program = Program::standalone(manifests.path(), &[]);
    let mut browser = Browser::open(1280, 900);
    browser.go(&format!("http://{}/", program.admin));
    browser
        .wait_for("document.querySelector('#route-rows th')?.textContent.includes('shop.example')");
    browser.wait_for("document.querySelectorAll('#endpoint-rows .state.good').length === 2");

    browser.ask("document.getElementById('filter').focus()");
    let ejected =
        "document.querySelector('#endpoint-rows .state.bad')?.textContent.includes('ejected')";
    while browser.ask("document.querySelector('#endpoint-rows .state.bad') === null") == json!(true)
    {
        assert_eq!(get(program.http, "shop.example", "/").status, 200);
    }
    browser.wait_for(ejected);
    browser.wait_for("document.getElementById('changes').textContent.includes('is ejected')");
    browser.wait_for(
        "document.querySelector('#failure-rows summary')?.textContent.includes('healed')",
    );
    browser.wait_for(
        "document.getElementById('endpoint-rows').textContent.includes('connection_refused')",
    );
    // However much changed, whoever types goes on typing.
    assert_eq!(browser.ask("document.activeElement.id"), "filter");

    let own = format!("http://{}/", program.admin);
    let foreign = |url: &&String| !url.starts_with(&own) && *url != "data:,";
    let outside: Vec<_> = browser.requested.iter().filter(foreign).collect();
    assert!(outside.is_empty(), "{outside:?}");
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
}

/// Waits for a row whose head holds this, and whose cells say all of these, by their labels: expressions. What
/// the bars say to those who do not see them is that of `bars`.
fn wait_for_row(browser: &mut Browser, rows: &str, head: &str, cells: &[(&str, &str)]) {
    let (head, cells) = (json!(head), json!(cells));
    browser.wait_for(&format!(
        "[...document.querySelectorAll('#{rows} tr')].some((row) =>
            row.querySelector('th').textContent.includes({head})
            && {cells}.every(([label, says]) => {{
                const text = label === 'bars'
                    ? row.querySelector('svg')?.getAttribute('aria-label')
                    : row.querySelector(`td[data-label=\"${{label}}\"]`)?.textContent;
                return new RegExp(`^${{says}}$`).test(text ?? '');
            }}))"
    ));
}

#[test]
fn rows_of_routes_upstreams_and_endpoints_show_what_became_of_their_requests() {
    let (quick, busy) = (
        Upstream::start("quick", Answers::AtOnce),
        Upstream::start("busy", Answers::WhenReleased),
    );
    let manifests = Manifests::empty();
    let gone = nowhere();
    for (name, address) in [
        ("shop", quick.address),
        ("busy", busy.address),
        ("gone", gone),
    ] {
        let text = route(name, &format!("{name}.example"), address);
        manifests.write(&format!("{name}.yaml"), &text);
    }
    let without = route("bare", "bare.example", gone);
    let without = without.rsplit_once("---\n").unwrap().0;
    manifests.write("bare.yaml", without);
    let program = Program::standalone(manifests.path(), &[]);
    let mut browser = Browser::open(1280, 900);
    browser.go(&format!("http://{}/", program.admin));
    browser
        .wait_for("/^4 routes · 3 endpoints/.test(document.getElementById('summary').textContent)");

    for (host, status, requests) in [
        ("shop.example", 200, 20),
        ("gone.example", 502, 5),
        ("bare.example", 503, 2),
    ] {
        for _ in 0..requests {
            assert_eq!(get(program.http, host, "/").status, status);
        }
    }
    let held = send(program.http, "busy.example", "/");
    busy.reached();

    let served = [
        ("Ingress", "shop/shop"),
        ("Upstream", "shop/shop:80"),
        ("bars", "20 requests, 0 failed"),
        ("Requests/s", "0.3"),
        ("Failed", "0"),
        ("Causes", ""),
    ];
    wait_for_row(&mut browser, "route-rows", "shop.example/", &served);
    let refused = [
        ("bars", "5 requests, 5 failed"),
        ("Requests/s", "0.1"),
        ("Failed", "5 \\(100 %\\)"),
        ("Causes", "connection_refused 5"),
    ];
    wait_for_row(&mut browser, "route-rows", "gone.example/", &refused);
    let bare = [("Failed", "2 \\(100 %\\)"), ("Causes", "no_endpoints 2")];
    wait_for_row(&mut browser, "route-rows", "bare.example/", &bare);

    let none = "shop/bare:80 × no endpoint";
    wait_for_row(&mut browser, "endpoint-rows", none, &[]);
    wait_for_row(&mut browser, "endpoint-rows", "shop/shop:80", &[]);
    let good = [
        ("State", "√ ready"),
        ("In flight", "0"),
        ("Rated at", "[0-9.]+ ms"),
        ("Last failure", ""),
    ];
    let quick = quick.address.to_string();
    wait_for_row(&mut browser, "endpoint-rows", &quick, &good);
    let failed = [
        ("Rated at", "[0-9.]+ ms"),
        ("Last failure", "connection_refused [0-9]+ s ago"),
    ];
    wait_for_row(&mut browser, "endpoint-rows", &gone.to_string(), &failed);
    let at = busy.address.to_string();
    let one = [("In flight", "1"), ("Rated at", "")];
    wait_for_row(&mut browser, "endpoint-rows", &at, &one);

    busy.release();
    assert_eq!(held.answer().status, 200);
    let idle = [("In flight", "0"), ("Rated at", "[0-9.]+ ms")];
    wait_for_row(&mut browser, "endpoint-rows", &at, &idle);
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
}

#[test]
fn everything_is_reached_with_the_keyboard_and_has_a_name() {
    let manifests = Manifests::routing("shop.example", nowhere());
    let program = Program::standalone(manifests.path(), &[]);
    let status = get(program.http, "shop.example", "/").status;
    assert_eq!(status, 502);
    let mut browser = Browser::open(390, 844);
    browser.go(&format!("http://{}/", program.admin));
    browser.wait_for("document.querySelector('#failure-rows summary') !== null");
    let mut reached = Vec::new();
    for _ in 0..8 {
        browser.press("Tab", 9);
        let what = "document.activeElement.id || document.activeElement.className \
                    || document.activeElement.tagName";
        reached.push(browser.ask(what).as_str().unwrap().to_owned());
    }
    for wanted in ["skip", "filter", "pause", "wide", "SUMMARY"] {
        assert!(
            reached.iter().any(|it| it == wanted),
            "{wanted} in {reached:?}"
        );
    }
    let unnamed = "[...document.querySelectorAll('input, button, [role=region], [role=img], section')].filter(
        (it) => !it.getAttribute('aria-label') && !it.getAttribute('aria-labelledby')
            && !it.textContent && !it.labels?.length).length";
    assert_eq!(browser.ask(unnamed), 0);
    let across = "document.documentElement.scrollWidth <= window.innerWidth";
    assert_eq!(
        browser.ask(across),
        true,
        "a phone has to be scrolled sideways"
    );
}

#[test]
fn what_somebody_wrote_never_becomes_markup() {
    let manifests = Manifests::routing("shop.example", nowhere());
    let evil = route("evil", "evil.example", nowhere())
        .replace("evil.example", "\"<img src=x onerror='window.hacked=1'>\"");
    manifests.write("evil.yaml", &evil);
    let program = Program::standalone(manifests.path(), &[]);
    let path = "/%3Cimg%20src=x%20onerror=alert(1)%3E\"'{}";
    get(program.http, "shop.example", path);
    let mut browser = Browser::open(1280, 900);
    browser.go(&format!("http://{}/", program.admin));
    browser.wait_for("document.getElementById('finding-rows').textContent.includes('<img src=x')");
    browser.wait_for("document.getElementById('failure-rows').textContent.includes('onerror')");
    assert_eq!(browser.ask("document.querySelectorAll('img').length"), 0);
    assert_eq!(browser.ask("typeof window.hacked"), "undefined");
}

#[test]
fn a_page_of_a_stranger_reads_nothing_under_a_name_of_its_own() {
    let manifests = Manifests::empty();
    let program = Program::standalone(manifests.path(), &[]);
    for path in ["/", "/debug/state", "/debug/failures", "/debug/snapshot"] {
        assert_eq!(
            get(program.admin, "attacker.example", path).status,
            421,
            "{path}"
        );
        let own = get(program.admin, "localhost", path);
        assert_eq!(own.status, 200, "{path}");
        assert!(!own.head.contains("access-control-allow"), "{}", own.head);
    }
    let page = get(program.admin, "localhost", "/");
    assert!(
        page.head
            .contains("content-security-policy: default-src 'none'"),
        "{}",
        page.head
    );
}
