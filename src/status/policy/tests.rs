use super::*;
use crate::report::ObjectRef;
use crate::report::policy::{Defect, Instead, PolicyTarget, SectionReport};

mod installations;
mod limits;

mod traffic;

const NOW: &str = "2026-01-01T10:00:00Z";
const LATER: &str = "2026-01-01T11:00:00Z";

static NOTHING: std::sync::LazyLock<Judged> = std::sync::LazyLock::new(Judged::default);

fn object(kind: Kind, name: &str) -> ObjectRef {
    ObjectRef {
        kind,
        namespace: "shop".into(),
        name: name.into(),
    }
}

fn target(name: &str, rejection: Option<Rejection>) -> TargetReport {
    TargetReport {
        target: PolicyTarget {
            object: object(Kind::Ingress, name),
            section_name: None,
        },
        rejection,
        sections: Vec::new(),
    }
}

fn report(targets: Vec<TargetReport>) -> PolicyReport {
    PolicyReport {
        object: object(Kind::GatewayPolicy, "p"),
        generation: 3,
        defects: Vec::new(),
        unresolved: Vec::new(),
        targets,
        foreign: Vec::new(),
        limited: Vec::new(),
    }
}

fn speaker(installation: &'static str, now: &'static str) -> Speaker<'static> {
    Speaker {
        installation,
        now,
        judged: &NOTHING,
    }
}

fn first(report: &PolicyReport) -> GatewayPolicyStatus {
    let unseen = GatewayPolicyStatus {
        observed_generation: Some(-1),
        ..GatewayPolicyStatus::default()
    };
    let standing = standing(&unseen, false);
    speaker("ours", NOW).wanted(report, standing).unwrap()
}

fn standing(status: &GatewayPolicyStatus, owns: bool) -> Standing<'_> {
    Standing {
        status,
        ours: match owns {
            true => Share::Words,
            false => Share::Nothing,
        },
        is_settled: false,
    }
}

/// `Type=Status/Reason`, in order.
fn summary(status: &GatewayPolicyStatus) -> Vec<String> {
    let conditions = status.conditions.iter().flatten();
    conditions
        .map(|it| format!("{}={}/{}", it.type_, it.status, it.reason))
        .collect()
}

fn conflict() -> Rejection {
    Rejection::Conflicted(object(Kind::GatewayPolicy, "older"))
}

#[test]
fn a_policy_that_is_in_force_is_ready_in_its_generation() {
    let status = first(&report(vec![target("web", None)]));
    assert_eq!(
        summary(&status),
        [
            "Accepted=True/Accepted",
            "ResolvedRefs=True/ResolvedRefs",
            "Programmed=True/Programmed",
            "Ready=True/Ready"
        ]
    );
    assert_eq!(status.observed_generation, Some(3));
    for condition in status.conditions.unwrap() {
        assert_eq!(condition.observed_generation, Some(3));
        assert_eq!(condition.last_transition_time, NOW);
    }
}

#[test]
fn a_conflict_names_the_winner_and_only_the_author_can_end_it() {
    let status = first(&report(vec![target("web", Some(conflict()))]));
    assert_eq!(
        summary(&status),
        [
            "Accepted=False/Conflicted",
            "ResolvedRefs=True/ResolvedRefs",
            "Programmed=False/Conflicted",
            "Ready=False/Conflicted",
            "Stalled=True/Conflicted"
        ]
    );
    let message = &status.conditions.unwrap()[0].message;
    assert!(message.contains("GatewayPolicy shop/older"), "{message}");
}

#[test]
fn a_target_that_is_not_there_may_still_come() {
    let missing = Rejection::NotFound("the Ingress shop/web does not exist".into());
    let status = first(&report(vec![target("web", Some(missing))]));
    assert_eq!(
        summary(&status),
        [
            "Accepted=False/TargetNotFound",
            "ResolvedRefs=False/TargetNotFound",
            "Programmed=False/TargetNotFound",
            "Ready=False/TargetNotFound"
        ]
    );
}

