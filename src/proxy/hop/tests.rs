use super::*;

fn fields(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_static(value));
    }
    headers
}

fn forwarded(pairs: &[(&'static str, &'static str)]) -> Result<HeaderMap, ClientFault> {
    let mut headers = fields(pairs);
    request(&mut headers).map(|()| headers)
}

// RFC 9110 section 7.6.1

#[test]
fn what_connection_names_is_not_forwarded() {
    let headers = forwarded(&[
        ("connection", "close, X-Hop"),
        ("connection", "x-other"),
        ("x-hop", "1"),
        ("x-other", "2"),
        ("accept", "*/*"),
    ]);
    assert_eq!(headers.unwrap(), fields(&[("accept", "*/*")]));
}

#[test]
fn fields_of_one_hop_go_even_if_connection_does_not_name_them() {
    let headers = forwarded(&[
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABk"),
        ("proxy-authorization", "Basic eA=="),
        ("expect", "100-continue"),
        ("content_length", "5"),
        ("transfer_encoding", "chunked"),
        ("proxy", "http://evil.example"),
        ("x_request_id", "1"),
        ("x-request_id", "1"),
        ("te", "gzip"),
    ]);
    assert!(headers.unwrap().is_empty());
}

#[test]
fn connection_must_not_name_what_the_origin_relies_on() {
    for name in [
        "Host",
        "authorization",
        "X-Forwarded-For",
        "x-real-ip",
        "Content-Length",
        "cookie",
        "x-request-id",
        "close, host",
        "a b",
    ] {
        let headers = forwarded(&[("connection", name)]);
        assert_eq!(headers, Err(ClientFault::Connection), "{name}");
    }
}

#[test]
fn te_trailers_is_kept_for_grpc() {
    let headers = forwarded(&[("connection", "te"), ("te", "gzip;q=1, Trailers")]);
    let expected = fields(&[("te", "trailers"), ("connection", "te")]);
    assert_eq!(headers.unwrap(), expected);
}

#[test]
fn an_upgrade_is_offered_anew() {
    let mut headers = HeaderMap::new();
    let upgrade = Upgrade {
        protocol: HeaderValue::from_static("websocket"),
        extended_connect: false,
    };
    offer_upgrade(&mut headers, &upgrade);
    let expected = fields(&[("connection", "upgrade"), ("upgrade", "websocket")]);
    assert_eq!(headers, expected);
}

// RFC 9113 section 8.2.3

#[test]
fn several_cookies_become_one() {
    let headers = forwarded(&[("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")]);
    assert_eq!(headers.unwrap(), fields(&[("cookie", "a=1; b=2; c=3")]));
}

#[test]
fn a_response_loses_its_hop_fields_but_not_its_framing() {
    let mut headers = fields(&[
        ("connection", "content-length, x-hop, keep-alive"),
        ("content-length", "5"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("trailer", "x-sum"),
    ]);
    response(StatusCode::OK, &mut headers);
    let expected = fields(&[("content-length", "5"), ("trailer", "x-sum")]);
    assert_eq!(headers, expected);
}

// RFC 9112 section 6.3

#[test]
fn a_length_that_a_transfer_coding_overrode_goes_with_it() {
    let mut headers = fields(&[("content-length", "5"), ("transfer-encoding", "chunked")]);
    response(StatusCode::OK, &mut headers);
    assert!(headers.is_empty());
}

// RFC 9110 section 8.6

#[test]
fn a_204_has_no_content_length() {
    let mut headers = fields(&[("content-length", "0")]);
    response(StatusCode::NO_CONTENT, &mut headers);
    assert!(headers.is_empty());
}

#[test]
fn a_length_is_one_number_however_often_it_is_written() {
    for (lengths, expected) in [
        (&["2", "2"][..], Some("2")),
        (&["2, 2"], Some("2")),
        (&["0", "00"], Some("0")),
        (&["2"], Some("2")),
        (&["2", "3"], None),
        (&["+2"], None),
        (&[""], None),
        (&["2,"], None),
        (&["99999999999999999999"], None),
    ] {
        let pairs: Vec<_> = lengths.iter().map(|it| ("content-length", *it)).collect();
        let kept = expected.map_or_else(HeaderMap::new, |it| fields(&[("content-length", it)]));
        let mut headers = fields(&pairs);
        response(StatusCode::OK, &mut headers);
        assert_eq!(headers, kept, "{lengths:?}");
        let wanted = expected.map(|_| kept).ok_or(ClientFault::Body);
        assert_eq!(forwarded(&pairs), wanted, "{lengths:?}");
    }
}

// RFC 9110 section 5.5

#[test]
fn blanks_around_a_value_are_no_part_of_it() {
    let headers = forwarded(&[("content-length", " 2\t"), ("x", "a b ")]);
    assert_eq!(
        headers.unwrap(),
        fields(&[("content-length", "2"), ("x", "a b")])
    );
}

// RFC 9110 section 6.5.1

#[test]
fn trailers_carry_neither_framing_nor_routing_nor_authentication() {
    let mut section = fields(&[
        ("content-length", "5"),
        ("transfer-encoding", "chunked"),
        ("host", "evil.example"),
        ("authorization", "Basic eA=="),
        ("set-cookie", "a=1"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x_forwarded_for", "192.0.2.1"),
        ("true-client-ip", "192.0.2.1"),
        ("x-original-url", "/admin"),
        ("ssl-client-verify", "SUCCESS"),
        ("content_length", "5"),
        ("proxy", "evil.example"),
        ("grpc-status", "0"),
        ("server-timing", "db;dur=5"),
    ]);
    trailers(&mut section);
    let expected = fields(&[("grpc-status", "0"), ("server-timing", "db;dur=5")]);
    assert_eq!(section, expected);
}
