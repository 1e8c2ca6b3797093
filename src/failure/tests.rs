use super::*;

/// The 32 error types registered by RFC 9209.
const REGISTERED: &str = "\
    dns_timeout dns_error destination_not_found destination_unavailable \
    destination_ip_prohibited destination_ip_unroutable connection_refused \
    connection_terminated connection_timeout connection_read_timeout \
    connection_write_timeout connection_limit_reached tls_protocol_error \
    tls_certificate_error tls_alert_received http_request_error http_request_denied \
    http_response_incomplete http_response_header_section_size \
    http_response_header_size http_response_body_size \
    http_response_trailer_section_size http_response_trailer_size \
    http_response_transfer_coding http_response_content_coding http_response_timeout \
    http_upgrade_failed http_protocol_error proxy_internal_response \
    proxy_internal_error proxy_configuration_error proxy_loop_detected \
";

#[test]
fn every_cause_names_a_registered_error_type() {
    for cause in Cause::all() {
        let registered = REGISTERED
            .split_whitespace()
            .any(|name| name == cause.proxy_error());
        assert!(registered, "{cause:?}");
    }
}

#[test]
fn labels_and_reasons_are_unique() {
    let all = Cause::all();
    for (i, a) in all.iter().enumerate() {
        for b in &all[i + 1..] {
            if !matches!((a, b), (Cause::BadRequest(_), Cause::BadRequest(_))) {
                assert_ne!(a.label(), b.label());
                assert_ne!(a.reason(), b.reason());
            }
        }
    }
}

#[test]
fn too_slow_is_504_and_an_invalid_response_is_502() {
    assert_eq!(Cause::ResponseTimeout.status(), 504);
    assert_eq!(Cause::ConnectTimeout.status(), 504);
    assert_eq!(Cause::NotHttp.status(), 502);
    assert_eq!(Cause::ConnectionRefused.status(), 502);
    assert_eq!(Cause::NoEndpoints.status(), 503);
    assert_eq!(Cause::Internal.status(), 500);
}

#[test]
fn a_sentence_fits_into_a_message() {
    for cause in Cause::all() {
        let sentence = cause.sentence();
        assert!(
            sentence.len() < 100 && !sentence.ends_with('.'),
            "{sentence}"
        );
    }
}

#[test]
fn an_error_type_has_the_parameters_that_its_cause_knows() {
    for (cause, told) in [
        (
            Cause::BadRequest(ClientFault::Expect),
            "error=http_request_error; status-code=417; status-phrase=\"Expectation Failed\"",
        ),
        (
            Cause::TlsAlert(TlsAlert(40)),
            "error=tls_alert_received; alert-id=40; alert-message=\"handshake_failure\"",
        ),
        (
            Cause::TlsAlert(TlsAlert(255)),
            "error=tls_alert_received; alert-id=255",
        ),
        (Cause::NoRoute, "error=destination_not_found"),
    ] {
        assert_eq!(cause.proxy_status(), told);
    }
}
