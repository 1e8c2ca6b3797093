//! What became of each GatewayPolicy: made by translation, told by its status.

use super::ObjectRef;
use crate::routing::snapshot::UpstreamId;

/// What became of one policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyReport {
    /// The policy.
    pub object: ObjectRef,
    /// The generation that was translated.
    pub generation: i64,
    /// The sections that cannot be right.
    pub defects: Vec<Defect>,
    /// What sections name that cannot be found or used: a sentence each, with what follows from it.
    pub unresolved: Vec<String>,
    /// Each of its targets that is not another controller's, then the IngressClass that names it.
    pub targets: Vec<TargetReport>,
    /// Its targets that are another controller's, if any: a sentence each.
    pub foreign: Vec<String>,
    /// The upstreams that it has a part in and that have a circuit breaker, sorted.
    pub limited: Vec<UpstreamId>,
}

impl PolicyReport {
    /// Whether another controller may have it, and this one has not.
    pub fn is_elsewhere(&self) -> bool {
        let mut targets = self.targets.iter();
        !self.foreign.is_empty() && targets.all(TargetReport::is_missing)
    }
}

/// A section that cannot be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defect {
    /// As in the spec.
    pub section: &'static str,
    /// What is wrong and what to do.
    pub why: String,
    /// What follows from it.
    pub instead: Instead,
}

/// What is in force instead of a section that cannot be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instead {
    /// Its last good form.
    LastGood,
    /// What a less specific policy says, or the built-in values.
    LessSpecific,
    /// Nothing is sent to the endpoints: TLS was asked for.
    NothingSent,
    /// Maintenance: it may be meant to be on.
    Maintenance,
    /// A redirect to HTTPS: it may be meant to be on.
    Redirect,
    /// The policy has no effect on its target.
    NoEffect,
}

/// What became of a policy at one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetReport {
    /// The target.
    pub target: PolicyTarget,
    /// Why the policy has no effect on it, if it has none.
    pub rejection: Option<Rejection>,
    /// What is in force for the target.
    pub sections: Vec<SectionReport>,
}

impl TargetReport {
    /// To whom a target that does not exist would belong, nobody knows.
    pub fn is_missing(&self) -> bool {
        matches!(self.rejection, Some(Rejection::NotFound(_)))
    }
}

/// An object that a policy is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyTarget {
    /// The object.
    pub object: ObjectRef,
    /// The host of one rule of an Ingress, as the policy spells it.
    pub section_name: Option<String>,
}

/// Why a policy has no effect on a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// This policy has it already.
    Conflicted(ObjectRef),
    /// There is no such target, or nothing leads there, as the sentence says.
    NotFound(String),
}

/// One section as it is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectionReport {
    /// As in the spec.
    pub name: &'static str,
    /// The policy that says so; absent for the built-in values.
    pub origin: Option<ObjectRef>,
    /// All values, for people.
    pub values: String,
}

impl PolicyTarget {
    /// The group of the target's kind.
    pub fn group(&self) -> &'static str {
        let version = self.object.kind.api_version();
        version.split_once('/').map_or("", |(group, _)| group)
    }
}

impl std::fmt::Display for Rejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Conflicted(winner) => write!(
                f,
                "the {winner} has the same target and goes first, as the older one or by its name"
            ),
            Self::NotFound(why) => f.write_str(why),
        }
    }
}

impl std::fmt::Display for Defect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            section,
            why,
            instead,
        } = self;
        let instead = match instead {
            Instead::LastGood => "its last good form stays in force",
            Instead::LessSpecific => "a less specific policy or the built-in values apply instead",
            Instead::NothingSent => {
                "without TLS nothing is sent: requests for these endpoints are answered 503"
            }
            Instead::Maintenance => {
                "it does not say that maintenance is off: requests are answered 503"
            }
            Instead::Redirect => {
                "it does not say that it is off: plain HTTP is redirected to HTTPS"
            }
            Instead::NoEffect => "it has no effect there",
        };
        write!(f, "{section}: {why}; {instead}")
    }
}
