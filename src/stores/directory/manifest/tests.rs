use super::*;

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\n";

fn object_lines(text: &str) -> Vec<(String, u32)> {
    let manifest = parse(text);
    assert!(manifest.faults.is_empty(), "{:?}", manifest.faults);
    let objects = manifest.objects.into_iter();
    objects
        .map(|placed| (placed.key.to_string(), placed.line))
        .collect()
}

fn only_fault(text: &str) -> Fault {
    let mut manifest = parse(text);
    assert_eq!(manifest.faults.len(), 1, "{:?}", manifest.faults);
    manifest.faults.remove(0)
}

#[test]
fn each_document_is_an_object_and_its_line_is_the_first_that_says_something() {
    let text =
        format!("# a comment\n\n{SERVICE}---\n# another\n{SERVICE}").replacen("web", "first", 1);
    let expected = [("Service shop/first", 3), ("Service shop/web", 8)];
    assert_eq!(
        object_lines(&text),
        expected.map(|(name, line)| (name.to_owned(), line))
    );
}

#[test]
fn documents_that_say_nothing_are_passed_over() {
    assert_eq!(object_lines("---\n---\n# nothing\n---\n...\n"), []);
    assert_eq!(object_lines(""), []);
    assert_eq!(object_lines("\u{feff}"), []);
}

#[test]
fn a_byte_order_mark_and_carriage_returns_are_no_obstacle() {
    let text = format!("\u{feff}---\r\n{}", SERVICE.replace('\n', "\r\n"));
    assert_eq!(object_lines(&text), [("Service shop/web".to_owned(), 2)]);
}

#[test]
fn json_is_read_too() {
    let text = r#"{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}}"#;
    assert_eq!(object_lines(text), [("Service default/web".to_owned(), 1)]);
}

#[test]
fn the_items_of_a_list_have_lines_of_their_own() {
    let text = "---\napiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: a}\n- apiVersion: v1\n  kind: Service\n  metadata: {name: b}\n";
    let expected = [("Service default/a", 5), ("Service default/b", 8)];
    assert_eq!(
        object_lines(text),
        expected.map(|(name, line)| (name.to_owned(), line))
    );
}

#[test]
fn text_that_is_not_yaml_costs_only_its_own_document() {
    let text = format!(
        "{SERVICE}---\nkind: [\n---\n{}",
        SERVICE.replace("web", "after")
    );
    let manifest = parse(&text);
    let names: Vec<_> = manifest
        .objects
        .iter()
        .map(|placed| &*placed.key.name)
        .collect();
    assert_eq!(names, ["web", "after"]);
    assert_eq!(manifest.faults.len(), 1);
    let fault = &manifest.faults[0];
    assert_eq!((fault.code, &fault.object), (Code::UnreadableFile, &None));
    assert!((5..=6).contains(&fault.line), "{fault:?}");
}

#[test]
fn a_field_of_the_wrong_type_is_reported_with_its_line_and_its_object() {
    let text = "# one\n---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: web\nspec:\n  rules: 7\n";
    let fault = only_fault(text);
    assert_eq!(fault.code, Code::InvalidObject);
    assert_eq!(fault.object.unwrap().to_string(), "Ingress default/web");
    assert_eq!(fault.line, 8, "{}", fault.message);
    assert!(!fault.message.contains('\n'), "{}", fault.message);
}

#[test]
fn a_number_where_kubernetes_wants_a_string_is_refused_as_by_an_api_server() {
    let fault = only_fault(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n  annotations: {a: 1}\n",
    );
    assert_eq!(fault.code, Code::InvalidObject);
    assert!(fault.message.contains("string"), "{}", fault.message);
}

#[test]
fn what_is_wrong_with_a_secret_never_shows_what_is_in_it() {
    for data in [
        "data: {a: 'hunter2!'}",
        "stringData: {a: 72}",
        "data: hunter2",
    ] {
        let fault = only_fault(&format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\n{data}\n"
        ));
        assert_eq!(fault.code, Code::InvalidObject, "{data}");
        assert!(!fault.message.contains("hunter2"), "{}", fault.message);
        assert!(!fault.message.contains("72"), "{}", fault.message);
    }
}

#[test]
fn an_object_without_a_usable_name_is_a_fault() {
    for metadata in [
        "{}",
        "{name: ''}",
        "{name: 7}",
        "{name: ../../etc/passwd}",
        "{name: a, namespace: A}",
    ] {
        let fault = only_fault(&format!(
            "\napiVersion: v1\nkind: Service\nmetadata: {metadata}\n"
        ));
        assert_eq!(
            (fault.code, fault.line),
            (Code::InvalidObject, 2),
            "{metadata}"
        );
    }
}

#[test]
fn a_document_that_is_no_object_is_a_fault() {
    for text in ["just: a map\n", "- a\n- list\n", "a string\n"] {
        let fault = only_fault(text);
        assert_eq!((fault.code, fault.line), (Code::InvalidObject, 1), "{text}");
    }
}

#[test]
fn kinds_of_others_are_passed_over_and_unknown_ones_of_ours_are_not() {
    let other = "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: web}\n";
    assert_eq!(object_lines(other), []);
    assert_eq!(
        object_lines("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n"),
        []
    );
    let fault = only_fault("apiVersion: bywash.dev/v9\nkind: Weir\nmetadata: {name: web}\n");
    assert_eq!(fault.code, Code::UnknownKind);
}

#[test]
fn a_version_of_the_past_is_a_fault_that_names_the_present_one() {
    for old in ["extensions/v1beta1", "networking.k8s.io/v1beta1"] {
        let fault = only_fault(&format!(
            "apiVersion: {old}\nkind: Ingress\nmetadata: {{name: web}}\n"
        ));
        assert_eq!(fault.code, Code::InvalidObject);
        assert!(
            fault.message.contains("use networking.k8s.io/v1"),
            "{}",
            fault.message
        );
    }
}

fn version(text: &str) -> String {
    let manifest = parse(text);
    let Object::Service(service) = &manifest.objects[0].object else {
        panic!("a Service was expected");
    };
    service.metadata.resource_version.clone().unwrap()
}

#[test]
fn the_version_changes_with_the_content_and_only_then() {
    let spaced = format!(
        "\n# moved, and commented\n{}",
        SERVICE.replace("metadata: ", "metadata:    ")
    );
    assert_eq!(version(SERVICE), version(&spaced));
    assert_ne!(
        version(SERVICE),
        version(&format!("{SERVICE}spec: {{type: ClusterIP}}\n"))
    );
}

#[test]
fn an_object_is_completed_as_an_api_server_would() {
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s, creationTimestamp: '2020-01-01T00:00:00Z'}\nstringData: {a: b}\n";
    let service = format!("{SERVICE}spec: {{ports: [{{port: 80}}]}}\n");
    let manifest = parse(&format!("{secret}---\n{service}"));
    let [Object::Secret(secret), Object::Service(service)] =
        [&manifest.objects[0].object, &manifest.objects[1].object]
    else {
        panic!("a Secret and a Service were expected");
    };
    assert_eq!(secret.type_.as_deref(), Some("Opaque"));
    assert_eq!(secret.data.as_ref().unwrap()["a"].0, b"b");
    assert_eq!(secret.metadata.namespace.as_deref(), Some("default"));
    assert!(secret.metadata.uid.is_some() && secret.metadata.creation_timestamp.is_none());
    let port = &service.spec.as_ref().unwrap().ports.as_ref().unwrap()[0];
    assert_eq!(
        port.target_port,
        Some(k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::Int(80))
    );
    assert_eq!(port.protocol.as_deref(), Some("TCP"));
}
