use std::collections::BTreeMap;

use tempfile::TempDir;

use super::*;

struct Scenario {
    directory: TempDir,
    files: Files,
}

fn scenario(files: &[(&str, &str)]) -> Scenario {
    let directory = tempfile::tempdir().unwrap();
    let mut scenario = Scenario {
        files: Files::new(directory.path().to_owned()),
        directory,
    };
    for (name, text) in files {
        scenario.write(name, text);
    }
    scenario
}

/// An Ingress whose default backend is `service`.
fn ingress(name: &str, service: &str) -> String {
    format!(
        "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}}}\n\
         spec: {{defaultBackend: {{service: {{name: {service}, port: {{number: 80}}}}}}}}\n"
    )
}

impl Scenario {
    /// Writes and reads the file, as after a notification.
    fn write(&mut self, name: &str, text: &str) -> bool {
        let path = self.directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        self.files.scan(&HashSet::from([path]))
    }

    fn remove(&mut self, name: &str) -> bool {
        fs::remove_file(self.directory.path().join(name)).unwrap();
        self.files.scan(&HashSet::new())
    }

    /// Which Service each Ingress leads to.
    fn served(&self) -> BTreeMap<String, String> {
        let objects = self.files.contents().objects.into_iter();
        objects
            .map(|(key, object)| {
                let Object::Ingress(ingress) = object else {
                    panic!("{key} is not an Ingress");
                };
                let backend = ingress.spec.clone().unwrap().default_backend.unwrap();
                (key.name.to_string(), backend.service.unwrap().name)
            })
            .collect()
    }

    /// `file:line code` of each.
    fn findings(&self) -> Vec<String> {
        let findings = self.files.contents().findings.into_iter();
        findings
            .map(|finding| {
                let position = finding.position.unwrap();
                let file = position.file.strip_prefix(self.directory.path()).unwrap();
                format!(
                    "{}:{} {}",
                    file.display(),
                    position.line,
                    finding.code.as_str()
                )
            })
            .collect()
    }
}

fn leads(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, service)| ((*name).to_owned(), (*service).to_owned()))
        .collect()
}

#[test]
fn manifests_are_found_in_subdirectories_and_names_with_a_dot_are_never_input() {
    let scenario = scenario(&[
        ("a.yaml", &ingress("a", "one")),
        ("deep/er/b.yml", &ingress("b", "one")),
        (
            "c.json",
            r#"{"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "c"}, "spec": {"defaultBackend": {"service": {"name": "one"}}}}"#,
        ),
        ("README.md", "not a manifest"),
        (".hidden.yaml", &ingress("hidden", "one")),
        (".status/x.yaml", &ingress("status", "one")),
    ]);
    assert_eq!(
        scenario.served(),
        leads(&[("a", "one"), ("b", "one"), ("c", "one")])
    );
    assert_eq!(scenario.findings(), Vec::<String>::new());
}

#[test]
fn a_file_that_is_broken_keeps_its_objects_and_the_next_good_one_replaces_them() {
    let mut scenario = scenario(&[
        ("a.yaml", &(ingress("a", "one") + &ingress("b", "one"))),
        ("other.yaml", &ingress("other", "one")),
    ]);
    assert!(scenario.write("a.yaml", "---\nkind: [\n"));
    assert_eq!(
        scenario.served(),
        leads(&[("a", "one"), ("b", "one"), ("other", "one")])
    );
    assert_eq!(scenario.findings().len(), 1);
    assert!(scenario.write("a.yaml", &ingress("a", "two")));
    assert_eq!(scenario.served(), leads(&[("a", "two"), ("other", "one")]));
    assert_eq!(scenario.findings(), Vec::<String>::new());
}

#[test]
fn a_file_that_is_being_written_again_keeps_its_objects() {
    let whole = ingress("a", "one");
    let mut scenario = scenario(&[("a.yaml", &whole)]);
    for half_written in ["", whole.rsplit_once('}').unwrap().0] {
        scenario.write("a.yaml", half_written);
        assert_eq!(scenario.served(), leads(&[("a", "one")]), "{half_written}");
        assert_eq!(scenario.findings().len(), 1, "{half_written}");
    }
}