#[test]
fn what_a_section_names_may_still_come_and_the_rest_is_in_force() {
    let mut report = report(vec![target("web", None)]);
    report
        .unresolved
        .push("the ConfigMap shop/ca does not exist".into());
    let status = first(&report);
    assert_eq!(
        summary(&status),
        [
            "Accepted=True/Accepted",
            "ResolvedRefs=False/RefNotFound",
            "Programmed=True/Programmed",
            "Ready=False/RefNotFound"
        ]
    );
    let message = &status.conditions.unwrap()[3].message;
    assert!(message.contains("ConfigMap shop/ca"), "{message}");
}

#[test]
fn a_section_that_cannot_be_right_is_named_with_what_applies_instead() {
    let mut report = report(vec![target("web", None)]);
    report.defects.push(Defect {
        section: "retry",
        why: "attempts is a number from 1 to 10".into(),
        instead: Instead::LastGood,
    });
    let status = first(&report);
    assert_eq!(
        summary(&status),
        [
            "Accepted=False/Invalid",
            "ResolvedRefs=True/ResolvedRefs",
            "Programmed=False/Invalid",
            "Ready=False/Invalid",
            "Stalled=True/Invalid"
        ]
    );
    assert_eq!(
        status.conditions.unwrap()[0].message,
        "retry: attempts is a number from 1 to 10; its last good form stays in force"
    );
}

#[test]
fn a_policy_without_a_target_says_so() {
    let status = first(&report(Vec::new()));
    assert_eq!(summary(&status)[0], "Accepted=False/NoTarget");
    assert_eq!(summary(&status)[4], "Stalled=True/NoTarget");
}

#[test]
fn nothing_is_wanted_once_it_is_said_and_times_change_with_the_status_only() {
    let good = report(vec![target("web", None)]);
    let said = first(&good);
    assert_eq!(
        speaker("ours", LATER).wanted(&good, standing(&said, false)),
        None
    );

    let edited = PolicyReport {
        generation: 4,
        ..good.clone()
    };
    let next = speaker("ours", LATER)
        .wanted(&edited, standing(&said, false))
        .unwrap();
    assert_eq!(next.observed_generation, Some(4));
    for condition in next.conditions.iter().flatten() {
        assert_eq!(condition.last_transition_time, NOW, "{condition:?}");
    }

    let broken = report(vec![target("web", Some(conflict()))]);
    let next = speaker("ours", LATER)
        .wanted(&broken, standing(&said, false))
        .unwrap();
    let times: Vec<_> = next
        .conditions
        .iter()
        .flatten()
        .map(|it| (it.type_.as_str(), it.last_transition_time.as_str()))
        .collect();
    assert_eq!(
        times,
        [
            ("Accepted", LATER),
            ("ResolvedRefs", NOW),
            ("Programmed", LATER),
            ("Ready", LATER),
            ("Stalled", LATER)
        ]
    );
    let healed = speaker("ours", LATER)
        .wanted(&good, standing(&next, false))
        .unwrap();
    assert_eq!(summary(&healed).last().unwrap(), "Stalled=False/Ready");
    assert_eq!(
        speaker("ours", LATER).wanted(&good, standing(&healed, false)),
        None
    );
}

#[test]
fn each_target_has_its_own_entry_with_failing_ones_first() {
    let mut good = target("web", None);
    good.sections.push(SectionReport {
        name: "retry",
        origin: None,
        values: "attempts=3".into(),
    });
    let status = first(&report(vec![good, target("api", Some(conflict()))]));
    let ancestors = status.ancestors.unwrap();
    let names: Vec<&str> = ancestors.iter().map(|it| &*it.ancestor_ref.name).collect();
    assert_eq!(names, ["api", "web"]);
    assert_eq!(ancestors[1].ancestor_ref.group, "networking.k8s.io");
    assert_eq!(
        ancestors[1].sections.as_ref().unwrap()[0].origin,
        "built-in"
    );
}
