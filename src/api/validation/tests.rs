use super::*;

fn refused(spec: Value) -> Vec<String> {
    let policy = json!({
        "apiVersion": "bywash.dev/v1alpha1",
        "kind": "GatewayPolicy",
        "metadata": {"name": "shop"},
        "spec": spec,
    });
    let violations = Rulebook::new().unwrap().violations(&policy);
    violations.iter().map(ToString::to_string).collect()
}

#[test]
fn a_policy_that_is_right_violates_nothing() {
    assert_eq!(refused(json!({})), Vec::<String>::new());
    let spec = json!({
        "retry": {"attempts": 10, "bufferBytes": 1024, "on": ["reset", "http-503"]},
        "errorPages": [{"statuses": ["502-504"]}],
        "tlsRedirect": null,
    });
    assert_eq!(refused(spec), Vec::<String>::new());
}

#[test]
fn each_violation_says_where_it_is_and_what_to_write() {
    for (spec, expected) in [
        (
            json!({"retry": {"attempts": 11}}),
            "spec.retry.attempts: this is the number 11: write a number from 1 to 10",
        ),
        (
            json!({"retry": {"attempts": "3"}}),
            "spec.retry.attempts: this is the text '3': write a number from 1 to 10",
        ),
        (
            json!({"retry": {"atempts": 3}}),
            "spec.retry.atempts: there is no such field; is attempts meant?",
        ),
        (
            json!({"retry": {"true": ["reset"]}}),
            "spec.retry.true: there is no such field: write \"on\" in quotation marks, since many YAML readers, kubectl's among them, take the bare word for true",
        ),
        (
            json!({"bypass": [{}]}),
            "spec.bypass[0]: the field path is missing: write a text, in quotes if need be",
        ),
        (
            json!({"timeouts": {"read": "10 s"}}),
            "spec.timeouts.read: this is the text '10 s': write a duration such as 500ms, 10s or 1h30m",
        ),
        (
            json!({"proxyStatus": "All"}),
            "spec.proxyStatus: this is the text 'All': write one of \"Off\" (in quotation marks), Cause, Full",
        ),
        (
            json!({"retry": {"on": ["reset", "reset"]}}),
            "spec.retry.on[1]: this item stands twice in the list: remove one of them",
        ),
        (
            json!({"bypass": vec![json!({"path": "/"}); 33]}),
            "spec.bypass: this list must have at most 32 items",
        ),
        (
            json!({"retry": {"bufferBytes": true}}),
            "spec.retry.bufferBytes: this is true: write a quantity of bytes such as 65536, 64Ki or 1Mi",
        ),
    ] {
        assert_eq!(refused(spec), [expected]);
    }
}

#[test]
fn a_rule_that_is_broken_is_told_where_it_applies() {
    let broken = refused(json!({"errorPages": [{}, {"statuses": ["504-502"]}]}));
    assert_eq!(broken.len(), 1, "{broken:?}");
    assert!(
        broken[0].starts_with("spec.errorPages[1]: a range of statuses goes"),
        "{broken:?}"
    );
    let none = refused(json!({"healthCheck": {"http": {"expectedStatuses": []}}}));
    assert!(
        none[0].starts_with("spec.healthCheck.http: expectedStatuses is empty"),
        "{none:?}"
    );
    let across = refused(json!({"timeouts": {"request": "1s"}, "retry": {"perTryTimeout": "2s"}}));
    assert!(
        across[0].starts_with("spec: retry.perTryTimeout is longer"),
        "{across:?}"
    );
}

#[test]
fn what_is_misspelt_outside_the_spec_is_told_too() {
    let policy = json!({"apiVersion": "bywash.dev/v1alpha1", "kind": "GatewayPolicy",
        "metadata": {"name": "shop"}, "specs": {}});
    let violations = Rulebook::new().unwrap().violations(&policy);
    let said: Vec<String> = violations.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "the field spec is missing: write an object with fields of bypass, circuitBreaker, connectionPool, errorPages, fallback, healthCheck, loadBalancing, maintenance, outlierDetection, panicThreshold, proxyStatus, responseValidation, retry, slowStart, targetRefs, timeouts, tlsRedirect, upstreamTls",
            "specs: there is no such field; is spec meant?"
        ]
    );
}

#[test]
fn the_section_is_the_first_step_into_the_spec() {
    let at = |pointer: &str| Violation {
        pointer: pointer.to_owned(),
        message: String::new(),
        is_unknown: false,
    };
    assert_eq!(at("/spec/retry/attempts").section(), Some("retry"));
    assert_eq!(at("/spec").section(), None);
}
