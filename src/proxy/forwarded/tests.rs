//! What a stranger cannot forge, and what a trusted proxy may say.

use super::*;

const STRANGER: &str = "192.0.2.7:40000";
const PROXY: &str = "10.0.0.1:40000";

fn proxies() -> TrustedProxies {
    TrustedProxies::new(&["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()])
}

fn fields(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_static(value));
    }
    headers
}

/// What reaches the upstream of a request from `peer` to `host`, and who the client is.
fn sent(
    peer: &str,
    (tls, host, port): (bool, &'static str, Option<u16>),
    pairs: &[(&'static str, &'static str)],
) -> (HeaderMap, Client) {
    let peer = Peer::new(peer.parse().unwrap(), &proxies());
    let mut headers = fields(pairs);
    let received = Received {
        peer: &peer,
        tls,
        authority: &HeaderValue::from_static(host),
        port,
    };
    let client = rewrite(&mut headers, received, &proxies());
    (headers, client)
}

fn plain(peer: &str, pairs: &[(&'static str, &'static str)]) -> (HeaderMap, Client) {
    sent(peer, (false, "shop.example", None), pairs)
}

#[test]
fn the_upstream_learns_who_asked_for_what_and_how() {
    let (headers, client) = sent(STRANGER, (true, "shop.example:8443", Some(8443)), &[]);
    let expected = fields(&[
        ("x-forwarded-for", "192.0.2.7"),
        ("x-real-ip", "192.0.2.7"),
        ("x-forwarded-host", "shop.example:8443"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-port", "8443"),
    ]);
    assert_eq!(headers, expected);
    assert!(client.https);
}

#[test]
fn a_stranger_can_forge_none_of_it() {
    let (headers, client) = plain(
        STRANGER,
        &[
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-for", "127.0.0.2"),
            ("x-real-ip", "127.0.0.1"),
            ("x-forwarded-host", "admin.example"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-port", "443"),
            ("x-forwarded-prefix", "/admin"),
            ("x-forwarded-user", "root"),
            ("forwarded", "for=127.0.0.1"),
            ("x-original-url", "/admin"),
            ("x-rewrite-url", "/admin"),
            ("ssl-client-verify", "SUCCESS"),
            ("true-client-ip", "127.0.0.1"),
            ("x_forwarded_for", "127.0.0.1"),
            ("x_real-ip", "127.0.0.1"),
            ("accept", "*/*"),
        ],
    );
    let expected = fields(&[
        ("x-forwarded-for", "192.0.2.7"),
        ("x-real-ip", "192.0.2.7"),
        ("x-forwarded-host", "shop.example"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-port", "80"),
        ("accept", "*/*"),
    ]);
    assert_eq!(headers, expected);
    assert_eq!(client.address, "192.0.2.7".parse::<IpAddr>().unwrap());
    assert!(!client.https);
}

#[test]
fn names_that_merely_resemble_them_are_kept() {
    let pairs = [
        ("x-realip", "1"),
        ("x-forward", "2"),
        ("x-original", "3"),
        ("my_header", "4"),
    ];
    let (headers, _) = plain(STRANGER, &pairs);
    for (name, value) in pairs {
        assert_eq!(headers[name], value);
    }
}

#[test]
fn a_trusted_proxy_is_believed_and_its_chain_continued() {
    let (headers, client) = plain(
        PROXY,
        &[
            ("x-forwarded-for", "198.51.100.9"),
            ("x-forwarded-host", "www.example"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-prefix", "/shop"),
        ],
    );
    let expected = fields(&[
        ("x-forwarded-for", "198.51.100.9, 10.0.0.1"),
        ("x-real-ip", "198.51.100.9"),
        ("x-forwarded-host", "www.example"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-port", "443"),
        ("x-forwarded-prefix", "/shop"),
    ]);
    assert_eq!(headers, expected);
    assert_eq!(client.address, "198.51.100.9".parse::<IpAddr>().unwrap());
    assert!(client.https);
}

#[test]
fn a_trusted_proxy_that_says_nothing_is_the_client() {
    let (headers, client) = plain(PROXY, &[]);
    assert_eq!(headers["x-forwarded-for"], "10.0.0.1");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(client.address, "10.0.0.1".parse::<IpAddr>().unwrap());
}

#[test]
fn forwarded_is_dropped_even_from_a_trusted_proxy() {
    let (headers, _) = plain(PROXY, &[("forwarded", "for=198.51.100.9")]);
    assert!(!headers.contains_key("forwarded"));
}

#[test]
fn nonsense_of_a_trusted_proxy_is_replaced() {
    let (headers, _) = plain(
        PROXY,
        &[
            ("x-forwarded-proto", "gopher"),
            ("x-forwarded-port", "eighty"),
            ("x-forwarded-host", "a"),
            ("x-forwarded-host", "b"),
        ],
    );
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(headers["x-forwarded-port"], "80");
    assert_eq!(headers["x-forwarded-host"], "shop.example");
}

fn client_of(chain: &[(&'static str, &'static str)]) -> String {
    plain(PROXY, chain).1.address.to_string()
}

#[test]
fn the_client_is_the_first_untrusted_address_from_the_right() {
    let chain = [("x-forwarded-for", "1.1.1.1, 198.51.100.9, 10.0.0.5")];
    assert_eq!(client_of(&chain), "198.51.100.9");
    let lines = [
        ("x-forwarded-for", "1.1.1.1, 198.51.100.9"),
        ("x-forwarded-for", "10.0.0.5,fd00::1"),
    ];
    assert_eq!(client_of(&lines), "198.51.100.9");
}

#[test]
fn where_all_are_trusted_the_client_is_the_leftmost() {
    let chain = [("x-forwarded-for", "10.0.0.9, 10.0.0.5")];
    assert_eq!(client_of(&chain), "10.0.0.9");
}

#[test]
fn nothing_left_of_nonsense_is_believed() {
    let chain = [("x-forwarded-for", "198.51.100.9, unknown, 10.0.0.5")];
    assert_eq!(client_of(&chain), "10.0.0.5");
    assert_eq!(client_of(&[("x-forwarded-for", "")]), "10.0.0.1");
}

#[test]
fn addresses_are_read_with_port_and_brackets_too() {
    for (written, address) in [
        ("198.51.100.9:1234", "198.51.100.9"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:198.51.100.9", "198.51.100.9"),
    ] {
        assert_eq!(client_of(&[("x-forwarded-for", written)]), address);
    }
}

#[test]
fn an_ipv4_peer_of_a_dual_stack_socket_is_an_ipv4_peer() {
    let (headers, _) = plain("[::ffff:192.0.2.7]:40000", &[]);
    assert_eq!(headers["x-forwarded-for"], "192.0.2.7");
    let (headers, _) = plain("[::ffff:10.0.0.1]:40000", &[("x-forwarded-for", "1.1.1.1")]);
    assert_eq!(headers["x-forwarded-for"], "1.1.1.1, 10.0.0.1");
}
