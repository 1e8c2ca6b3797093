//! Which host presents which certificate.
//!
//! An entry of `spec.tls` applies to the hosts of the Ingress's rules that it lists, or covers with a
//! wildcard, or to all of them if it lists none. A host that it lists without any rule for it gets the
//! certificate too, and serves what it would serve without: usual where a rule is for every host.
//!
//! <https://kubernetes.io/docs/concepts/services-networking/ingress/#tls>

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::report::Code;
use crate::routing::host::HostPattern;
use crate::routing::snapshot::{Certificate, VirtualHost};

use super::HostOwnership;
use super::certificate::Certificates;
use super::findings::Findings;
use super::hosts::{Served, admits};
use super::ingress::{Claims, Tls, TlsHosts};

/// Gives each host its certificate; claims are sorted from the oldest to the youngest. Yields the hosts
/// that are listed without having rules.
pub(super) fn assign<'a>(
    claims: &'a [Claims<'a>],
    ownership: HostOwnership,
    served: &mut Served<'a>,
    certificates: &mut Certificates<'_>,
    findings: &mut Findings,
) -> Vec<(HostPattern, VirtualHost)> {
    let mut work = Work {
        ownership,
        certificates,
        findings,
    };
    let mut without_rules = BTreeMap::new();
    for claim in claims {
        if claim.tls.is_empty() {
            continue;
        }
        work.warn_of_repeated(claim);
        for host in claim.tls_hosts() {
            work.host_with_rules(claim, host, served);
        }
        for (host, entry) in claim.tls_without_rules() {
            work.host_without_rules(claim, (host, entry), served, &mut without_rules);
        }
    }
    let added = without_rules.into_iter().map(|(host, (claim, entry))| {
        let base = served.base(host);
        let mut added = base.map(|(_, host)| host.clone()).unwrap_or_default();
        added.tls = true;
        added.certificate = work.certificate(claim, entry, host);
        (host.clone(), added)
    });
    added.collect()
}

struct Work<'w, 'c> {
    ownership: HostOwnership,
    certificates: &'w mut Certificates<'c>,
    findings: &'w mut Findings,
}

