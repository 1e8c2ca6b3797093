//! What other programs read: SARIF by its schema, JUnit by a reader of it, JSON by its fields; and what
//! it costs.

use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::process::{Command, Stdio};

use libtest_mimic::Trial;
use serde_json::Value;

use crate::{root, run};

macro_rules! tests {
    ($($test:ident),+ $(,)?) => {
        pub(crate) fn trials() -> Vec<Trial> {
            vec![$(Trial::test(stringify!($test).replace('_', " "), || { $test(); Ok(()) })),+]
        }
    };
}

tests![
    sarif_is_valid_by_its_schema_and_names_rules_files_and_lines,
    junit_has_a_case_for_each_object_and_a_failure_for_each_that_is_wrong,
    json_says_everything_that_is_known,
    no_scenario_makes_sarif_or_junit_that_cannot_be_read,
    what_would_change_is_json_too,
    a_thousand_ingresses_cost_little_more_than_four_times_a_quarter_of_them,
    what_is_told_has_colours_only_where_they_are_wanted,
];

const REFUSED: &str = "scenarios/what-an-api-server-refuses-is-told-in-its-line";
const ASSUMED: &str = "scenarios/a-missing-service-is-taken-to-exist-but-for-a-misspelt-one";

fn told(scenario: &str, output: &str) -> String {
    let output = format!("--output={output}");
    let (code, said, complaint) = run(&root().join(scenario), &["check", "files", &output]);
    assert!(matches!(code, Some(0 | 1)), "{complaint}");
    said
}

