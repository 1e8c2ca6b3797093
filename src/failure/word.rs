//! A status as a word.

use http::StatusCode;

/// The reason phrase of a status, for programs: `bad_gateway`.
pub fn status_word(status: StatusCode) -> String {
    let letters = status.canonical_reason().unwrap_or("error").chars();
    let letters = letters.filter_map(|letter| match letter {
        ' ' | '-' => Some('_'),
        letter if letter.is_ascii_alphanumeric() => Some(letter.to_ascii_lowercase()),
        _ => None,
    });
    letters.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_the_reason_phrase() {
        for (status, word) in [
            (400, "bad_request"),
            (404, "not_found"),
            (405, "method_not_allowed"),
            (500, "internal_server_error"),
            (502, "bad_gateway"),
            (503, "service_unavailable"),
            (504, "gateway_timeout"),
            (599, "error"),
        ] {
            assert_eq!(status_word(StatusCode::from_u16(status).unwrap()), word);
        }
    }
}
