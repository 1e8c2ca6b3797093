//! Routes that lead nowhere: what is told of them names what was meant.

use crate::http::get;
use crate::manifests::{Manifests, route};
use crate::policy::{policy, processed, status_says};
use crate::program::Program;

const HOST: &str = "shop.example";

/// Enough to be told.
const REQUESTS: usize = 8;

/// A program whose route leads nowhere, as its clients have noticed.
fn noticed(manifests: &Manifests) -> Program {
    let program = Program::standalone(manifests.path(), &[]);
    processed(&program);
    for _ in 0..REQUESTS {
        assert_eq!(get(program.http, HOST, "/").status, 503);
    }
    program
}

fn shop() -> String {
    route("shop", HOST, ([127, 0, 0, 1], 1).into())
}

#[test]
fn a_port_that_the_service_does_not_have_is_told_with_those_that_it_has() {
    let manifests = Manifests::empty();
    manifests.write("shop.yaml", &shop().replace("number: 80", "number: 99"));
    manifests.write("policy.yaml", &policy("retry: {attempts: 1}"));
    let program = noticed(&manifests);
    let sentences = [
        "reason: UnknownUpstream",
        "Service shop cannot be used at port 99: it has port 80 (http)",
        "no usable endpoint: shop/shop:99",
    ];
    status_says(&manifests, &sentences);
    let labels = r#"ingress_namespace="shop",ingress="shop",upstream="shop/shop:99""#;
    program.counted(&format!(
        r#"bywash_requests_total{{status="503",{labels}}} {REQUESTS}"#
    ));
}

#[test]
fn a_policy_of_a_service_without_its_ca_says_so() {
    let manifests = Manifests::empty();
    manifests.write("shop.yaml", &shop());
    let tls = policy("upstreamTls: {caConfigMap: {name: gone}}");
    let tls = tls.replace("networking.k8s.io, kind: Ingress", "\"\", kind: Service");
    manifests.write("policy.yaml", &tls);
    let _program = noticed(&manifests);
    let sentences = [
        "reason: CaUnavailable",
        "What the certificates of Service shop are to be verified by is missing",
    ];
    status_says(&manifests, &sentences);
}