fn assert_valid_sarif(text: &str) -> Value {
    let schema = fs::read_to_string(root().join("sarif-2.1.0.json")).unwrap();
    // The first edition has a stray bracket here, which the errata take out.
    let schema = schema.replace(
        "^[a-zA-Z]{2}|^[a-zA-Z]{2}-[a-zA-Z]{2}]?$",
        "^[a-zA-Z]{2}(-[a-zA-Z]{2})?$",
    );
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap();
    let log: Value = serde_json::from_str(text).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&log)
        .map(|it| format!("{}: {it}", it.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    log
}

fn sarif_is_valid_by_its_schema_and_names_rules_files_and_lines() {
    let log = assert_valid_sarif(&told(REFUSED, "sarif"));
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    assert!(results.len() > 5, "{results:#?}");
    for result in results {
        let rule = &rules[result["ruleIndex"].as_u64().unwrap() as usize];
        assert_eq!(rule["id"], result["ruleId"]);
        assert!(
            rule["helpUri"].as_str().unwrap().contains("findings.html#"),
            "{rule}"
        );
    }
    let misspelt = results
        .iter()
        .find(|it| it["message"]["text"].as_str().unwrap().contains("atempts"));
    let place = &misspelt.unwrap()["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "files/policy.yaml");
    assert_eq!(place["region"]["startLine"], 8);
    let log = assert_valid_sarif(&told(ASSUMED, "sarif"));
    let levels = log["runs"][0]["results"].as_array().unwrap().iter();
    assert!(levels.clone().any(|it| it["level"] == "note"), "{log:#}");
}

fn junit_has_a_case_for_each_object_and_a_failure_for_each_that_is_wrong() {
    let report = quick_junit::Report::deserialize_from_str(&told(REFUSED, "junit")).unwrap();
    let suites: Vec<&str> = report
        .test_suites
        .iter()
        .map(|it| it.name.as_str())
        .collect();
    assert_eq!(suites, ["files/ingress.yaml", "files/policy.yaml"]);
    let cases = &report.test_suites[1].test_cases;
    assert_eq!(cases[0].name.as_str(), "GatewayPolicy shop/web");
    assert_eq!((report.failures, report.tests), (1, 2));
    let text = told("scenarios/with-strict-a-warning-fails", "junit");
    assert!(
        !text.contains("<failure") && text.contains("warning[IgnoredAnnotation]"),
        "{text}"
    );
    let strict = ["check", "files", "--strict", "-o", "junit"];
    let (_, text, _) = run(
        &root().join("scenarios/with-strict-a-warning-fails"),
        &strict,
    );
    assert!(text.contains("<failure"), "{text}");
}

fn json_says_everything_that_is_known() {
    let json: Value = serde_json::from_str(&told(ASSUMED, "json")).unwrap();
    assert_eq!(
        (&json["version"], &json["summary"]["ingresses"]),
        (&1.into(), &2.into())
    );
    let findings = json["findings"].as_array().unwrap();
    let misspelt = findings
        .iter()
        .find(|it| it["severity"] == "warning")
        .unwrap();
    assert_eq!(
        (
            &misspelt["code"],
            &misspelt["kind"],
            &misspelt["namespace"],
            &misspelt["name"]
        ),
        (
            &"ServiceNotFound".into(),
            &"Ingress".into(),
            &"shop".into(),
            &"cart".into()
        )
    );
    assert!(
        misspelt["help"]
            .as_str()
            .unwrap()
            .ends_with("#servicenotfound-error"),
        "{misspelt}"
    );
    assert_eq!(json["assumed"].as_array().unwrap().len(), 3, "{json:#}");
}

fn no_scenario_makes_sarif_or_junit_that_cannot_be_read() {
    let mut read = 0;
    for entry in fs::read_dir(root().join("scenarios")).unwrap() {
        let folder = entry.unwrap().path();
        let command = fs::read_to_string(folder.join("command")).unwrap();
        let words: Vec<&str> = command.split_whitespace().collect();
        let as_told = |output| run(&folder, &[&words[..], &["-o", output]].concat());
        let (code, sarif, _) = as_told("sarif");
        if code == Some(2) {
            continue;
        }
        assert_valid_sarif(&sarif);
        quick_junit::Report::deserialize_from_str(&as_told("junit").1).unwrap();
        read += 1;
    }
    assert!(read > 10, "only {read}");
}

/// Four times as many take at most eight times as much of a processor: with the square of their number it
/// would be sixteen. How long that is on a clock depends on who shares the machine.
fn a_thousand_ingresses_cost_little_more_than_four_times_a_quarter_of_them() {
    let [few, many] = [250, 1000].map(cost_of);
    println!("250 Ingresses, Services and policies cost {few} ticks, 1000 cost {many}");
    assert!(many <= 8 * few, "{few} and {many} ticks");
}

/// Ticks of a processor that so many Ingresses, each with a Service and a policy, take to check.
fn cost_of(number: usize) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let ingress = fs::read_to_string(
        root().join("scenarios/what-is-right-is-told-in-one-line/files/web.yaml"),
    )
    .unwrap();
    let mut all = String::new();
    for number in 0..number {
        let text = ingress
            .replace("name: web", &format!("name: web-{number}"))
            .replace("shop.example", &format!("shop-{number}.example"));
        let _infallible = write!(all, "---\n{text}");
    }
    fs::write(folder.path().join("all.yaml"), all).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_bywash"))
        .env_clear()
        .args(["check", "."])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let stdout = child.stdout.as_mut().unwrap();
    stdout.read_to_string(&mut said).unwrap();
    // It has said all that it has to say, and is there until somebody waits for it.
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    let all = format!("{number} Ingresses and {number} GatewayPolicies in 1 file");
    assert!(said.contains(&all), "{said}");
    // proc_pid_stat(5): utime and stime are the 12th and 13th after the name, which ends with ')'.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let fields: Vec<&str> = fields.split(' ').collect();
    [11, 12]
        .map(|it| fields[it].parse::<u64>().unwrap())
        .iter()
        .sum()
}

fn what_is_told_has_colours_only_where_they_are_wanted() {
    let folder = root().join(REFUSED);
    let (_, plain, _) = run(&folder, &["check", "files"]);
    assert!(!plain.contains('\u{1b}'), "{plain:?}");
    let (_, coloured, _) = run(&folder, &["check", "files", "--color=always"]);
    assert!(coloured.contains('\u{1b}'), "{coloured:?}");
}

fn what_would_change_is_json_too() {
    let folder = root().join("scenarios/what-would-change-is-told-in-words");
    let (code, said, complaint) = run(&folder, &["check", "new", "--diff", "old", "-o", "json"]);
    assert_eq!(code, Some(0), "{complaint}");
    let json: Value = serde_json::from_str(&said).unwrap();
    let changes = json["changes"].as_array().unwrap();
    let of = |kind: &str| changes.iter().find(|it| it["kind"] == kind).unwrap();
    assert_eq!(
        (&of("lost")["host"], &of("gained")["after"]),
        (&"gone.example".into(), &"shop/web:80".into())
    );
    assert_eq!(
        (&of("policy")["section"], &of("policy")["after"]),
        (&"retry".into(), &"attempts=4".into())
    );
    assert_eq!(of("retargeted")["before"], "shop/old-web:80");
}
