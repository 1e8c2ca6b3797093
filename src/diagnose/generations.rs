//! Whether every replica serves the present generation of a policy.
//!
//! A generation is in force everywhere once every replica that lives has processed the version in
//! which whoever leads first saw it. Replicas are known by what they tell, and, where a Service of theirs is
//! known, by its ready endpoints, before they have told anything.

use std::collections::{BTreeMap, HashMap};

use crate::report::ObjectRef;
use crate::report::policy::PolicyReport;
use crate::report::traffic::ReplicaReport;
use crate::report::version::is_at_least;

use super::replica::STALE;

/// How far a generation of a policy has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// The generation.
    pub generation: i64,
    /// The replicas that do not serve it yet.
    pub behind: Vec<String>,
}

/// When each policy's generation began.
#[derive(Debug, Default)]
pub struct Generations(BTreeMap<ObjectRef, Began>);

/// When a generation began.
#[derive(Debug)]
struct Began {
    generation: i64,
    /// In which version it was first seen.
    version: String,
    /// Whether every replica served it once.
    reached: bool,
}

/// Ready replicas that have not told anything yet.
///
/// One that has just become ready soon does; one that cannot is awaited no longer than a report counts.
#[derive(Debug, Default)]
pub struct Silent(BTreeMap<String, u64>);

impl Silent {
    /// Those that are awaited, of all that are ready and have never been heard.
    pub fn awaited(&mut self, now: u64, unheard: impl IntoIterator<Item = String>) -> Vec<String> {
        let mut before = std::mem::take(&mut self.0);
        for replica in unheard {
            let since = before.remove(&replica).unwrap_or(now);
            self.0.insert(replica, since);
        }
        let awaited = self.0.iter().filter(|(_, since)| now < **since + STALE);
        awaited.map(|(replica, _)| replica.clone()).collect()
    }
}

impl Generations {
    /// Takes what this replica serves.
    pub fn see(&mut self, policies: &[PolicyReport], versions: &HashMap<ObjectRef, String>) {
        let mut before = std::mem::take(&mut self.0);
        for policy in policies {
            let Some(version) = versions.get(&policy.object) else {
                continue;
            };
            let known = before.remove(&policy.object);
            let known = known.filter(|it| it.generation == policy.generation);
            let began = known.unwrap_or_else(|| Began {
                generation: policy.generation,
                version: version.clone(),
                reached: false,
            });
            self.0.insert(policy.object.clone(), began);
        }
    }

    /// Every replica served this generation once, as it was said before this one looked.
    pub fn reached(&mut self, policy: &ObjectRef, generation: i64) {
        if let Some(began) = self.0.get_mut(policy) {
            began.reached |= began.generation == generation;
        }
    }

    /// The newest version in which a generation began.
    pub fn newest(&self) -> &str {
        let versions = self.0.values().map(|it| it.version.as_str());
        newest(versions)
    }

    /// How far each policy has come among these replicas, beside this one. Those of which nothing is known yet
    /// hold up what has not been in force everywhere before.
    pub fn reach<'a>(
        &mut self,
        others: impl IntoIterator<Item = &'a ReplicaReport> + Clone,
        silent: &[String],
    ) -> BTreeMap<ObjectRef, Reach> {
        let behind = |version: &str| -> Vec<String> {
            let others = others.clone().into_iter();
            let behind = others.filter(|it| !is_at_least(&it.policies, version));
            behind.map(|it| it.replica.clone()).collect()
        };
        let all = self.0.iter_mut();
        all.map(|(policy, began)| {
            let mut behind = behind(&began.version);
            if !began.reached {
                behind.extend_from_slice(silent);
            }
            began.reached |= behind.is_empty();
            let reach = Reach {
                generation: began.generation,
                behind,
            };
            (policy.clone(), reach)
        })
        .collect()
    }
}

