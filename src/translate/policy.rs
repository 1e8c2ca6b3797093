//! Which policy applies: attachment to targets, conflicts, and precedence per section.
//!
//! A policy is attached to what its `targetRefs` name in its own namespace, or to the whole class by
//! the IngressClass that names it; nothing else crosses namespaces. For a route there are at most four
//! policies, one of each [`Level`], and each section is taken as a whole from the first that has it.
//! Routes with the same policies share the resolved one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use foldhash::fast::FixedState;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::policy::{GatewayPolicy, TargetRef};
use crate::report::policy::{PolicyReport, PolicyTarget, Rejection, SectionReport, TargetReport};
use crate::report::{Code, Kind, ObjectRef};
use crate::routing::host::HostPattern;
use crate::routing::policy::{ErrorPages, Policy};

use super::findings::Findings;
use super::ingress::Claims;
use super::names;
use super::pages::{KnownPages, Pages};
use super::{ClassSource, Objects, Origin, Settings};

mod attach;
mod attached;
mod contradictions;
mod effective;
mod limits;
mod look_up;
mod section_values;
mod sections;
mod standing_in;

use attach::Targets;
use attached::Attached;
use contradictions::contradiction;
pub use effective::effective;
pub(super) use look_up::Unresolved;
pub(super) use sections::{FallbackReference, Resolved, Sections, TlsReference, UPSTREAM_TLS};

/// How specific a policy is for a route; the order is the precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    /// It targets the backend's Service.
    Service,
    /// It targets the host of the rule.
    Host,
    /// It targets the Ingress.
    Ingress,
    /// The class names it.
    Class,
}

/// The policies of a route, by their places in the list; the order is the precedence.
type Chosen = BTreeMap<Level, usize>;

/// What a policy can be attached to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Attachment {
    Object(ObjectRef),
    Host(ObjectRef, HostPattern),
}

/// All policies, attached.
pub(super) struct Policies<'a> {
    /// From the oldest to the youngest.
    all: Vec<Attached>,
    by_target: BTreeMap<Attachment, usize>,
    /// The defaults of the class.
    class: Option<usize>,
    builtin: &'a Arc<Policy>,
    pages: Pages<'a>,
    resolved: HashMap<Vec<usize>, Resolved, FixedState>,
    /// What a policy says that another, for the same route, leaves no room for.
    contradictions: BTreeSet<(ObjectRef, String)>,
}

/// What a policy says, by policy: what a section that is wrong falls back to. One that was created anew is
/// another.
pub(super) type KnownSections = BTreeMap<(ObjectRef, Option<String>), Sections>;

