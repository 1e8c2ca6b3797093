//! Manifests are checked: what translation says of them, what an API server would, and what they name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::Resource;

use crate::api::validation::Rulebook;
use crate::cli::Failure;
use crate::config::Scope;
use crate::report::policy::PolicyReport;
use crate::report::{Code, Finding, Kind, ObjectRef};
use crate::stores::View;
use crate::stores::directory::once::{self, Reading, Text, Written};
use crate::translate::{ClassSource, LastGood, Objects, Settings, Translation, translate};

use super::problem::{Checked, Level, Looked, Problem};
use super::references::{self, Known, Reference};
use super::refused::Refused;

/// Which objects there are besides those that are checked.
pub(super) struct Surroundings {
    /// They exist, and nothing is said about them.
    pub(super) known: Reading,
    /// Nothing else exists.
    pub(super) complete: bool,
}

/// About what does not exist; taken to exist, it is said in another way.
const ABSENT: [Code; 5] = [
    Code::SecretNotFound,
    Code::CaNotFound,
    Code::PagesNotFound,
    Code::ParametersNotFound,
    Code::PolicyTargetNotFound,
];

/// Checks what was read.
pub(super) fn check(
    reading: &Reading,
    around: &Surroundings,
    settings: &Settings,
) -> Result<Checked, Failure> {
    let rulebook = Rulebook::new().map_err(|error| Failure::failed(&error))?;
    let written: Vec<(&Written, Vec<Reference>)> = reading
        .written
        .iter()
        .map(|it| (it, references::of(it)))
        .collect();
    let here = reading.written.iter().chain(&around.known.written);
    let known = Known::new(here.map(|it| &it.key));
    let mut objects = joined(&reading.view, &around.known.view);
    if !around.complete {
        let references = written.iter().flat_map(|(_, references)| references);
        objects
            .services
            .extend(references::stand_ins(references, &known));
    }
    let translation = translate(&objects, settings, &LastGood::default());
    let check = Check {
        reading,
        known,
        ours: translation.ingresses.iter().collect(),
        complete: around.complete,
        class_policy: class_policy(settings),
        one_namespace: matches!(settings.class, ClassSource::Operator { .. }),
    };
    let refused = Refused::new(reading, &rulebook);
    let mut problems = check.of_translation(&translation, &refused);
    problems.extend(refused.problems());
    let mut assumed = BTreeSet::new();
    if !around.complete {
        problems.extend(check.absent(&written, &mut assumed));
    }
    Ok(check.finish(problems, assumed))
}

/// Reads manifests; where one namespace is all that the controller reads, the rest is not there for it.
pub(super) fn read(texts: &[Text], namespace: Option<&str>, scope: &Scope) -> Reading {
    fn confine<K: Resource>(objects: &mut Vec<Arc<K>>, namespace: &str) {
        objects.retain(|it| it.meta().namespace.as_deref() == Some(namespace));
    }
    let mut reading = once::read(texts, namespace);
    if let Some(namespace) = scope.namespace() {
        let view = &mut reading.view;
        view.classes.clear();
        confine(&mut view.ingresses, namespace);
        confine(&mut view.services, namespace);
        confine(&mut view.slices, namespace);
        confine(&mut view.secrets, namespace);
        confine(&mut view.config_maps, namespace);
        confine(&mut view.policies, namespace);
    }
    reading
}

/// The policy that `--class-policy` names.
fn class_policy(settings: &Settings) -> Option<ObjectRef> {
    let ClassSource::Operator { policy, .. } = &settings.class else {
        return None;
    };
    let (namespace, name) = policy.as_ref()?;
    Some(ObjectRef {
        kind: Kind::GatewayPolicy,
        namespace: namespace.as_str().into(),
        name: name.as_str().into(),
    })
}

/// Those that are checked go before those around them.
pub(super) fn joined(view: &View, around: &View) -> Objects {
    fn join<K: Resource>(one: &[Arc<K>], other: &[Arc<K>]) -> Vec<Arc<K>> {
        let key = |it: &Arc<K>| (it.meta().namespace.clone(), it.meta().name.clone());
        let known: BTreeSet<_> = one.iter().map(key).collect();
        let others = other.iter().filter(|it| !known.contains(&key(it)));
        one.iter().chain(others).cloned().collect()
    }
    Objects {
        ingresses: join(&view.ingresses, &around.ingresses),
        classes: join(&view.classes, &around.classes),
        services: join(&view.services, &around.services),
        slices: join(&view.slices, &around.slices),
        secrets: join(&view.secrets, &around.secrets),
        config_maps: join(&view.config_maps, &around.config_maps),
        policies: join(&view.policies, &around.policies),
        unreadable: BTreeMap::new(),
    }
}

struct Check<'a> {
    reading: &'a Reading,
    known: Known<'a>,
    /// The Ingresses of the class.
    ours: BTreeSet<&'a ObjectRef>,
    complete: bool,
    /// Named by a flag.
    class_policy: Option<ObjectRef>,
    /// Whether one namespace is all that is read.
    one_namespace: bool,
}