impl Work<'_, '_> {
    fn host_with_rules<'a>(
        &mut self,
        claim: &'a Claims<'a>,
        host: &HostPattern,
        served: &mut Served<'a>,
    ) {
        let (Some(entry), Some(owner)) = (claim.tls_for(host), served.owner(host)) else {
            return;
        };
        if std::ptr::eq(owner, claim) {
            let certificate = self.certificate(claim, entry, host);
            if let Some(host) = served.host_mut(host) {
                host.tls = true;
                host.certificate = certificate;
            }
        } else if admits(self.ownership, owner, claim) {
            self.compare((owner, owner.tls_for(host)), (claim, entry), host);
        }
    }

    fn host_without_rules<'a>(
        &mut self,
        claim: &'a Claims<'a>,
        (host, entry): (&'a HostPattern, &'a Tls<'a>),
        served: &Served<'a>,
        without_rules: &mut BTreeMap<&'a HostPattern, (&'a Claims<'a>, &'a Tls<'a>)>,
    ) {
        if let Some(owner) = served.owner(host) {
            return self.compare((owner, owner.tls_for(host)), (claim, entry), host);
        }
        let base = served.base(host).map(|(owner, _)| *owner);
        if let Some(owner) = base.filter(|owner| !admits(self.ownership, owner, claim)) {
            let message = format!(
                "the host '{host}' belongs to the namespace '{}' by its oldest {}: its certificate is \
                 not taken from here",
                owner.object.namespace, owner.object
            );
            return self
                .findings
                .add(&claim.object, Code::HostConflict, message);
        }
        match without_rules.get(host) {
            None => {
                without_rules.insert(host, (claim, entry));
            }
            Some((first, _)) if std::ptr::eq(*first, claim) => {}
            Some((first, theirs)) => self.compare((first, Some(theirs)), (claim, entry), host),
        }
    }

    /// Tells an Ingress that lists a host twice that the first entry counts.
    fn warn_of_repeated(&mut self, claim: &Claims<'_>) {
        let mut first = BTreeMap::new();
        for entry in &claim.tls {
            let TlsHosts::Listed(hosts) = &entry.hosts else {
                continue;
            };
            for host in hosts {
                let secret = *first.entry(host).or_insert(entry.secret);
                if secret != entry.secret {
                    let message = format!(
                        "the host '{host}' stands in two entries of spec.tls: the first counts"
                    );
                    self.findings
                        .add(&claim.object, Code::CertificateConflict, message);
                }
            }
        }
    }

    /// Tells a claim that a host's certificate is another's, unless it is the same one.
    fn compare(
        &mut self,
        (owner, theirs): (&Claims<'_>, Option<&Tls<'_>>),
        (claim, mine): (&Claims<'_>, &Tls<'_>),
        host: &HostPattern,
    ) {
        let same = owner.object.namespace == claim.object.namespace
            && theirs.is_some_and(|theirs| theirs.secret == mine.secret);
        if same {
            return;
        }
        let none = if theirs.is_none() {
            ", which asks for none"
        } else {
            ""
        };
        let message = format!(
            "the certificate of host '{host}' belongs to its oldest {}{none}",
            owner.object
        );
        self.findings
            .add(&claim.object, Code::CertificateConflict, message);
    }

    /// The certificate of an entry; what is wrong with it is told to the Ingress.
    fn certificate(
        &mut self,
        claim: &Claims<'_>,
        entry: &Tls<'_>,
        host: &HostPattern,
    ) -> Option<Arc<Certificate>> {
        let secret = (&*claim.object.namespace, entry.secret?);
        let loaded = self.certificates.load(secret, host, self.findings);
        let called = format!("{}/{}", secret.0, secret.1);
        if let Some(defect) = loaded.defect {
            let instead = match loaded.certificate {
                Some(_) => "its last good certificate stays in use",
                None => "its hosts get the default certificate",
            };
            let message = match defect.code {
                Code::SecretNotFound | Code::SecretNotRead => {
                    format!("the Secret {called} {}; {instead}", defect.why)
                }
                _ => format!("the Secret {called} is unusable: {}; {instead}", defect.why),
            };
            self.findings.add(&claim.object, defect.code, message);
        }
        let certificate = loaded.certificate?;
        if !loaded.covers {
            let message = format!("the certificate in Secret {called} has no name for '{host}'");
            self.findings
                .add(&claim.object, Code::CertificateName, message);
        }
        Some(certificate)
    }
}

impl<'a> Claims<'a> {
    /// The hosts for which it has rules; without rules it is for every host.
    fn tls_hosts(&'a self) -> BTreeSet<&'a HostPattern> {
        if self.without_rules {
            BTreeSet::from([&HostPattern::Any])
        } else {
            self.hosts()
        }
    }

    /// The entry of `spec.tls` for a host of its rules, the most specific first.
    fn tls_for(&'a self, host: &HostPattern) -> Option<&'a Tls<'a>> {
        let listed = |wanted: &HostPattern| {
            self.tls.iter().find(|entry| match &entry.hosts {
                TlsHosts::OfRules => false,
                TlsHosts::Listed(hosts) => hosts.contains(wanted),
            })
        };
        let of_rules = || {
            let mut entries = self.tls.iter();
            entries.find(|entry| matches!(entry.hosts, TlsHosts::OfRules))
        };
        listed(host)
            .or_else(|| host.covering_wildcard().as_ref().and_then(listed))
            .or_else(of_rules)
    }

    /// Listed hosts that apply to none of its rules, with their entries.
    fn tls_without_rules(&'a self) -> Vec<(&'a HostPattern, &'a Tls<'a>)> {
        let own = self.hosts();
        let covers = |it: &HostPattern| {
            own.iter()
                .any(|own| own.covering_wildcard().as_ref() == Some(it))
        };
        let mut found = Vec::new();
        for entry in &self.tls {
            if let TlsHosts::Listed(hosts) = &entry.hosts {
                let hosts = hosts.iter();
                let without = hosts.filter(|it| !own.contains(it) && !covers(it));
                found.extend(without.map(|host| (host, entry)));
            }
        }
        found
    }
}
