use super::*;
use crate::report::ObjectRef;
use crate::report::policy::{Defect, PolicyTarget, SectionReport};
use crate::routing::snapshot::ServicePort;

const NOW: &str = "2026-01-01T10:00:00Z";
const LATER: &str = "2026-01-01T11:00:00Z";

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
        overloads: &[],
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
        kept: true,
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

#[test]
fn entries_of_another_controller_stay_and_the_first_by_name_writes_the_top() {
    let policy = report(vec![target("web", None)]);
    let unseen = GatewayPolicyStatus::default();
    let first = speaker("a", NOW)
        .wanted(&policy, standing(&unseen, false))
        .unwrap();
    let second = speaker("b", NOW)
        .wanted(&policy, standing(&first, false))
        .unwrap();
    assert_eq!(second.conditions, None);
    let both = GatewayPolicyStatus {
        ancestors: second.ancestors,
        ..first
    };
    assert_eq!(both.ancestors.as_ref().unwrap().len(), 2);
    assert_eq!(
        speaker("a", LATER).wanted(&policy, standing(&both, false)),
        None
    );
    assert_eq!(
        speaker("b", LATER).wanted(&policy, standing(&both, false)),
        None
    );
}

#[test]
fn of_a_policy_that_nobody_has_any_installations_words_are_enough_until_they_are_wrong() {
    let told = |why: &str| {
        let missing = Rejection::NotFound(why.into());
        report(vec![target("web", Some(missing))])
    };
    let said = first(&told("the Ingress shop/web does not exist"));
    let otherwise = told("no Ingress leads there");
    let other = speaker("other", LATER);
    for ours in [Share::Nothing, Share::Part] {
        let standing = Standing {
            ours,
            ..standing(&said, false)
        };
        assert_eq!(other.wanted(&otherwise, standing), None);
        let edited = PolicyReport {
            generation: 4,
            ..otherwise.clone()
        };
        assert!(other.wanted(&edited, standing).is_some());
    }
    let corrected = other.wanted(&otherwise, standing(&said, true)).unwrap();
    let message = &corrected.conditions.unwrap()[0].message;
    assert_eq!(message, "no Ingress leads there");
}

#[test]
fn an_installation_that_is_gone_does_not_hold_the_top_for_ever() {
    let policy = report(vec![target("web", None)]);
    let unseen = GatewayPolicyStatus::default();
    let gone = speaker("a", NOW).wanted(&policy, standing(&unseen, false));
    let gone = gone.unwrap();
    let edited = PolicyReport {
        generation: 4,
        ..policy.clone()
    };
    let settled = Standing {
        is_settled: true,
        ..standing(&gone, false)
    };
    let ours = speaker("b", LATER);
    assert_eq!(ours.wanted(&policy, settled).unwrap().conditions, None);
    assert!(!ours.others_are_behind(3, &gone));

    assert!(ours.others_are_behind(4, &gone));
    let waiting = ours.wanted(&edited, standing(&gone, false)).unwrap();
    assert_eq!(waiting.conditions, None, "it may be about to speak");
    let taken = ours.wanted(&edited, settled).unwrap();
    assert_eq!(taken.observed_generation, Some(4));
    assert_eq!(summary(&taken)[3], "Ready=True/Ready");
    let entries = taken.ancestors.as_ref().unwrap();
    let names: Vec<&str> = entries.iter().map(|it| &*it.controller_name).collect();
    assert_eq!(names, ["a", "b"], "the entries of others are theirs");

    let foreign = PolicyReport {
        foreign: vec!["the Ingress shop/web is of another class".into()],
        generation: 4,
        ..report(Vec::new())
    };
    let orphaned = ours.wanted(&foreign, settled).unwrap();
    assert_eq!(summary(&orphaned)[0], "Accepted=False/TargetNotFound");
    assert_eq!(orphaned.ancestors, None);

    let back = speaker("a", LATER).wanted(&edited, standing(&taken, false));
    let back = back.unwrap();
    assert_eq!(back.observed_generation, Some(4));
    let back = Standing {
        is_settled: true,
        ..standing(&back, true)
    };
    assert_eq!(ours.wanted(&edited, back).unwrap().conditions, None);
}

