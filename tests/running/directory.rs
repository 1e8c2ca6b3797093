//! A directory that changes.

use crate::http::get;
use crate::manifests::{Manifests, route};
use crate::program::Program;
use crate::upstream::{Answers, Upstream};

#[test]
fn a_broken_file_is_told_with_its_line_and_the_last_good_state_is_served() {
    let upstream = Upstream::start("cart", Answers::AtOnce);
    let manifests = Manifests::routing("shop.example", upstream.address);
    let program = Program::standalone(manifests.path(), &[]);
    assert_eq!(get(program.http, "shop.example", "/").status, 200);

    let good = route("shop", "shop.example", upstream.address);
    manifests.write("shop.yaml", &good.replace("spec:\n", "spec: [\n"));
    let told = program.said("finding");
    let told = told["finding"].as_str().unwrap();
    assert!(
        told.contains("shop.yaml:") && told.contains("error["),
        "{told}"
    );
    assert_eq!(get(program.http, "shop.example", "/").status, 200);
    let findings = get(program.admin, "localhost", "/debug/findings");
    assert!(findings.body.contains("shop.yaml:"), "{}", findings.body);

    manifests.write("shop.yaml", &good);
    program.said_when("finding", |line| {
        line["finding"].as_str().unwrap().starts_with("fixed: ")
    });
    assert_eq!(get(program.http, "shop.example", "/").status, 200);
}

#[test]
fn a_new_file_is_served_and_a_removed_one_is_not() {
    let (cart, mail) = (
        Upstream::start("cart", Answers::AtOnce),
        Upstream::start("mail", Answers::AtOnce),
    );
    let manifests = Manifests::routing("shop.example", cart.address);
    let program = Program::standalone(manifests.path(), &[]);
    manifests.write("mail.yaml", &route("mail", "mail.example", mail.address));
    assert_eq!(program.processed("mail").status, 200);
    assert_eq!(get(program.http, "mail.example", "/").body, "mail");

    manifests.remove("shop.yaml");
    let gone = "/debug/processed?kind=Ingress&namespace=shop&name=shop&absent=true";
    assert_eq!(get(program.admin, "localhost", gone).status, 200);
    assert_eq!(get(program.http, "shop.example", "/").status, 404);
    assert_eq!(get(program.http, "mail.example", "/").body, "mail");
}

#[test]
fn an_empty_directory_is_served_as_what_it_is() {
    let manifests = Manifests::empty();
    let program = Program::standalone(manifests.path(), &[]);
    assert_eq!(program.probe("/readyz").status, 200);
    assert_eq!(get(program.http, "shop.example", "/").status, 404);
}
