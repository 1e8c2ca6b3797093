//! Several installations that speak of one policy.

use super::*;

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
