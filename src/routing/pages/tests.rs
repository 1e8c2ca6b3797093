use super::*;

const SHOWN: Shown<'_> = Shown {
    status: 502,
    title: "Bad Gateway",
    cause: "The endpoint said \"<no>\".",
    request_id: "01J",
    retry_after: Some(5),
};

fn name(key: &str) -> PageName {
    PageName::parse(key).unwrap()
}

fn rendered(key: &str, source: &str) -> String {
    let mut set = PageSet::default();
    set.insert(name(key), Template::try_new(name(key), source).unwrap());
    Engine::of(&set).render(name(key), &SHOWN).unwrap()
}

fn refused(key: &str, source: &str) -> String {
    Template::try_new(name(key), source)
        .unwrap_err()
        .to_string()
}

#[test]
fn a_key_says_for_which_status_and_form_a_page_is() {
    for key in [
        "502.html",
        "5xx.html",
        "404.json",
        "4xx.problem.json",
        "503.txt",
    ] {
        assert_eq!(name(key).to_string(), key);
    }
    for key in [
        "502",
        "502.htm",
        "200.html",
        "3xx.html",
        "600.html",
        "0502.html",
        "+502.html",
        "html",
        "502.",
        "502.HTML",
        "5XX.html",
    ] {
        assert_eq!(PageName::parse(key), None, "{key}");
    }
}

#[test]
fn a_page_for_the_status_goes_before_one_for_its_class() {
    let mut set = PageSet::default();
    for key in ["502.html", "5xx.html"] {
        set.insert(name(key), Template::try_new(name(key), key).unwrap());
    }
    let find = |status, form| set.find(status, form).map(|it| it.to_string());
    assert_eq!(find(502, Form::Html).as_deref(), Some("502.html"));
    assert_eq!(find(503, Form::Html).as_deref(), Some("5xx.html"));
    assert_eq!(find(404, Form::Html), None);
    assert_eq!(find(502, Form::Json), None);
}

#[test]
fn values_are_escaped_as_the_form_asks_for() {
    assert_eq!(
        rendered("502.html", "<p>{{ cause }}</p>"),
        "<p>The endpoint said &quot;&lt;no&gt;&quot;.</p>"
    );
    let json = rendered(
        "502.json",
        r#"{"why": {{ cause }}, "in": {{ retry_after }}}"#,
    );
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["why"], SHOWN.cause);
    assert_eq!(json["in"], 5);
    assert_eq!(
        rendered("502.txt", "{{ status }} {{ title }} {{ request_id }}"),
        "502 Bad Gateway 01J"
    );
}

#[test]
fn what_cannot_be_read_is_refused_with_its_line() {
    let why = refused("502.html", "<p>\n{% if status %}\n");
    assert!(
        why.starts_with("line ") && why.contains("syntax error"),
        "{why}"
    );
}

#[test]
fn what_is_misspelt_is_refused() {
    let why = refused("502.html", "<p>\n{{ casue }}");
    assert!(why.starts_with("line 2: undefined value"), "{why}");
    let why = refused("502.html", "{{ cause|shuot }}");
    assert!(why.contains("unknown filter"), "{why}");
    let why = refused(
        "5xx.html",
        "{% if retry_after %}{{ retry_later }}{% endif %}",
    );
    assert!(why.contains("undefined value"), "{why}");
}

#[test]
fn no_template_takes_long_or_much_memory() {
    let long = "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}";
    assert_eq!(refused("502.html", long), "line 1: it takes too long");
    let large = "{% for a in range(99) %}{{ 'aaaaaaaa' * 999 }}{% endfor %}";
    assert!(refused("502.html", large).contains("takes too long"));
    let plain = "a".repeat(256 * 1024 + 1);
    assert!(refused("502.html", &plain).contains("yields more than"));
    let longest = "a".repeat(256 * 1024);
    assert_eq!(rendered("502.html", &longest).len(), longest.len());
}

#[test]
fn no_template_sees_another() {
    assert!(Template::try_new(name("502.html"), "{% include '5xx.html' %}").is_err());
}
