//! Ready means: what is served was read completely.

use std::fs;

use tempfile::TempDir;

use crate::http::get;
use crate::manifests::Manifests;
use crate::program::Program;
use crate::upstream::{Answers, Nobody, Upstream};

#[test]
fn a_program_that_serves_is_alive_ready_and_routes() {
    let upstream = Upstream::start("cart", Answers::AtOnce);
    let manifests = Manifests::routing("shop.example", upstream.address);
    let program = Program::standalone(manifests.path(), &[]);
    assert_eq!(program.probe("/livez").status, 200);
    assert_eq!(program.probe("/readyz").status, 200);
    assert_eq!(program.probe("/nothing").status, 404);
    let answer = get(program.http, "shop.example", "/");
    assert_eq!((answer.status, &*answer.body), (200, "cart"));
    assert_eq!(get(program.http, "other.example", "/").status, 404);
}

#[test]
fn one_runtime_for_all_workers_serves_the_same() {
    let upstream = Upstream::start("cart", Answers::AtOnce);
    let manifests = Manifests::routing("shop.example", upstream.address);
    let program = Program::standalone(manifests.path(), &["--runtime=shared"]);
    for _ in 0..10 {
        assert_eq!(get(program.http, "shop.example", "/").body, "cart");
    }
}

#[test]
fn without_an_api_server_it_is_alive_but_never_ready_and_denies_no_route() {
    let nobody = Nobody::listens();
    let server = nobody.address;
    let directory = TempDir::new().unwrap();
    let kubeconfig = directory.path().join("config");
    let text = format!(
        "\
apiVersion: v1
kind: Config
current-context: here
contexts: [{{name: here, context: {{cluster: here, user: me}}}}]
clusters: [{{name: here, cluster: {{server: 'http://{server}'}}}}]
users: [{{name: me, user: {{}}}}]
"
    );
    fs::write(&kubeconfig, text).unwrap();
    let flag = format!("--kubeconfig={}", kubeconfig.display());
    let program = Program::start(&["run", &flag]);
    // The watches begin before the ports are announced: by then they have failed, or soon will.
    assert_eq!(program.probe("/livez").status, 200);
    let readiness = program.probe("/readyz");
    assert_eq!(readiness.status, 503, "{}", readiness.body);
    assert_eq!(get(program.http, "shop.example", "/").status, 503);
}

#[test]
fn a_version_can_be_waited_for() {
    let upstream = Upstream::start("cart", Answers::AtOnce);
    let manifests = Manifests::routing("shop.example", upstream.address);
    let program = Program::standalone(manifests.path(), &[]);
    assert_eq!(program.processed("shop").status, 200);
    let query = "kind=Ingress&namespace=shop&name=other";
    let absent = format!("/debug/processed?{query}&absent=true");
    assert_eq!(get(program.admin, "localhost", &absent).status, 200);
    let never = format!("/debug/processed?{query}&timeout=0");
    let answer = get(program.admin, "localhost", &never);
    assert_eq!(answer.status, 504);
    assert!(
        answer.body.contains("\"processed\":false"),
        "{}",
        answer.body
    );
    let snapshot = get(program.admin, "localhost", "/debug/snapshot");
    assert!(snapshot.body.contains("shop.example"), "{}", snapshot.body);
}
