//! Writing statuses into files, for people who run without a cluster.
//!
//! The same wants as in a cluster, without a leader, a bucket or anybody to agree with: whenever the
//! observation changes, the files are made to say what it says.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use tracing::warn;

use super::cluster::Inputs;
use super::policy::{Share, Speaker, Standing};
use super::{Observed, Publish, wanted};
use crate::api::status::GatewayPolicyStatus;
use crate::diagnose::judge::Judged;
use crate::report::ObjectRef;
use crate::stores::Source;
use crate::stores::writer::{StatusFile, StatusFiles};

/// What each policy says, by policy: times change with it only.
type Said = BTreeMap<ObjectRef, GatewayPolicyStatus>;

/// Writes, as this installation, until nobody observes any more; then the files stay as they are.
pub async fn run(
    publish: Publish,
    source: Source,
    (files, installation): (StatusFiles, String),
    mut inputs: Inputs,
) {
    let mut failing = false;
    let mut said = Said::new();
    inputs.observed.mark_changed();
    loop {
        if inputs.changed().await.is_err() {
            return;
        }
        let judged = inputs.judged.borrow_and_update().clone();
        let Some(now) = inputs.observed.borrow_and_update().clone() else {
            continue;
        };
        let judged = judged.unwrap_or_default();
        let find = |namespace: &str, name: &str| source.service(namespace, name);
        let mut statuses = statuses((&now, &judged), wanted::addresses(&publish, find, &[]));
        said = told((&now, &judged), &installation, &said);
        for (policy, status) in &said {
            let file = statuses.entry(Some(policy.clone())).or_default();
            file.policy = Some(status.clone());
        }
        let files = files.clone();
        let written = tokio::task::spawn_blocking(move || files.write(&statuses)).await;
        let error = match written {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        match &error {
            Some(error) if !failing => warn!(%error, "the statuses could not be written"),
            _ => {}
        }
        failing = error.is_some();
    }
}

/// What each policy says now.
fn told((observed, judged): (&Observed, &Judged), installation: &str, before: &Said) -> Said {
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let speaker = Speaker {
        installation,
        now: &now,
        judged,
    };
    let unseen = GatewayPolicyStatus::default();
    let reports = observed.policies.iter();
    reports
        .filter_map(|report| {
            let known = before.get(&report.object);
            let standing = Standing {
                status: known.unwrap_or(&unseen),
                ours: match known.and_then(|known| known.conditions.as_ref()) {
                    Some(_) => Share::Words,
                    None => Share::Nothing,
                },
                is_settled: true,
            };
            let wanted = speaker.wanted(report, standing);
            Some((report.object.clone(), wanted.or_else(|| known.cloned())?))
        })
        .collect()
}

/// What each file says. The key is absent for what is wrong with no object in particular.
fn statuses(
    (observed, judged): (&Observed, &Judged),
    addresses: Option<wanted::Addresses>,
) -> BTreeMap<Option<ObjectRef>, StatusFile> {
    let mut statuses: BTreeMap<Option<ObjectRef>, StatusFile> = BTreeMap::new();
    for ingress in &observed.ingresses {
        let status = statuses.entry(Some(ingress.clone())).or_default();
        status.addresses = Some(addresses.clone().unwrap_or_default());
        let said = judged.said.ingresses.get(ingress).into_iter();
        let verdicts = said.flat_map(|it| &it.verdicts);
        let troubles = verdicts.filter(|it| it.is_trouble());
        status.troubles = troubles.map(|it| (it.reason, it.message.clone())).collect();
    }
    for finding in &observed.findings {
        let status = statuses.entry(finding.object.clone()).or_default();
        status.findings.push(finding.clone());
    }
    statuses
}