impl<'a> Check<'a> {
    /// What reading and translation found, but for what is said better elsewhere.
    fn of_translation(&self, translation: &Translation, refused: &Refused<'_>) -> Vec<Problem> {
        let positions = &self.reading.view.positions;
        let said = refused.said_of_policies(&translation.policies);
        let read = self.reading.view.findings.iter().cloned();
        let read = read.filter(|finding| !refused.says_read(finding));
        let made = translation
            .findings
            .iter()
            .cloned()
            .filter_map(|mut finding| {
                let object = finding.object.as_ref()?;
                let is_named = self.class_policy.as_ref() == Some(object);
                finding.position = match positions.get(object) {
                    None if is_named => None,
                    position => Some(position?.clone()),
                };
                let absent = !self.complete && self.is_absent(&finding, &translation.policies);
                let twice =
                    said.contains(&(object, finding.message.clone())) || refused.says(&finding);
                (!absent && !twice).then_some(finding)
            });
        read.chain(made).map(Problem::from).collect()
    }

    /// Whether a finding says that something does not exist which may just be elsewhere.
    fn is_absent(&self, finding: &Finding, policies: &[PolicyReport]) -> bool {
        if finding.code != Code::PolicyTargetNotFound {
            return ABSENT.contains(&finding.code);
        }
        let policy = policies
            .iter()
            .find(|it| Some(&it.object) == finding.object.as_ref());
        let mut targets = policy.into_iter().flat_map(|it| &it.targets);
        targets.any(|target| {
            let said = target.rejection.as_ref().map(ToString::to_string);
            said.as_ref() == Some(&finding.message) && !self.known.has(&target.target.object)
        })
    }

    /// What objects name that is not among the files.
    fn absent(
        &self,
        written: &[(&Written, Vec<Reference>)],
        assumed: &mut BTreeSet<ObjectRef>,
    ) -> Vec<Problem> {
        let mut problems = Vec::new();
        let named = self.class_policy.iter().filter(|it| !self.known.has(it));
        assumed.extend(named.cloned());
        for (written, references) in written {
            let is_ours = match written.key.kind {
                Kind::Ingress => self.ours.contains(&written.key),
                Kind::IngressClass => !self.one_namespace,
                _ => true,
            };
            for reference in references.iter().filter(|_| is_ours) {
                let object = &reference.object;
                if self.known.has(object) {
                    continue;
                }
                let code = code_of(&written.key, reference);
                let (level, message) = match self.known.likely(object) {
                    Some(alike) => (
                        Level::Warning,
                        format!("the {object} is not among the files; is {alike} meant?"),
                    ),
                    None => (
                        Level::Note,
                        format!(
                            "the {object} is not among the files: it must exist in the cluster"
                        ),
                    ),
                };
                assumed.insert(object.clone());
                let at = &reference.pointer;
                problems.push(Problem::at(written, at, (level, code), message));
            }
        }
        problems
    }

    fn finish(&self, mut problems: Vec<Problem>, assumed: BTreeSet<ObjectRef>) -> Checked {
        let written = &self.reading.written;
        let sources: BTreeMap<&ObjectRef, &String> = written
            .iter()
            .filter_map(|it| Some((&it.key, it.source.as_ref()?)))
            .collect();
        for problem in &mut problems {
            let object = problem.object.as_ref();
            problem.source = object
                .and_then(|it| sources.get(it))
                .map(|it| (*it).clone());
        }
        problems.sort();
        problems.dedup();
        let looked = written.iter().map(|it| Looked {
            position: it.position.clone(),
            object: it.key.clone(),
        });
        let mut looked: Vec<Looked> = looked.collect();
        looked.sort();
        let of = |kind: Kind| written.iter().filter(move |it| it.key.kind == kind);
        let ours = of(Kind::Ingress)
            .filter(|it| self.ours.contains(&it.key))
            .count();
        Checked {
            problems,
            assumed: assumed.into_iter().collect(),
            looked,
            files: 0,
            ingresses: ours,
            elsewhere: of(Kind::Ingress).count() - ours,
            one_namespace: self.one_namespace,
            policies: of(Kind::GatewayPolicy).count(),
            passed_over: self.reading.passed_over.len(),
            difference: None,
        }
    }
}

/// What it is called when what an object names does not exist.
fn code_of(by: &ObjectRef, reference: &Reference) -> Code {
    match (by.kind, reference.object.kind) {
        (Kind::GatewayPolicy, Kind::Ingress) => Code::PolicyTargetNotFound,
        (_, Kind::Service) => Code::ServiceNotFound,
        (_, Kind::Secret) => Code::SecretNotFound,
        (_, Kind::GatewayPolicy) => Code::ParametersNotFound,
        (_, Kind::ConfigMap) if reference.pointer.contains("/caConfigMap/") => Code::CaNotFound,
        (_, Kind::ConfigMap) => Code::PagesNotFound,
        (_, Kind::Ingress | Kind::IngressClass | Kind::EndpointSlice) => Code::InvalidObject,
    }
}