/// The newest of some versions; empty where there is none.
pub fn newest<'a>(versions: impl Iterator<Item = &'a str>) -> &'a str {
    versions.fold("", |newest, version| match is_at_least(newest, version) {
        true if !newest.is_empty() => newest,
        _ => version,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Kind;

    fn policy(name: &str, generation: i64) -> PolicyReport {
        PolicyReport {
            object: ObjectRef {
                kind: Kind::GatewayPolicy,
                namespace: "shop".into(),
                name: name.into(),
            },
            generation,
            defects: Vec::new(),
            unresolved: Vec::new(),
            targets: Vec::new(),
            foreign: Vec::new(),
            limited: Vec::new(),
        }
    }

    fn reach(generation: i64, behind: &[&str]) -> Reach {
        Reach {
            generation,
            behind: behind.iter().map(|it| (*it).to_owned()).collect(),
        }
    }

    fn replica(name: &str, policies: &str) -> ReplicaReport {
        ReplicaReport {
            replica: name.into(),
            policies: policies.into(),
            ..ReplicaReport::default()
        }
    }

    #[test]
    fn a_generation_is_pending_while_a_replica_has_not_processed_the_version_it_began_with() {
        let mut generations = Generations::default();
        let [first, second] = [policy("a", 1), policy("a", 2)];
        let versions = |version: &str| HashMap::from([(policy("a", 1).object, version.to_owned())]);
        generations.see(std::slice::from_ref(&first), &versions("9"));
        // A status was written: the generation is the same.
        generations.see(&[first], &versions("12"));
        let object = policy("a", 1).object;
        let behind = |generations: &mut Generations, others: &[ReplicaReport]| {
            generations.reach(others, &[]).remove(&object).unwrap()
        };
        assert_eq!(
            behind(&mut generations, &[replica("b", "10")]),
            reach(1, &[])
        );
        generations.see(std::slice::from_ref(&second), &versions("100"));
        let others = [replica("b", "99"), replica("c", "100")];
        assert_eq!(behind(&mut generations, &others), reach(2, &["b"]));
        assert_eq!(generations.newest(), "100");
    }

    #[test]
    fn a_replica_that_serves_no_policy_at_all_is_behind() {
        let mut generations = Generations::default();
        let versions = HashMap::from([(policy("a", 1).object, "9".to_owned())]);
        generations.see(&[policy("a", 1)], &versions);
        let others = [replica("b", "")];
        let reached = generations.reach(&others, &[]);
        assert_eq!(reached[&policy("a", 1).object], reach(1, &["b"]));
    }

    /// One that has seen the first generation of a policy.
    fn begun() -> (Generations, ObjectRef) {
        let mut generations = Generations::default();
        let object = policy("a", 1).object;
        let versions = HashMap::from([(object.clone(), "9".to_owned())]);
        generations.see(&[policy("a", 1)], &versions);
        (generations, object)
    }

    #[test]
    fn a_ready_replica_that_has_told_nothing_yet_is_behind() {
        let (mut generations, object) = begun();
        let silent = ["b".to_owned()];
        assert_eq!(generations.reach([], &silent)[&object], reach(1, &["b"]));
        let b = replica("b", "9");
        assert_eq!(generations.reach([&b], &[])[&object], reach(1, &[]));
    }

    #[test]
    fn a_replica_that_joins_does_not_take_back_what_was_in_force_before_it_told_anything() {
        let (mut generations, object) = begun();
        let silent = ["b".to_owned()];
        generations.reached(&object, 1);
        assert_eq!(generations.reach([], &silent)[&object], reach(1, &[]));
        let b = replica("b", "8");
        assert_eq!(generations.reach([&b], &[])[&object], reach(1, &["b"]));
        let (mut generations, object) = begun();
        generations.reached(&object, 0);
        assert_eq!(generations.reach([], &silent)[&object], reach(1, &["b"]));
    }

    #[test]
    fn a_replica_that_never_tells_anything_is_not_awaited_for_ever() {
        let mut silent = Silent::default();
        let b = || ["b".to_owned()];
        assert_eq!(silent.awaited(100, b()), b());
        assert_eq!(silent.awaited(99 + STALE, b()), b());
        assert!(silent.awaited(100 + STALE, b()).is_empty());
        assert!(silent.awaited(101 + STALE, []).is_empty());
        assert_eq!(
            silent.awaited(102 + STALE, b()),
            b(),
            "it was not ready meanwhile"
        );
    }

    #[test]
    fn the_newest_version_is_the_greatest_number() {
        assert_eq!(newest(["9", "100", "99"].into_iter()), "100");
        assert_eq!(newest(std::iter::empty()), "");
    }
}