impl<'a> Policies<'a> {
    /// Reads all policies and attaches them.
    pub(super) fn read(
        (objects, claims): (&Objects, &[Claims<'_>]),
        (settings, parameters): (&'a Settings, Option<&(String, String)>),
        (last, pages): (&KnownSections, Pages<'a>),
        findings: &mut Findings,
    ) -> Self {
        let mut policies = Self {
            all: Vec::new(),
            by_target: BTreeMap::new(),
            class: None,
            builtin: &settings.policy,
            pages,
            resolved: HashMap::default(),
            contradictions: BTreeSet::new(),
        };
        let defaults = parameters.map(|(namespace, name)| (namespace.as_str(), name.as_str()));
        let mut sorted: Vec<&GatewayPolicy> = objects.policies.iter().map(|it| &**it).collect();
        sorted.sort_by(|a, b| age(a, settings.origin).cmp(&age(b, settings.origin)));
        let read = sorted.iter().map(|policy| Attached::read(policy, last));
        let read: Vec<Attached> = read.collect();
        let stand_ins = sorted.iter().zip(&read).filter_map(|(policy, it)| {
            let stand_in = it.sections.stand_in()?;
            Some((*policy, stand_in.clone()))
        });
        let stand_ins: Vec<_> = stand_ins.collect();
        let targets = Targets::new(objects, claims, defaults, &stand_ins);
        for (policy, mut attached) in sorted.iter().zip(read) {
            for target in policy.spec.target_refs.iter().flatten() {
                policies.attach(&mut attached, &targets, target);
            }
            policies.all.push(attached);
        }
        if let Some(parameters) = parameters {
            policies.name_by_class(settings, parameters, findings);
        }
        policies.tell(findings);
        policies
    }

    /// The policy of a route.
    pub(super) fn resolve(
        &mut self,
        ingress: &ObjectRef,
        host: &HostPattern,
        service: Option<&str>,
    ) -> Resolved {
        if self.by_target.is_empty() && self.class.is_none() {
            return Sections::resolve(&[], self.builtin);
        }
        let chosen = self.chosen(ingress, host, service);
        self.of(chosen.into_values().collect())
    }

    /// These policies, by their places in the list; routes with the same ones share what it yields.
    fn of(&mut self, key: Vec<usize>) -> Resolved {
        if let Some(known) = self.resolved.get(&key) {
            return known.clone();
        }
        let resolved = self.join(&key);
        self.resolved.insert(key, resolved.clone());
        resolved
    }

    /// What these policies say together.
    fn join(&mut self, policies: &[usize]) -> Resolved {
        let policies: Vec<&Attached> = policies.iter().map(|it| &self.all[*it]).collect();
        let sections: Vec<&Sections> = policies.iter().map(|it| &it.sections).collect();
        let mut resolved = Sections::resolve(&sections, self.builtin);
        if !policies.is_empty() {
            let name =
                |it: &&Attached| format!("{}/{}", it.object.namespace, it.object.name).into();
            Arc::make_mut(&mut resolved.policy).origin = policies.iter().map(name).collect();
        }
        let contradicts = contradiction(&policies, &resolved.policy);
        self.contradictions.extend(contradicts);
        let mut about_tls = policies.iter();
        let about_tls = about_tls.find(|it| it.sections.has_tls() || it.is_wrong_about_tls());
        resolved.tls_is_wrong = about_tls.is_some_and(|it| it.is_wrong_about_tls());
        let pages = resolved.pages.iter().map(|it| ErrorPages {
            statuses: it.statuses.clone(),
            source: it.source,
            pages: it
                .config_map
                .as_ref()
                .and_then(|(namespace, name)| self.pages.load((namespace, name))),
        });
        let pages: Vec<ErrorPages> = pages.collect();
        if !pages.is_empty() {
            Arc::make_mut(&mut resolved.policy).error_pages = pages;
        }
        resolved
    }

    /// The policy of a Service.
    fn own(&self, namespace: &str, name: &str) -> Option<usize> {
        let service = names::reference(Kind::Service, (namespace, name));
        self.by_target.get(&Attachment::Object(service)).copied()
    }

    /// What became of each policy, sorted; and what each says, for the next translation.
    pub(super) fn finish(
        self,
        findings: &mut Findings,
    ) -> (Vec<PolicyReport>, KnownSections, KnownPages) {
        for (object, message) in &self.contradictions {
            findings.add(object, Code::PolicyContradiction, message.clone());
        }
        let mut reports: Vec<PolicyReport> = self.all.iter().map(|it| self.report(it)).collect();
        reports.sort_by(|a, b| a.object.cmp(&b.object));
        let known = self.all.into_iter();
        let known = known.map(|it| {
            let sections = it.sections.known(&it.defects);
            ((it.object, it.uid), sections)
        });
        (reports, known.collect(), self.pages.finish())
    }

    fn attach(&mut self, policy: &mut Attached, targets: &Targets, reference: &TargetRef) {
        let (target, found) = match targets.find(&policy.object.namespace, reference) {
            attach::Found::Ours(target, attachment) => (target, Ok(attachment)),
            attach::Found::Nothing(target, why) => (target, Err(Rejection::NotFound(why))),
            attach::Found::Foreign(why) => {
                policy.foreign.push(why);
                return;
            }
            attach::Found::Senseless => return,
        };
        let here = self.all.len();
        let result = found.and_then(|attachment| {
            let first = *self.by_target.entry(attachment.clone()).or_insert(here);
            match self.all.get(first) {
                Some(winner) => Err(Rejection::Conflicted(winner.object.clone())),
                None => Ok(attachment),
            }
        });
        if !policy.targets.iter().any(|(known, _)| *known == target) {
            policy.targets.push((target, result));
        }
    }

    /// Makes the policy that the class names its defaults.
    fn name_by_class(
        &mut self,
        settings: &Settings,
        (namespace, name): &(String, String),
        findings: &mut Findings,
    ) {
        let wanted = names::reference(Kind::GatewayPolicy, (namespace, name));
        let class = names::reference(Kind::IngressClass, ("", &settings.ingress_class));
        self.class = self.all.iter().position(|it| it.object == wanted);
        match self.class {
            Some(index) => {
                let target = PolicyTarget {
                    object: class.clone(),
                    section_name: None,
                };
                let attachment = Attachment::Object(class);
                self.all[index].targets.push((target, Ok(attachment)));
            }
            None => {
                let (about, named_by) = match settings.class {
                    ClassSource::Object => (&class, "spec.parameters"),
                    ClassSource::Operator { .. } => (&wanted, "--class-policy"),
                };
                let message = format!(
                    "{named_by} names the {wanted}, which does not exist: create it, or the \
                     built-in values apply"
                );
                findings.add(about, Code::ParametersNotFound, message);
            }
        }
    }

    fn chosen(&self, ingress: &ObjectRef, host: &HostPattern, service: Option<&str>) -> Chosen {
        let service =
            service.map(|name| names::reference(Kind::Service, (&ingress.namespace, name)));
        let find = |attachment| self.by_target.get(&attachment).copied();
        let levels = [
            (
                Level::Service,
                service.and_then(|it| find(Attachment::Object(it))),
            ),
            (
                Level::Host,
                find(Attachment::Host(ingress.clone(), host.clone())),
            ),
            (Level::Ingress, find(Attachment::Object(ingress.clone()))),
            (Level::Class, self.class),
        ];
        let levels = levels.into_iter();
        levels
            .filter_map(|(level, index)| index.map(|index| (level, index)))
            .collect()
    }

    fn report(&self, policy: &Attached) -> PolicyReport {
        let targets = policy.targets.iter().map(|(target, result)| TargetReport {
            target: target.clone(),
            rejection: result.as_ref().err().cloned(),
            sections: result
                .as_ref()
                .map_or_else(|_| Vec::new(), |it| self.in_force(it)),
        });
        PolicyReport {
            object: policy.object.clone(),
            generation: policy.generation,
            defects: policy.defects.clone(),
            unresolved: policy.unresolved.clone(),
            targets: targets.collect(),
            foreign: policy.foreign.clone(),
            limited: policy.limited.iter().cloned().collect(),
        }
    }

    /// What is in force for a target. What a Service's own policies leave open differs by the route
    /// that leads to it.
    fn in_force(&self, attachment: &Attachment) -> Vec<SectionReport> {
        let find = |attachment: &Attachment| self.by_target.get(attachment).copied();
        let chosen = match attachment {
            Attachment::Object(object) if object.kind == Kind::Service => {
                vec![find(attachment)]
            }
            Attachment::Object(object) if object.kind == Kind::IngressClass => vec![self.class],
            Attachment::Object(_) => vec![find(attachment), self.class],
            Attachment::Host(ingress, _) => {
                let whole = find(&Attachment::Object(ingress.clone()));
                vec![find(attachment), whole, self.class]
            }
        };
        let chosen = chosen.into_iter().flatten();
        let candidates: Vec<(&ObjectRef, &Sections)> = chosen
            .map(|it| (&self.all[it].object, &self.all[it].sections))
            .collect();
        let mut reports = Sections::in_force(&candidates, self.builtin);
        if matches!(attachment, Attachment::Object(it) if it.kind == Kind::Service) {
            reports.retain(|section| section.origin.is_some());
        }
        reports
    }

    fn tell(&self, findings: &mut Findings) {
        for policy in &self.all {
            let object = &policy.object;
            for defect in &policy.defects {
                findings.add(object, Code::InvalidPolicy, defect.to_string());
            }
            for sentence in &policy.unknown {
                findings.add(object, Code::UnknownField, format!("spec.{sentence}"));
            }
            for (_, result) in &policy.targets {
                match result {
                    Err(rejection @ Rejection::Conflicted(_)) => {
                        findings.add(object, Code::PolicyConflict, rejection.to_string());
                    }
                    Err(rejection @ Rejection::NotFound(_)) => {
                        findings.add(object, Code::PolicyTargetNotFound, rejection.to_string());
                    }
                    Ok(_) => {}
                }
            }
            if policy.targets.is_empty() && policy.foreign.is_empty() && policy.defects.is_empty() {
                let message = "it has no targetRefs and no IngressClass names it: it has no effect";
                findings.add(object, Code::PolicyWithoutTarget, message.to_owned());
            }
        }
    }
}

/// Older is less; at the same age the name decides.
fn age(policy: &GatewayPolicy, origin: Origin) -> (bool, Option<&Time>, (&str, &str)) {
    let created = match origin {
        Origin::Cluster => policy.metadata.creation_timestamp.as_ref(),
        Origin::Directory => None,
    };
    (created.is_none(), created, names::key(policy))
}

#[cfg(test)]
mod properties;
