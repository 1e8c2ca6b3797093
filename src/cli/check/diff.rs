//! What manifests would change for clients: the snapshot before, the snapshot after, and the difference.
//!
//! A directory is replaced by the files; over a cluster they are applied, so that what they do not hold
//! stays.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;

use crate::stores::View;
use crate::stores::directory::once::Reading;
use crate::translate::{LastGood, Objects, Origin, Settings, translate};

use super::before::Before;
use super::compare::{Change, Comparison, PortNames};
use super::destination::Services;
use super::files::{Surroundings, joined};
use super::references::{self, Known, Reference};

/// What changes, in the order of hosts.
pub(super) fn changes(
    before: &Before,
    reading: &Reading,
    around: &Surroundings,
    settings: &Settings,
) -> Vec<Change> {
    let mut names = PortNames::new();
    let (one, other, settings) = match before {
        Before::Cluster { view, .. } => {
            let settings = Settings {
                origin: Origin::Cluster,
                ..settings.clone()
            };
            let applied = joined(&aged(&reading.view, view), view);
            (joined(view, &View::default()), applied, settings)
        }
        Before::Directory(earlier) => {
            let one = completed((earlier, reading), around, &mut names);
            let other = completed((reading, earlier), around, &mut names);
            (one, other, settings.clone())
        }
    };
    let [before, after] =
        [&one, &other].map(|objects| translate(objects, &settings, &LastGood::default()).snapshot);
    let comparison = Comparison {
        before: &before,
        after: &after,
        services: (Services::of(&one), Services::of(&other)),
        names: &names,
    };
    comparison.changes()
}

/// The objects of one side, with Services that only the other side has, or nobody.
fn completed(
    (reading, other): (&Reading, &Reading),
    around: &Surroundings,
    names: &mut PortNames,
) -> Objects {
    let mut objects = joined(&reading.view, &around.known.view);
    if around.complete {
        return objects;
    }
    let here = reading.written.iter().chain(&around.known.written);
    let known = Known::new(here.map(|it| &it.key));
    let references: Vec<Reference> = reading.written.iter().flat_map(references::of).collect();
    let there = other.view.services.iter();
    let there: HashMap<_, _> = there.map(|it| (key(&it.metadata), it)).collect();
    for stand_in in references::stand_ins(references.iter(), &known) {
        match there.get(&key(&stand_in.metadata)) {
            Some(service) => objects.services.push(Arc::clone(service)),
            None => {
                references::name_ports(&stand_in, names);
                objects.services.push(stand_in);
            }
        }
    }
    objects
}

/// The objects of the files as they would be once applied: as old as those that they replace.
fn aged(files: &View, cluster: &View) -> View {
    View {
        ingresses: with_ages(&files.ingresses, &cluster.ingresses),
        policies: with_ages(&files.policies, &cluster.policies),
        classes: with_ages(&files.classes, &cluster.classes),
        ..files.clone()
    }
}

fn with_ages<K: Resource + Clone>(files: &[Arc<K>], cluster: &[Arc<K>]) -> Vec<Arc<K>> {
    let there = cluster.iter();
    let there: HashMap<_, _> = there.map(|it| (key(it.meta()), it.meta())).collect();
    let files = files.iter().map(|object| {
        let same = there.get(&key(object.meta()));
        let mut object = K::clone(object);
        object.meta_mut().creation_timestamp =
            same.and_then(|meta| meta.creation_timestamp.clone());
        Arc::new(object)
    });
    files.collect()
}

fn key(meta: &ObjectMeta) -> (Option<&str>, Option<&str>) {
    (meta.namespace.as_deref(), meta.name.as_deref())
}
