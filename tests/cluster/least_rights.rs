//! The whole controller with the rights of the chart and no others: all of it works, and without any one of
//! them something stops.
//!
//! The roles are those that Helm renders, bound to the account that Helm renders, of which the program has a
//! token. For each right there is a behaviour that stops without it (`rights`): the program is run without
//! that right, is seen to ask for it and to be refused, and does not behave so.

mod behaviour;
mod installation;
mod rights;

use std::collections::BTreeSet;

use crate::replica::Replica;
use crate::tenant::Tenant;
use crate::wait::{SOON, eventually};
use behaviour::Scene;
use installation::Installation;
use rights::{Mode, Part, Right};

trials![
    with_the_rights_in_the_whole_cluster_all_of_it_works,
    with_those_on_the_secrets_of_one_namespace_all_of_it_works,
    with_those_in_one_namespace_and_no_cluster_role_all_of_it_works,
    in_the_whole_cluster_it_needs_to_read_what_routes_are_made_of,
    in_the_whole_cluster_it_needs_to_read_classes_and_secrets,
    in_the_whole_cluster_it_needs_to_read_policies_and_what_they_name,
    in_the_whole_cluster_it_needs_to_look_why_requests_fail,
    in_the_whole_cluster_it_needs_to_write_what_it_has_to_say,
    in_the_whole_cluster_it_needs_what_its_replicas_agree_by,
    of_listed_namespaces_it_needs_to_read_the_secrets,
    in_one_namespace_it_needs_to_read_what_routes_are_made_of,
    in_one_namespace_it_needs_to_read_secrets,
    in_one_namespace_it_needs_to_read_policies_and_what_they_name,
    in_one_namespace_it_needs_to_look_why_requests_fail,
    in_one_namespace_it_needs_to_write_what_it_has_to_say,
    in_one_namespace_it_needs_what_its_replicas_agree_by,
];

/// What it does, as far as a right is needed for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Behaviour {
    /// It becomes ready.
    Starts,
    /// A Service that is made later is served on the host of a new Ingress.
    FollowsRoutes,
    /// So is the certificate of a new Secret.
    FollowsCertificates,
    /// A policy that the IngressClass comes to name applies.
    FollowsClass,
    /// A new policy applies.
    FollowsPolicies,
    /// The pages of a new ConfigMap are shown.
    FollowsPages,
    /// What is said of failures rests on the Pods,
    ExplainsByPods,
    /// and on what restricts them.
    ExplainsByNetworkPolicies,
    /// Ingresses get addresses,
    PublishesAddresses,
    /// and others when those of the published Service change.
    FollowsPublished,
    /// Policies get conditions.
    TellsPolicies,
    /// A defect is an Event.
    RecordsEvents,
    /// It tells other replicas what it sees,
    Reports,
    /// and hears them.
    HearsOthers,
    /// It may lead.
    Leads,
}

/// Runs the program with all rights but one.
async fn run(site: &Installation<'_>, number: usize, without: Option<&Right>) -> Replica {
    site.may_all_but(without).await;
    let (pod, flags) = (format!("bywash-{number}"), site.flags());
    let usual = ["--log-format=text", "--access-log=off", "--drain-delay=0s"];
    let flags: Vec<&str> = flags.iter().map(String::as_str).chain(usual).collect();
    Replica::start_by((&site.kubeconfig, &site.own), site.shop, &pod, &flags)
}

async fn site(shop: &Tenant, mode: Mode) -> Installation<'_> {
    Installation::of(shop, mode).await
}

