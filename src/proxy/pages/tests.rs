use http::{HeaderName, HeaderValue};

use super::*;

fn shown(status: u16, title: &'static str) -> Shown<'static> {
    Shown {
        status,
        title,
        cause: "It is \"<so>\".",
        request_id: "01J",
        retry_after: None,
    }
}

#[test]
fn the_built_in_page_escapes_what_it_shows() {
    let page = builtin::page(Form::Html, &shown(502, "Bad Gateway"));
    assert!(page.contains("<title>502 Bad Gateway</title>"), "{page}");
    assert!(page.contains("It is &quot;&lt;so&gt;&quot;."), "{page}");
}

#[test]
fn the_built_in_page_says_what_to_do() {
    let page = |status| builtin::page(Form::Html, &shown(status, "Title"));
    assert!(page(404).contains("Check the address"));
    assert!(page(400).contains("as it was sent"));
    assert!(page(502).contains("Try again in a moment"));
}

#[test]
fn what_describes_the_content_goes_with_it() {
    let mut fields = HeaderMap::new();
    for name in [
        "content-type",
        "content-length",
        "content-encoding",
        "content-security-policy",
        "etag",
        "last-modified",
        "digest",
        "accept-ranges",
        "trailer",
        "set-cookie",
        "cache-control",
        "x-app",
    ] {
        let name = HeaderName::from_static(name);
        fields.insert(name, HeaderValue::from_static("1"));
    }
    forget_content(&mut fields);
    let mut left: Vec<_> = fields.keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["cache-control", "set-cookie", "x-app"]);
}
