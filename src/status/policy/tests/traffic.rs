use super::*;
use crate::diagnose::generations::Reach;
use crate::diagnose::judge::{self, Said, UpstreamVerdict};
use crate::failure::Cause;
use crate::report::traffic::UpstreamReport;

fn bad_gateway() -> Said {
    let verdict = |condition, status, reason| judge::Verdict {
        condition,
        status,
        reason,
        message: "47 of 1203 requests".into(),
    };
    let endpoints = |name: usize| UpstreamVerdict {
        endpoints: UpstreamReport {
            upstream: format!("shop/cart-{name}:80"),
            ready: 2,
            ejected: 1,
            probed_down: 0,
        },
        last_failure: Some((Cause::ConnectionRefused, 1_763_998_923)),
    };
    Said {
        verdicts: vec![
            verdict("BadGateway", Some(true), "ConnectionRefused"),
            verdict("GatewayTimeout", None, "NoTraffic"),
        ],
        upstreams: (0..10).map(endpoints).collect(),
        recovered: None,
    }
}

/// Requests of these targets fail.
fn failing(report: &PolicyReport, targets: &[&str]) -> Judged {
    let mut judged = Judged::default();
    let policies = &mut judged.said.policies;
    policies.insert(report.object.clone(), bad_gateway());
    for target in &report.targets {
        if targets.contains(&&*target.target.object.name) {
            let place = (report.object.clone(), target.target.clone());
            judged.said.targets.insert(place, bad_gateway());
        }
    }
    judged
}

#[test]
fn requests_that_fail_are_told_at_the_top_and_at_their_target_and_leave_ready_alone() {
    let policy = report(vec![target("web", None), target("api", None)]);
    let speaker = Speaker {
        judged: &failing(&policy, &["web"]),
        ..speaker("ours", NOW)
    };
    let unseen = GatewayPolicyStatus::default();
    let status = speaker.wanted(&policy, standing(&unseen, false)).unwrap();
    let summary = summary(&status);
    assert_eq!(summary[3], "Ready=True/Ready");
    assert_eq!(summary[4], "BadGateway=True/ConnectionRefused");
    assert_eq!(summary[5], "GatewayTimeout=Unknown/NoTraffic");
    let ancestors = status.ancestors.as_ref().unwrap();
    assert_eq!(ancestors[0].ancestor_ref.name, "web", "failing ones first");
    let upstreams = ancestors[0].upstreams.as_ref().unwrap();
    assert_eq!(upstreams.len(), 8);
    assert_eq!((upstreams[0].ready, upstreams[0].ejected), (2, 1));
    let failure = upstreams[0].last_failure.as_ref().unwrap();
    assert_eq!(failure.reason, "ConnectionRefused");
    assert_eq!(failure.time, "2025-11-24T15:42:03Z");
    assert_eq!(ancestors[1].conditions.as_ref().unwrap().len(), 1);
    let again = Speaker {
        now: LATER,
        ..speaker
    };
    assert_eq!(again.wanted(&policy, standing(&status, false)), None);
}

#[test]
fn of_more_targets_than_there_is_room_for_the_rest_is_counted_and_failing_ones_stay() {
    let names: Vec<String> = (0..20).map(|it| format!("web-{it:02}")).collect();
    let targets = names.iter().map(|name| target(name, None));
    let policy = report(targets.collect());
    let judged = failing(&policy, &["web-19"]);
    let speaker = Speaker {
        judged: &judged,
        ..speaker("ours", NOW)
    };
    let status = speaker.wanted(&policy, standing(&GatewayPolicyStatus::default(), false));
    let status = status.unwrap();
    let ancestors = status.ancestors.unwrap();
    assert_eq!((ancestors.len(), status.ancestors_left_out), (16, Some(4)));
    assert_eq!(ancestors[0].ancestor_ref.name, "web-19");
}

#[test]
fn where_there_is_no_room_what_others_say_is_not_left_out() {
    let names: Vec<String> = (0..20).map(|it| format!("web-{it:02}")).collect();
    let targets = |names: &[String]| names.iter().map(|name| target(name, None)).collect();
    let policy = report(targets(&names));
    let theirs = report(targets(&names[..3]));
    let said = |ours: &'static str, others: &'static str| {
        let before = speaker(others, NOW)
            .wanted(&theirs, standing(&GatewayPolicyStatus::default(), false))
            .unwrap();
        let status = speaker(ours, NOW).wanted(&policy, standing(&before, false));
        let status = status.unwrap();
        let of = |name: &str| {
            let ancestors = status.ancestors.iter().flatten();
            ancestors.filter(|it| it.controller_name == name).count()
        };
        let counts = (of(ours), of(others), status.ancestors_left_out);
        // The others have room for all of theirs, and leave it at that.
        let written = GatewayPolicyStatus {
            conditions: status.conditions.or(before.conditions),
            observed_generation: status.observed_generation.or(before.observed_generation),
            ..status
        };
        let now = standing(&written, others < ours);
        assert!(speaker(others, NOW).wanted(&theirs, now).is_none());
        counts
    };
    assert_eq!(said("a", "b"), (13, 3, Some(7)));
    assert_eq!(said("b", "a"), (13, 3, Some(7)));
}

#[test]
fn a_generation_is_programmed_once_every_replica_serves_it_and_pending_is_no_reason_to_give_up() {
    let policy = report(vec![target("web", None)]);
    let mut judged = Judged::default();
    let behind = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
    let reach = Reach {
        generation: policy.generation,
        behind,
    };
    judged.reach.insert(policy.object.clone(), reach);
    let waiting = Speaker {
        judged: &judged,
        ..speaker("ours", NOW)
    };
    let unseen = GatewayPolicyStatus::default();
    let pending = waiting.wanted(&policy, standing(&unseen, false)).unwrap();
    assert_eq!(
        summary(&pending)[2..],
        ["Programmed=False/Pending", "Ready=False/Pending"]
    );
    let message = &pending.conditions.as_ref().unwrap()[2].message;
    assert!(message.ends_with("a, b, c, 1 more"), "{message}");
    let programmed = speaker("ours", NOW)
        .wanted(&policy, standing(&pending, true))
        .unwrap();
    assert_eq!(summary(&programmed)[2], "Programmed=True/Programmed");
    assert_eq!(
        waiting.wanted(&policy, standing(&programmed, true)),
        None,
        "it was served by all"
    );
}
