//! Whether every replica serves the present generation of a policy.
//!
//! A generation is in force everywhere once every replica that lives has processed the version in
//! which whoever leads first saw it.

use std::collections::{BTreeMap, HashMap};

use crate::report::ObjectRef;
use crate::report::policy::PolicyReport;
use crate::report::traffic::ReplicaReport;
use crate::report::version::is_at_least;

/// When each policy's generation began.
#[derive(Debug, Default)]
pub struct Generations(BTreeMap<ObjectRef, (i64, String)>);

impl Generations {
    /// Takes what this replica serves.
    pub fn see(&mut self, policies: &[PolicyReport], versions: &HashMap<ObjectRef, String>) {
        let mut before = std::mem::take(&mut self.0);
        for policy in policies {
            let Some(version) = versions.get(&policy.object) else {
                continue;
            };
            let known = before.remove(&policy.object);
            let known = known.filter(|(generation, _)| *generation == policy.generation);
            let began = known.unwrap_or_else(|| (policy.generation, version.clone()));
            self.0.insert(policy.object.clone(), began);
        }
    }

    /// The newest version in which a generation began.
    pub fn newest(&self) -> &str {
        let versions = self.0.values().map(|(_, version)| version.as_str());
        newest(versions)
    }

    /// The replicas that have not processed the generation of a policy yet, by policy.
    pub fn pending<'a>(
        &self,
        others: impl IntoIterator<Item = &'a ReplicaReport> + Clone,
    ) -> BTreeMap<ObjectRef, Vec<String>> {
        let behind = |version: &str| -> Vec<String> {
            let others = others.clone().into_iter();
            let behind = others.filter(|it| !is_at_least(&it.policies, version));
            behind.map(|it| it.replica.clone()).collect()
        };
        let all = self.0.iter();
        all.map(|(policy, (_, version))| (policy.clone(), behind(version)))
            .filter(|(_, behind)| !behind.is_empty())
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
        assert!(generations.pending(&[replica("b", "10")]).is_empty());
        generations.see(std::slice::from_ref(&second), &versions("100"));
        let others = [replica("b", "99"), replica("c", "100")];
        let pending = BTreeMap::from([(second.object, vec!["b".to_owned()])]);
        assert_eq!(generations.pending(&others), pending);
        assert_eq!(generations.newest(), "100");
    }

    #[test]
    fn a_replica_that_serves_no_policy_at_all_is_behind() {
        let mut generations = Generations::default();
        let versions = HashMap::from([(policy("a", 1).object, "9".to_owned())]);
        generations.see(&[policy("a", 1)], &versions);
        assert_eq!(generations.pending(&[replica("b", "")]).len(), 1);
    }

    #[test]
    fn the_newest_version_is_the_greatest_number() {
        assert_eq!(newest(["9", "100", "99"].into_iter()), "100");
        assert_eq!(newest(std::iter::empty()), "");
    }
}
