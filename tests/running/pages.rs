//! Error pages in a directory: what somebody writes is shown at once, or told to be broken.

use crate::http::send_text;
use crate::manifests::Manifests;
use crate::program::Program;
use crate::upstream::Nobody;

const POLICY: &str = "\
apiVersion: bywash.dev/v1alpha1
kind: GatewayPolicy
metadata: {name: shop, namespace: shop}
spec:
  targetRefs: [{group: networking.k8s.io, kind: Ingress, name: shop}]
  errorPages: [{configMap: {name: pages}}]
";

fn pages(page: &str) -> String {
    format!(
        "\
apiVersion: v1
kind: ConfigMap
metadata: {{name: pages, namespace: shop, labels: {{bywash.dev/error-pages: 'true'}}}}
data: {{5xx.html: '{page}'}}
"
    )
}

fn shown(program: &Program) -> String {
    let text =
        "GET / HTTP/1.1\r\nHost: shop.example\r\nAccept: text/html\r\nConnection: close\r\n\r\n";
    let answer = send_text(program.http, text).answer();
    assert_eq!(answer.status, 502);
    answer.body
}

#[test]
fn a_page_that_changes_is_shown_and_a_broken_one_is_told_while_the_last_good_one_serves() {
    let nobody = Nobody::listens();
    let manifests = Manifests::routing("shop.example", nobody.address);
    manifests.write("policy.yaml", POLICY);
    manifests.write("pages.yaml", &pages("first {{ status }}"));
    let program = Program::standalone(manifests.path(), &[]);
    assert_eq!(shown(&program), "first 502");

    manifests.write("pages.yaml", &pages("second {{ status }}"));
    program.said("serving");
    assert_eq!(shown(&program), "second 502");

    manifests.write("pages.yaml", &pages("third {{ status }"));
    let told = program.said("finding");
    let told = told["finding"].as_str().unwrap();
    for part in ["InvalidPage", "5xx.html", "its last good form stays in use"] {
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(shown(&program), "second 502");

    manifests.write("pages.yaml", &pages("fourth {{ status }}"));
    program.said("serving");
    assert_eq!(shown(&program), "fourth 502");
}