#[test]
fn of_a_policy_for_others_alone_that_is_said_until_one_of_them_speaks() {
    let foreign = PolicyReport {
        foreign: vec!["the Ingress shop/web is of another class".into()],
        ..report(Vec::new())
    };
    let said = first(&foreign);
    assert_eq!(
        summary(&said),
        [
            "Accepted=False/TargetNotFound",
            "ResolvedRefs=True/ResolvedRefs",
            "Programmed=False/TargetNotFound",
            "Ready=False/TargetNotFound"
        ]
    );
    let message = &said.conditions.as_ref().unwrap()[0].message;
    assert_eq!(message, "the Ingress shop/web is of another class");
    assert_eq!(
        speaker("ours", LATER).wanted(&foreign, standing(&said, true)),
        None
    );

    let theirs = report(vec![target("web", None)]);
    let spoken = speaker("theirs", NOW).wanted(&theirs, standing(&said, false));
    let withdrawn = speaker("ours", LATER).wanted(&foreign, standing(&spoken.unwrap(), true));
    assert_eq!(withdrawn, Some(GatewayPolicyStatus::default()));
}

#[test]
fn what_every_installation_says_of_a_policy_without_targets_is_taken_back_when_one_has_it() {
    let nobodys = report(Vec::new());
    let said = first(&nobodys);
    assert_eq!(said.ancestors, None);
    assert_eq!(
        speaker("z", LATER).wanted(&nobodys, standing(&said, true)),
        None
    );

    let class = report(vec![target("web", None)]);
    let named = speaker("a", LATER)
        .wanted(&class, standing(&said, false))
        .unwrap();
    let withdrawn = speaker("z", LATER).wanted(&nobodys, standing(&named, true));
    assert_eq!(withdrawn, Some(GatewayPolicyStatus::default()));
    assert_eq!(
        speaker("z", LATER).wanted(&nobodys, standing(&named, false)),
        None
    );
}

#[test]
fn a_circuit_breaker_that_turns_requests_away_is_told_and_taken_back() {
    let upstream = |name: &str| ServicePort {
        namespace: "shop".into(),
        name: name.into(),
        port: 80,
    };
    let mut policy = report(vec![target("web", None)]);
    policy.limited = vec![upstream("cart")];
    let closed = first(&policy);
    assert_eq!(summary(&closed)[4], "CircuitBreakerOpen=False/Closed");

    let overload = |name| Overload {
        upstream: upstream(name),
        limits: vec!["maxRequests"],
    };
    let others = [overload("other")];
    let unconcerned = Speaker {
        overloads: &others,
        ..speaker("ours", LATER)
    };
    assert_eq!(unconcerned.wanted(&policy, standing(&closed, false)), None);
    let ours = [overload("cart")];
    let concerned = Speaker {
        overloads: &ours,
        ..speaker("ours", LATER)
    };
    let open = concerned.wanted(&policy, standing(&closed, false)).unwrap();
    assert_eq!(summary(&open)[4], "CircuitBreakerOpen=True/LimitReached");
    assert_eq!(
        summary(&open)[3],
        "Ready=True/Ready",
        "traffic is no defect"
    );
    let condition = &open.conditions.as_ref().unwrap()[4];
    assert!(condition.message.contains("maxRequests of shop/cart:80"));
    assert_eq!(condition.last_transition_time, LATER);
    let closed = speaker("ours", NOW)
        .wanted(&policy, standing(&open, false))
        .unwrap();
    assert_eq!(summary(&closed)[4], "CircuitBreakerOpen=False/Closed");
}
