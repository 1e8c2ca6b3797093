//! Several writes at once.

use super::*;

#[tokio::test]
async fn a_write_that_is_not_answered_holds_up_no_other_and_is_not_begun_again() {
    let mut scenario = scenario(false).await;
    for name in ["slow", "next", "last"] {
        scenario.ingress(name, "");
    }
    // The look whether it exists.
    scenario.api.hold("/events/slow");
    scenario.observe(&[], &[("slow", "first")]);
    scenario.lead(true);
    let look = scenario.api.next().await;
    assert_eq!(look.method, Method::GET);
    scenario.observe(&[], &[("slow", "second"), ("next", "meanwhile")]);
    assert_eq!(scenario.written().await.body["message"], "meanwhile");
    scenario.api.hold_nothing();
    assert_eq!(scenario.written().await.body["message"], "first");
    // What became wanted while it was under way comes after it.
    let second = scenario.written().await.body;
    assert_eq!(
        (&second["message"], &second["count"]),
        (&json!("second"), &json!(2))
    );
    let settled = [
        ("slow", "second"),
        ("next", "meanwhile"),
        ("last", "marks the plan"),
    ];
    scenario.observe(&[], &settled);
    assert_eq!(scenario.written().await.body["message"], "marks the plan");
}

#[tokio::test]
async fn no_more_than_a_few_writes_are_under_way_at_once() {
    let mut scenario = scenario(true).await;
    let names: Vec<String> = (0..20).map(|number| format!("app-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for name in &names {
        scenario.ingress(name, "");
    }
    scenario.api.hold("/ingresses/");
    scenario.observe(&names, &[]);
    scenario.lead(true);
    for _ in 0..8 {
        scenario.written().await;
    }
    // An Event would pass what is held, but there is no room for it.
    scenario.observe(&names, &[("app-0", "waits")]);
    scenario
        .nothing_is_asked_for(Duration::from_millis(500))
        .await;
    scenario.api.hold_nothing();
    let mut rest = Vec::new();
    for _ in 0..13 {
        rest.push(scenario.written().await);
    }
    assert_eq!(rest.iter().filter(|it| is_event(it)).count(), 1);
}

#[tokio::test]
async fn whoever_leads_no_more_ends_what_it_has_begun_and_begins_nothing_else() {
    let mut scenario = scenario(true).await;
    scenario.ingress("web", "");
    scenario.ingress("next", "");
    scenario.api.hold("/ingresses/web");
    scenario.observe(&["web"], &[]);
    scenario.lead(true);
    assert_eq!(scenario.written().await.path, status_of("web"));
    scenario.lead(false);
    scenario.observe(&["web", "next"], &[]);
    scenario.api.hold_nothing();
    scenario
        .nothing_is_asked_for(Duration::from_millis(500))
        .await;
    // It remembers nothing: whatever is not as wanted is written.
    scenario.lead(true);
    let mut again = [scenario.written().await.path, scenario.written().await.path];
    again.sort();
    assert_eq!(again, [status_of("next"), status_of("web")]);
}