#[test]
fn one_object_that_is_broken_keeps_its_last_good_form_and_its_neighbours_move_on() {
    let mut scenario = scenario(&[("a.yaml", &(ingress("a", "one") + &ingress("b", "one")))]);
    let broken = ingress("a", "two").replace("number: 80", "number: many");
    scenario.write("a.yaml", &(broken + &ingress("b", "two")));
    assert_eq!(scenario.served(), leads(&[("a", "one"), ("b", "two")]));
    assert_eq!(scenario.findings(), ["a.yaml:5 InvalidObject"]);
}

#[test]
fn what_is_removed_is_served_no_longer() {
    let mut scenario = scenario(&[
        ("a.yaml", &(ingress("a", "one") + &ingress("b", "one"))),
        ("c.yaml", &ingress("c", "one")),
    ]);
    assert!(scenario.write("a.yaml", &ingress("b", "one")));
    assert!(scenario.remove("c.yaml"));
    assert_eq!(scenario.served(), leads(&[("b", "one")]));
    assert!(scenario.write("a.yaml", "# nothing any more\n"));
    assert_eq!(scenario.served(), leads(&[]));
}

#[test]
fn of_the_same_object_in_two_places_the_first_is_taken() {
    let mut scenario = scenario(&[
        ("a.yaml", &ingress("a", "one")),
        ("b.yaml", &ingress("a", "two")),
    ]);
    assert_eq!(scenario.served(), leads(&[("a", "one")]));
    assert_eq!(scenario.findings(), ["b.yaml:2 DuplicateObject"]);
    scenario.remove("a.yaml");
    assert_eq!(scenario.served(), leads(&[("a", "two")]));
    assert_eq!(scenario.findings(), Vec::<String>::new());
}

#[test]
fn an_object_that_moved_out_of_a_broken_file_is_taken_from_where_it_is_good() {
    let mut scenario = scenario(&[("a.yaml", &ingress("moved", "one"))]);
    scenario.write("a.yaml", "---\nkind: [\n");
    scenario.write("b.yaml", &ingress("moved", "two"));
    assert_eq!(scenario.served(), leads(&[("moved", "two")]));
}

#[test]
fn nothing_differs_when_nothing_changed() {
    let mut scenario = scenario(&[("a.yaml", &ingress("a", "one")), ("b.yaml", "broken: [")]);
    assert!(!scenario.files.scan(&HashSet::new()));
}

#[test]
fn a_directory_that_is_gone_keeps_everything_and_is_reported() {
    let mut scenario = scenario(&[("a.yaml", &ingress("a", "one"))]);
    let (here, away) = (
        scenario.directory.path(),
        scenario.directory.path().with_extension("away"),
    );
    fs::rename(here, &away).unwrap();
    assert!(scenario.files.scan(&HashSet::new()));
    assert!(scenario.files.lost().is_some());
    assert_eq!(scenario.served(), leads(&[("a", "one")]));
    assert_eq!(scenario.findings(), [":1 UnreadableFile"]);
    fs::rename(&away, scenario.directory.path()).unwrap();
    assert!(scenario.files.scan(&HashSet::new()));
    assert_eq!(scenario.findings(), Vec::<String>::new());
}

#[test]
fn a_file_that_is_not_text_is_reported_and_keeps_its_objects() {
    let mut scenario = scenario(&[("a.yaml", &ingress("a", "one"))]);
    let path = scenario.directory.path().join("a.yaml");
    fs::write(&path, b"\xff\xfe").unwrap();
    scenario.files.scan(&HashSet::from([path]));
    assert_eq!(scenario.served(), leads(&[("a", "one")]));
    assert_eq!(scenario.findings(), ["a.yaml:1 UnreadableFile"]);
}
