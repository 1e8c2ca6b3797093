//! Which form a client prefers (RFC 9110 section 12.5.1).
//!
//! The highest quality wins, then the range that names a form rather than many, then what stands first.
//! Where all that leaves a choice, as `*/*` does, a form goes first that there is a page of the policy's
//! own for: who writes no other than an HTML page means it for everybody. Then plain text does, since
//! whoever does not ask for HTML is no browser. A client that accepts none of our forms gets plain text all the same: the section allows
//! it, and an explanation in the wrong form is better than none.

use std::cmp::Reverse;

use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue};

use crate::routing::pages::Form;

/// More ranges than anybody has use for.
const MOST_RANGES: usize = 64;

/// What a client says of some media types.
#[derive(Clone, Copy, Debug)]
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    /// In thousandths.
    quality: u16,
    position: usize,
}

/// How exactly a range names a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Exactness {
    Anything,
    Kind,
    /// Some other JSON: who reads that reads plain JSON, too.
    OtherJson,
    Exactly,
}

/// The form that the client prefers; where it leaves the choice, one that there is an own page for.
pub(super) fn preferred(request: &HeaderMap, has_page: impl Fn(Form) -> bool) -> Form {
    let ranges = ranges(request);
    let wish = |form: Form| {
        let matching = ranges.iter().filter_map(|range| {
            let exactness = range.matches(form)?;
            Some((exactness, Reverse(range.position), range.quality))
        });
        // What is said of a form in particular goes before what is said of many.
        let (exactness, position, quality) = matching.max()?;
        (quality > 0).then_some((quality, exactness, position))
    };
    let Some(best) = Form::ALL.into_iter().filter_map(wish).max() else {
        return Form::Text;
    };
    let mut equals = Form::ALL
        .into_iter()
        .filter(|form| wish(*form) == Some(best));
    let own = equals.clone().find(|form| has_page(*form));
    own.or_else(|| equals.next()).unwrap_or(Form::Text)
}

/// What the client accepts; anything where it says nothing of that.
fn ranges(request: &HeaderMap) -> Vec<Range<'_>> {
    if !request.contains_key(ACCEPT) {
        return Range::read(0, "*/*").into_iter().collect();
    }
    let values = request.get_all(ACCEPT).iter().map(HeaderValue::as_bytes);
    let text = values.filter_map(|value| str::from_utf8(value).ok());
    let items = text.flat_map(|value| value.split(',')).take(MOST_RANGES);
    items
        .enumerate()
        .filter_map(|(position, item)| Range::read(position, item))
        .collect()
}

impl<'a> Range<'a> {
    fn read(position: usize, item: &'a str) -> Option<Self> {
        let mut parts = item.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let quality = parts.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.eq_ignore_ascii_case("q").then_some(value)
        });
        Some(Self {
            kind,
            subtype,
            quality: quality.map_or(Some(1000), quality_of)?,
            position,
        })
    }

    fn matches(&self, form: Form) -> Option<Exactness> {
        let (kind, subtype) = form.media_type().split_once('/')?;
        let is = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
        if (self.kind, self.subtype) == ("*", "*") {
            Some(Exactness::Anything)
        } else if !is(self.kind, kind) {
            None
        } else if self.subtype == "*" {
            Some(Exactness::Kind)
        } else if is(self.subtype, subtype) {
            Some(Exactness::Exactly)
        } else {
            let json = self.subtype.to_ascii_lowercase().ends_with("+json");
            (json && form == Form::Json && !is(self.subtype, "problem+json"))
                .then_some(Exactness::OtherJson)
        }
    }
}

/// `0.8` as thousandths (section 12.4.2); absent where it is none.
fn quality_of(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let thousandths = format!("{fraction:0<3}").parse::<u16>().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(accept: &[&str]) -> Form {
        form_with(&[], accept)
    }

    /// The form where there are own pages in these.
    fn form_with(own: &[Form], accept: &[&str]) -> Form {
        let mut request = HeaderMap::new();
        for value in accept {
            request.append(ACCEPT, value.parse().unwrap());
        }
        preferred(&request, |form| own.contains(&form))
    }

    #[test]
    fn who_does_not_ask_for_html_gets_plain_text() {
        assert_eq!(form(&[]), Form::Text);
        assert_eq!(form(&["*/*"]), Form::Text);
        assert_eq!(form(&["text/*"]), Form::Text);
        assert_eq!(form(&["image/avif,image/webp,*/*;q=0.8"]), Form::Text);
    }

    #[test]
    fn a_browser_gets_html() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
        assert_eq!(form(&[browser]), Form::Html);
        assert_eq!(form(&["TEXT/HTML;charset=utf-8"]), Form::Html);
    }

    #[test]
    fn a_program_gets_the_json_that_it_names() {
        assert_eq!(form(&["application/json"]), Form::Json);
        assert_eq!(form(&["application/json, text/plain, */*"]), Form::Json);
        assert_eq!(form(&["application/problem+json"]), Form::Problem);
        let both = "application/problem+json, application/json";
        assert_eq!(form(&[both]), Form::Problem);
        assert_eq!(form(&["application/vnd.api+json"]), Form::Json);
        assert_eq!(form(&["application/*"]), Form::Json);
    }

    #[test]
    fn the_highest_quality_wins() {
        assert_eq!(form(&["text/html;q=0.8, application/json"]), Form::Json);
        assert_eq!(
            form(&["text/html; q=0.800, application/json ; q=0.801"]),
            Form::Json
        );
        assert_eq!(form(&["text/plain;q=0.2", "text/html;q=0.3"]), Form::Html);
    }

    #[test]
    fn what_is_said_of_a_form_goes_before_what_is_said_of_many() {
        assert_eq!(form(&["text/plain;q=0, */*"]), Form::Json);
        assert_eq!(form(&["*/*, text/html"]), Form::Html);
        assert_eq!(form(&["text/*;q=0.5, text/html;q=0.1"]), Form::Text);
        let all_but_html = "text/plain;q=0, application/*;q=0, text/html;q=0.001";
        assert_eq!(form(&[all_but_html]), Form::Html);
    }

    #[test]
    fn who_leaves_the_choice_gets_a_form_that_there_is_an_own_page_for() {
        let html = |accept: &[&str]| form_with(&[Form::Html], accept);
        for accept in ["*/*", "text/*", "image/png, */*", "image/png, */*;q=0.5"] {
            assert_eq!(html(&[accept]), Form::Html, "{accept}");
        }
        assert_eq!(html(&[]), Form::Html);
        assert_eq!(form_with(&[Form::Html, Form::Text], &["*/*"]), Form::Text);
        let programs = &[Form::Html, Form::Problem];
        assert_eq!(form_with(programs, &["application/*"]), Form::Problem);
    }

    #[test]
    fn an_own_page_is_no_reason_for_a_form_that_the_client_likes_less() {
        let html = |accept: &str| form_with(&[Form::Html], &[accept]);
        for accept in ["application/json", "application/json, */*", "application/*"] {
            assert_eq!(html(accept), Form::Json, "{accept}");
        }
        for accept in [
            "text/plain, */*",
            "text/*, text/html;q=0.9",
            "image/png",
            "",
        ] {
            assert_eq!(html(accept), Form::Text, "{accept:?}");
        }
        assert_eq!(html("text/html;q=0, application/json;q=0, */*"), Form::Text);
    }

    #[test]
    fn who_accepts_none_of_our_forms_gets_plain_text() {
        for accept in ["image/png", "*/*;q=0", "", "nonsense", "text/html;q=2", ","] {
            assert_eq!(form(&[accept]), Form::Text, "{accept:?}");
        }
    }
}
