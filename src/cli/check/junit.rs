//! For test reports: JUnit XML, a suite for each file and a case for each object.

use std::collections::BTreeMap;

use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use super::problem::{Checked, Level, Problem};

/// The whole as XML; with `strict`, warnings are failures too.
pub(super) fn junit(checked: &Checked, strict: bool) -> Result<String, SerializeError> {
    let mut suites: BTreeMap<String, BTreeMap<String, Vec<&Problem>>> = BTreeMap::new();
    for looked in &checked.looked {
        let suite = suites.entry(looked.position.file.display().to_string());
        suite
            .or_default()
            .entry(looked.object.to_string())
            .or_default();
    }
    for problem in &checked.problems {
        let file = problem.position.as_ref();
        let file = file.map_or_else(String::new, |it| it.file.display().to_string());
        let case = match (&problem.object, &problem.position) {
            (Some(object), _) => object.to_string(),
            (None, Some(position)) => format!("line {}", position.line),
            (None, None) => "the files".to_owned(),
        };
        let cases = suites.entry(file).or_default();
        cases.entry(case).or_default().push(problem);
    }
    let mut report = Report::new("bywash check");
    for (file, cases) in suites {
        let mut suite = TestSuite::new(file.clone());
        suite.add_test_cases(
            cases
                .iter()
                .map(|(name, problems)| case(&file, name, problems, strict)),
        );
        report.add_test_suite(suite);
    }
    report.to_string()
}

fn case(file: &str, name: &str, problems: &[&Problem], strict: bool) -> TestCase {
    let fails = |it: &&&Problem| it.level == Level::Error || (strict && it.level == Level::Warning);
    let failures: Vec<String> = problems.iter().filter(fails).map(|it| line(it)).collect();
    let others: Vec<String> = problems
        .iter()
        .filter(|it| !fails(it))
        .map(|it| line(it))
        .collect();
    let status = match problems.iter().find(fails) {
        None => TestCaseStatus::success(),
        Some(first) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_type(first.code.as_str());
            status.set_message(first.message.as_str());
            status.set_description(failures.join("\n"));
            status
        }
    };
    let mut case = TestCase::new(name, status);
    case.set_classname(file);
    if !others.is_empty() {
        case.set_system_out(others.join("\n"));
    }
    case
}

fn line(problem: &Problem) -> String {
    let line = problem.position.as_ref().map_or(1, |it| it.line);
    let (level, code) = (problem.level.as_str(), problem.code.as_str());
    format!("line {line}: {level}[{code}] {}", problem.message)
}
