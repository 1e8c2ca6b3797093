//! What each right of the chart is for: the behaviour that stops without it.

use super::Behaviour::{self, *};

/// How an installation is bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mode {
    /// To the whole cluster.
    Cluster,
    /// To the whole cluster, and to one namespace for its Secrets.
    ListedSecrets,
    /// To one namespace that is not its own.
    Namespace,
}

/// Where a right holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// Everywhere, by the cluster role.
    Everywhere,
    /// Where the Ingresses are.
    Watched,
    /// In the namespace of the installation.
    Own,
}

/// One verb on one resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Right {
    pub(super) place: Place,
    pub(super) group: String,
    pub(super) resource: String,
    pub(super) verb: String,
}

/// Group, resource, and for each verb what stops without it.
type Row = (
    &'static str,
    &'static str,
    &'static [(&'static str, Behaviour)],
);

const READING: [Row; 3] = [
    (
        "networking.k8s.io",
        "ingresses",
        &[("list", Starts), ("watch", FollowsRoutes)],
    ),
    (
        "",
        "services",
        &[("list", Starts), ("watch", FollowsRoutes)],
    ),
    (
        "discovery.k8s.io",
        "endpointslices",
        &[("list", Starts), ("watch", FollowsRoutes)],
    ),
];

const SECRETS: Row = (
    "",
    "secrets",
    &[("list", Starts), ("watch", FollowsCertificates)],
);

const CLASSES: Row = (
    "networking.k8s.io",
    "ingressclasses",
    &[("list", Starts), ("watch", FollowsClass)],
);

const POLICIES: [Row; 2] = [
    (
        "bywash.dev",
        "gatewaypolicies",
        &[("list", Starts), ("watch", FollowsPolicies)],
    ),
    (
        "",
        "configmaps",
        &[("list", Starts), ("watch", FollowsPages)],
    ),
];

const FACTS: [Row; 2] = [
    ("", "pods", &[("list", ExplainsByPods)]),
    (
        "networking.k8s.io",
        "networkpolicies",
        &[("list", ExplainsByNetworkPolicies)],
    ),
];

const WRITING: [Row; 3] = [
    (
        "networking.k8s.io",
        "ingresses/status",
        &[("patch", PublishesAddresses)],
    ),
    (
        "bywash.dev",
        "gatewaypolicies/status",
        &[("patch", TellsPolicies)],
    ),
    (
        "",
        "events",
        &[
            ("get", RecordsEvents),
            ("create", RecordsEvents),
            ("patch", RecordsEvents),
        ],
    ),
];

/// In its own namespace.
const TOGETHER: [Row; 3] = [
    ("", "configmaps", &[("create", Reports), ("patch", Reports)]),
    ("", "pods", &[("get", Reports)]),
    (
        "coordination.k8s.io",
        "leases",
        &[("get", Leads), ("create", Leads), ("patch", Leads)],
    ),
];

/// In the whole cluster the right to read ConfigMaps holds in its own namespace, too.
const HEARING: Row = (
    "",
    "configmaps",
    &[("list", HearsOthers), ("watch", HearsOthers)],
);

/// In one namespace the published Service is elsewhere.
const PUBLISHED: Row = (
    "",
    "services",
    &[("list", PublishesAddresses), ("watch", FollowsPublished)],
);

/// The rights that are tried by the same test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Part {
    Reading,
    Selecting,
    Policies,
    Facts,
    Writing,
    Together,
}

impl Part {
    pub(super) const ALL: [Self; 6] = [
        Self::Reading,
        Self::Selecting,
        Self::Policies,
        Self::Facts,
        Self::Writing,
        Self::Together,
    ];
}

/// The rights of a part, each with what stops without it.
pub(super) fn of(mode: Mode, part: Part) -> Vec<(Right, Behaviour)> {
    let routes = match mode {
        Mode::Cluster | Mode::ListedSecrets => Place::Everywhere,
        Mode::Namespace => Place::Watched,
    };
    let secrets = match mode {
        Mode::Cluster => Place::Everywhere,
        Mode::ListedSecrets | Mode::Namespace => Place::Watched,
    };
    let at = |place: Place, rows: &[Row]| rows.iter().flat_map(|row| of_row(place, row)).collect();
    let mut rights: Vec<(Right, Behaviour)> = match part {
        Part::Reading => at(routes, &READING),
        Part::Selecting => at(secrets, &[SECRETS]),
        Part::Policies => at(routes, &POLICIES),
        Part::Facts => at(routes, &FACTS),
        Part::Writing => at(routes, &WRITING),
        Part::Together => at(Place::Own, &TOGETHER),
    };
    rights.extend(match (mode, part) {
        (Mode::Cluster | Mode::ListedSecrets, Part::Selecting) => at(routes, &[CLASSES]),
        (Mode::Namespace, Part::Together) => at(Place::Own, &[HEARING]),
        (Mode::Namespace, Part::Writing) => at(Place::Own, &[PUBLISHED]),
        _ => Vec::new(),
    });
    rights
}

fn of_row(place: Place, (group, resource, verbs): &Row) -> Vec<(Right, Behaviour)> {
    let right = |verb: &str| Right {
        place,
        group: (*group).to_owned(),
        resource: (*resource).to_owned(),
        verb: verb.to_owned(),
    };
    let verbs = verbs.iter();
    verbs.map(|(verb, stops)| (right(verb), *stops)).collect()
}