/// With all of them each behaviour is there, and nothing is refused.
async fn all_of_it_works(mode: Mode) {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    let site = site(&shop, mode).await;
    let needed: Vec<(Right, Behaviour)> = Part::ALL
        .into_iter()
        .flat_map(|part| rights::of(mode, part))
        .collect();
    let listed: BTreeSet<Right> = needed.iter().map(|(right, _)| right.clone()).collect();
    assert_eq!(site.rights(), listed);

    let behaviours: BTreeSet<Behaviour> = needed.into_iter().map(|(_, stops)| stops).collect();
    let mut scene = Scene::new(&site, 1);
    scene.prepare().await;
    for behaviour in &behaviours {
        scene.before(*behaviour).await;
    }
    let mut bywash = run(&site, 1, None).await;
    bywash.ready().await;
    for behaviour in &behaviours {
        scene.act(*behaviour).await;
        let what = format!("{behaviour:?} of {mode:?}");
        eventually(&what, SOON, async || scene.check(*behaviour, &bywash).await).await;
        scene.after(*behaviour).await;
    }
    let log = bywash.log();
    let refused = log.lines().find(|line| line.contains("is forbidden"));
    assert_eq!(refused, None);
}

/// Without any one of them what it is for stops.
async fn something_stops(mode: Mode, part: Part, is_tried: impl Fn(&Right) -> bool) {
    let shop = Tenant::new().await;
    let web = shop.workload("web", 1).await;
    web.slices().await;
    let site = site(&shop, mode).await;
    let needed = rights::of(mode, part).into_iter();
    let tried: Vec<_> = needed.filter(|(right, _)| is_tried(right)).collect();
    assert!(!tried.is_empty());
    for (number, (right, stops)) in (1..).zip(&tried) {
        let mut scene = Scene::new(&site, number);
        scene.prepare().await;
        scene.before(*stops).await;
        let mut bywash = run(&site, number, Some(right)).await;
        if *stops != Behaviour::Starts {
            bywash.ready().await;
            scene.act(*stops).await;
        }
        let what = format!("refusal of {right:?}");
        eventually(&what, SOON, async || scene.refusal(right, &bywash).await).await;
        let seen = scene.check(*stops, &bywash).await;
        assert!(seen.is_err(), "{stops:?} without {right:?}");
        scene.after(*stops).await;
    }
}

async fn with_the_rights_in_the_whole_cluster_all_of_it_works() {
    all_of_it_works(Mode::Cluster).await;
}

async fn with_those_on_the_secrets_of_one_namespace_all_of_it_works() {
    all_of_it_works(Mode::ListedSecrets).await;
}

async fn with_those_in_one_namespace_and_no_cluster_role_all_of_it_works() {
    all_of_it_works(Mode::Namespace).await;
}

macro_rules! something_stops {
    ($($test:ident: $mode:ident $part:ident,)+) => {$(
        async fn $test() {
            something_stops(Mode::$mode, Part::$part, |_| true).await;
        }
    )+};
}

something_stops! {
    in_the_whole_cluster_it_needs_to_read_what_routes_are_made_of: Cluster Reading,
    in_the_whole_cluster_it_needs_to_read_classes_and_secrets: Cluster Selecting,
    in_the_whole_cluster_it_needs_to_read_policies_and_what_they_name: Cluster Policies,
    in_the_whole_cluster_it_needs_to_look_why_requests_fail: Cluster Facts,
    in_the_whole_cluster_it_needs_to_write_what_it_has_to_say: Cluster Writing,
    in_the_whole_cluster_it_needs_what_its_replicas_agree_by: Cluster Together,
    in_one_namespace_it_needs_to_read_what_routes_are_made_of: Namespace Reading,
    in_one_namespace_it_needs_to_read_secrets: Namespace Selecting,
    in_one_namespace_it_needs_to_read_policies_and_what_they_name: Namespace Policies,
    in_one_namespace_it_needs_to_look_why_requests_fail: Namespace Facts,
    in_one_namespace_it_needs_to_write_what_it_has_to_say: Namespace Writing,
    in_one_namespace_it_needs_what_its_replicas_agree_by: Namespace Together,
}

/// All else is as in the whole cluster.
async fn of_listed_namespaces_it_needs_to_read_the_secrets() {
    let secrets = |right: &Right| right.resource == "secrets";
    something_stops(Mode::ListedSecrets, Part::Selecting, secrets).await;
}
