//! One test a rule; the section that it obeys stands beside it.

use http::Request;

use super::*;

struct Given(http::request::Builder);

fn given(method: &str, target: &str) -> Given {
    Given(Request::builder().method(method).uri(target))
}

impl Given {
    fn version(self, version: Version) -> Self {
        Self(self.0.version(version))
    }

    fn with(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    fn h2_protocol(self, protocol: &'static str) -> Self {
        let protocol = hyper::ext::Protocol::from_static(protocol);
        Self(self.0.version(Version::HTTP_2).extension(protocol))
    }

    fn read(self) -> Result<Head, ClientFault> {
        check(&self.0.body(()).unwrap().into_parts().0)
    }
}

fn get(target: &str) -> Given {
    given("GET", target).with("host", "shop.example")
}

fn with_host(host: &str) -> Result<Head, ClientFault> {
    given("GET", "/").with("host", host).read()
}

// RFC 9112 section 3.2

#[test]
fn http_1_1_without_host_is_refused() {
    assert_eq!(given("GET", "/").read(), Err(ClientFault::Host));
}

#[test]
fn two_hosts_are_refused_even_if_equal() {
    let twice = get("/").with("host", "shop.example");
    assert_eq!(twice.read(), Err(ClientFault::Host));
}

#[test]
fn a_malformed_host_is_refused() {
    for host in [
        "",
        ".",
        "a..b",
        "a/b",
        "a/b@c",
        "user@shop.example",
        "a b",
        "a,b",
        "a:b",
        "a:80:90",
        "a:+80",
        "a:99999",
        "[::1",
        "[::1]x",
        "[zz]",
        "::1",
        "a%2fb",
        "a\\b",
        "ex*mple",
        &"a".repeat(64),
        &"a.".repeat(130),
    ] {
        assert_eq!(with_host(host), Err(ClientFault::Host), "{host}");
    }
    let latin = given("GET", "/").0.header("host", &b"caf\xe9.example"[..]);
    assert_eq!(Given(latin).read(), Err(ClientFault::Host));
}

#[test]
fn the_host_is_compared_in_lower_case_without_port_and_trailing_dot() {
    let head = with_host("Shop.EXAMPLE.:8080").unwrap();
    assert_eq!((&*head.host, head.port), ("shop.example", Some(8080)));
    assert_eq!(head.authority, "Shop.EXAMPLE.:8080");
    assert_eq!(with_host("shop.example:").unwrap().port, None);
}

#[test]
fn an_ipv6_literal_keeps_its_brackets() {
    let head = with_host("[2001:DB8::1]:80").unwrap();
    assert_eq!((&*head.host, head.port), ("[2001:db8::1]", Some(80)));
    assert_eq!(with_host("[::1]").unwrap().port, None);
}

#[test]
fn http_1_0_needs_no_host() {
    let head = given("GET", "/").version(Version::HTTP_10).read().unwrap();
    assert_eq!((&*head.host, head.authority.as_bytes()), ("", &b""[..]));
}

// RFC 9112 section 3.2.2

#[test]
fn the_authority_of_an_absolute_target_replaces_host() {
    let head = get("http://Other.example:81/a?q").read().unwrap();
    assert_eq!((&*head.host, head.port), ("other.example", Some(81)));
    assert_eq!(head.authority, "Other.example:81");
    assert_eq!(head.target, "/a?q");
}

#[test]
fn an_absolute_target_does_not_excuse_a_missing_host() {
    let head = given("GET", "http://shop.example/").read();
    assert_eq!(head, Err(ClientFault::Host));
}

#[test]
fn userinfo_in_the_target_is_refused() {
    let head = get("http://shop.example@evil.example/").read();
    assert_eq!(head, Err(ClientFault::Target));
}

#[test]
fn other_schemes_are_refused() {
    assert_eq!(get("ftp://shop.example/").read(), Err(ClientFault::Target));
}

// RFC 9112 sections 3.2.3 and 3.2.4

#[test]
fn authority_form_and_words_are_refused() {
    assert_eq!(get("shop.example:80").read(), Err(ClientFault::Target));
    assert_eq!(get("foo").read(), Err(ClientFault::Target));
}

#[test]
fn the_asterisk_is_refused() {
    let star = given("OPTIONS", "*").with("host", "shop.example");
    assert_eq!(star.read(), Err(ClientFault::Target));
    assert_eq!(get("*").read(), Err(ClientFault::Target));
}

#[test]
fn connect_is_refused() {
    let connect = given("CONNECT", "shop.example:443").with("host", "shop.example:443");
    assert_eq!(connect.read(), Err(ClientFault::Connect));
    let h2 = given("CONNECT", "shop.example:443").version(Version::HTTP_2);
    assert_eq!(h2.read(), Err(ClientFault::Connect));
}

#[test]
fn unknown_methods_are_let_through() {
    for method in ["get", "PURGE", "M-SEARCH"] {
        let request = given(method, "/").with("host", "a");
        assert!(request.read().is_ok(), "{method}");
    }
}

// The canonical path

#[test]
fn the_path_is_canonical_and_the_query_is_untouched() {
    let head = get("/a/../b/%7ec?x=%2e%2E/..").read().unwrap();
    assert_eq!(head.target, "/b/~c?x=%2e%2E/..");
    assert_eq!(head.path(), "/b/~c");
}

#[test]
fn a_path_without_a_safe_reading_is_refused() {
    for path in ["/../a", "/%2e%2e/a", "/%00", "/%zz", "/a\\b"] {
        let Ok(uri) = path.parse::<Uri>() else {
            continue; // http::Uri, and so hyper, refuses it first
        };
        assert_eq!(
            get(&uri.to_string()).read(),
            Err(ClientFault::Path),
            "{path}"
        );
    }
}

// RFC 9112 section 6.1

#[test]
fn chunked_is_the_only_transfer_coding_and_only_once() {
    let with = |coding: &str| get("/").with("transfer-encoding", coding).read();
    assert!(with("chunked").is_ok());
    assert!(with("Chunked").is_ok());
    for coding in [
        "gzip, chunked",
        "chunked, chunked",
        "chunked, identity",
        "xchunked",
        "identity",
        "",
        "chunked;q=1",
    ] {
        assert_eq!(with(coding), Err(ClientFault::TransferCoding), "{coding}");
    }
    let twice = get("/")
        .with("transfer-encoding", "chunked")
        .with("transfer-encoding", "chunked");
    assert_eq!(twice.read(), Err(ClientFault::TransferCoding));
}

// RFC 9110 section 10.1.1

#[test]
fn only_100_continue_can_be_expected() {
    let known = get("/").with("expect", "100-Continue");
    assert!(known.read().is_ok());
    let unknown = get("/").with("expect", "200-ok");
    assert_eq!(unknown.read(), Err(ClientFault::Expect));
}

#[test]
fn http_1_0_expects_nothing() {
    let head = get("/").version(Version::HTTP_10).with("expect", "200-ok");
    assert!(head.read().is_ok());
}

// RFC 9110 section 7.8

fn upgrading(protocol: &str) -> Result<Option<Upgrade>, ClientFault> {
    get("/")
        .with("connection", "keep-alive, Upgrade")
        .with("upgrade", protocol)
        .read()
        .map(|head| head.upgrade)
}

#[test]
fn an_upgrade_needs_its_connection_option() {
    let upgrade = upgrading("WebSocket").unwrap().unwrap();
    assert!(!upgrade.extended_connect);
    assert_eq!(upgrade.protocol, "WebSocket");
    let bare = get("/").with("upgrade", "websocket").read().unwrap();
    assert_eq!(bare.upgrade, None);
}

#[test]
fn other_protocols_are_upgrades_too() {
    let upgrade = upgrading("spdy/3.1, websocket").unwrap().unwrap();
    assert_eq!(upgrade.protocol, "spdy/3.1, websocket");
    assert_eq!(upgrading("tcp").unwrap().unwrap().protocol, "tcp");
}

#[test]
fn another_http_is_never_an_upgrade() {
    for protocol in ["h2c", "H2C", "HTTP/2.0", "TLS/1.2"] {
        assert_eq!(upgrading(protocol), Ok(None), "{protocol}");
    }
    let mixed = upgrading("h2c, websocket").unwrap().unwrap();
    assert_eq!(mixed.protocol, "websocket");
}

#[test]
fn a_malformed_upgrade_is_refused() {
    for protocol in ["", "web socket", "websocket/", ",", "a/b/c"] {
        assert_eq!(upgrading(protocol), Err(ClientFault::Upgrade), "{protocol}");
    }
}

#[test]
fn a_request_with_a_body_does_not_upgrade() {
    let upgrading = || {
        given("POST", "/")
            .with("host", "a")
            .with("connection", "upgrade")
            .with("upgrade", "websocket")
    };
    let upgrade = |request: Given| request.read().unwrap().upgrade;
    assert_eq!(upgrade(upgrading().with("content-length", "5")), None);
    assert_eq!(
        upgrade(upgrading().with("transfer-encoding", "chunked")),
        None
    );
    assert!(upgrade(upgrading().with("content-length", "0")).is_some());
}

#[test]
fn http_1_0_does_not_upgrade() {
    let head = get("/")
        .version(Version::HTTP_10)
        .with("connection", "upgrade")
        .with("upgrade", "websocket");
    assert_eq!(head.read().unwrap().upgrade, None);
}

// RFC 8441

#[test]
fn a_websocket_over_http_2_is_an_extended_connect() {
    let head = given("CONNECT", "https://shop.example/chat")
        .h2_protocol("websocket")
        .read()
        .unwrap();
    let upgrade = head.upgrade.unwrap();
    assert!(upgrade.extended_connect);
    assert_eq!(head.target, "/chat");
}

#[test]
fn other_extended_connects_are_refused() {
    let udp = given("CONNECT", "https://shop.example/").h2_protocol("connect-udp");
    assert_eq!(udp.read(), Err(ClientFault::Upgrade));
}

// RFC 9113 section 8.3.1

fn h2(target: &str) -> Given {
    given("GET", target).version(Version::HTTP_2)
}

#[test]
fn http_2_names_its_host_by_authority_or_host() {
    assert_eq!(&*h2("https://A.example/").read().unwrap().host, "a.example");
    let host = h2("/").with("host", "b.example").read().unwrap();
    assert_eq!(&*host.host, "b.example");
    assert_eq!(h2("/").read(), Err(ClientFault::Host));
}

#[test]
fn an_authority_that_contradicts_host_is_refused() {
    let same = h2("https://a.example/").with("host", "A.example");
    assert!(same.read().is_ok());
    let other = h2("https://a.example/").with("host", "b.example");
    assert_eq!(other.read(), Err(ClientFault::Host));
    let port = h2("https://a.example/").with("host", "a.example:81");
    assert_eq!(port.read(), Err(ClientFault::Host));
}
