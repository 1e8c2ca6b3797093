//! Certificates from Secrets.
//!
//! Parsing a key costs more than everything else of a translation together, and certificates hardly
//! ever change: what was parsed is kept from one translation to the next, by the Secret's contents.
//! A Secret that becomes unusable keeps the last certificate that was usable, for as long as it is the
//! same Secret and exists. Messages never quote what a Secret holds.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use foldhash::fast::FixedState;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use rustls::client::verify_server_name;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::report::{Code, Kind, ObjectRef, Unreadable};
use crate::routing::host::HostPattern;
use crate::routing::snapshot::{Certificate, SecretName};

use super::findings::Findings;
use super::names::{self, Key};
use super::{Objects, Origin, Settings};

const TLS: &str = "kubernetes.io/tls";
const RECREATE: &str = "delete it and create it again with 'kubectl create secret tls'";

/// What became of each Secret that was asked for.
pub(super) type Parsed = HashMap<ObjectRef, Outcome, FixedState>;

/// What became of one Secret.
#[derive(Clone)]
pub(super) struct Outcome {
    /// The form that was parsed.
    secret: Arc<Secret>,
    /// The last usable certificate, of this form or an earlier one.
    certificate: Option<Arc<Certificate>>,
    /// When that expires, in seconds since 1970.
    not_after: Option<i64>,
    /// Why this form is unusable, if it is.
    defect: Option<Defect>,
    /// Whether the certificate has a name for a host, as far as that was asked.
    covers: BTreeMap<HostPattern, bool>,
}

/// Why a Secret is unusable.
#[derive(Clone)]
pub(super) struct Defect {
    pub(super) code: Code,
    /// A clause about the Secret.
    pub(super) why: String,
}

/// What a Secret yields.
pub(super) struct Loaded {
    pub(super) certificate: Option<Arc<Certificate>>,
    pub(super) defect: Option<Defect>,
    /// Whether the certificate has a name for the host.
    pub(super) covers: bool,
}

/// The Secrets, parsed when asked for.
pub(super) struct Certificates<'a> {
    secrets: HashMap<Key<'a>, &'a Arc<Secret>, FixedState>,
    unreadable: &'a Unreadable,
    settings: &'a Settings,
    last: &'a Parsed,
    now: Parsed,
}

impl<'a> Certificates<'a> {
    /// Indexes the Secrets.
    pub(super) fn new(objects: &'a Objects, settings: &'a Settings, last: &'a Parsed) -> Self {
        let secrets = objects.secrets.iter();
        Self {
            secrets: secrets.map(|it| (names::key(&**it), it)).collect(),
            unreadable: &objects.unreadable,
            settings,
            last,
            now: Parsed::default(),
        }
    }

    /// The certificate of a Secret for a host; what is wrong with the Secret itself is told to it.
    pub(super) fn load(
        &mut self,
        key: Key<'_>,
        host: &HostPattern,
        findings: &mut Findings,
    ) -> Loaded {
        let object = names::reference(Kind::Secret, key);
        let Some(secret) = self.secrets.get(&key).copied() else {
            return self.absent(&object);
        };
        let last = self.last.get(&object);
        let outcome = self.now.entry(object);
        let outcome = outcome.or_insert_with_key(|object| {
            let outcome = Outcome::of(secret, last);
            outcome.report(object, findings);
            outcome
        });
        Loaded {
            covers: outcome.covers(host, last),
            certificate: outcome.certificate.clone(),
            defect: outcome.defect.clone(),
        }
    }

    /// The certificate that is presented where no host's own applies.
    pub(super) fn default_certificate(
        &mut self,
        (namespace, name): &(String, String),
        findings: &mut Findings,
    ) -> Option<Arc<Certificate>> {
        let loaded = self.load((namespace, name), &HostPattern::Any, findings);
        if let Some(Defect {
            code: code @ (Code::SecretNotFound | Code::SecretNotRead),
            why,
        }) = &loaded.defect
        {
            let object = names::reference(Kind::Secret, (namespace, name));
            let message = format!("the default certificate is a self-made one: the Secret {why}");
            findings.add(&object, *code, message);
        }
        loaded.certificate
    }

    /// When the certificates that were asked for expire.
    pub(super) fn expiries(&self) -> BTreeMap<SecretName, i64> {
        let told = |(object, outcome): (&ObjectRef, &Outcome)| {
            let secret = SecretName {
                namespace: Arc::clone(&object.namespace),
                name: Arc::clone(&object.name),
            };
            Some((secret, outcome.not_after?))
        };
        self.now.iter().filter_map(told).collect()
    }

    /// What the next translation starts from: Secrets that exist, also those not asked for now.
    pub(super) fn finish(mut self) -> Parsed {
        for (object, outcome) in self.last {
            let key = (&*object.namespace, &*object.name);
            if self.secrets.contains_key(&key) {
                let entry = self.now.entry(object.clone());
                entry.or_insert_with(|| outcome.clone());
            }
        }
        self.now
    }

    fn absent(&self, object: &ObjectRef) -> Loaded {
        let listed = self.settings.secret_namespaces.as_ref();
        let (code, why) = if listed.is_some_and(|it| !it.contains(&*object.namespace)) {
            (Code::SecretNotRead, unread(&object.namespace))
        } else if self.unreadable.contains_key(object) {
            (Code::SecretNotFound, "could not be read".to_owned())
        } else if self.settings.origin == Origin::Cluster {
            let why = format!("does not exist, or is not of type {TLS} (then {RECREATE})");
            (Code::SecretNotFound, why)
        } else {
            (Code::SecretNotFound, "does not exist".to_owned())
        };
        Loaded {
            certificate: None,
            defect: Some(Defect { code, why }),
            covers: true,
        }
    }
}

impl Outcome {
    /// Reads a Secret, unless the form that was read before has the same contents.
    fn of(secret: &Arc<Secret>, last: Option<&Self>) -> Self {
        let uid = |secret: &Secret| secret.metadata.uid.clone();
        let last = last.filter(|it| uid(&it.secret) == uid(secret));
        let known = last.filter(|it| same_contents(&it.secret, secret));
        let carried = known
            .or(last)
            .map(|it| (it.certificate.clone(), it.not_after));
        let (certificate, not_after) = carried.unwrap_or_default();
        let (certificate, not_after, defect) = match known {
            Some(known) => (certificate, not_after, known.defect.clone()),
            None => match read(secret) {
                Ok(new) => {
                    let not_after = expiry(&new);
                    (Some(Arc::new(new)), not_after, None)
                }
                Err(defect) => (certificate, not_after, Some(defect)),
            },
        };
        Self {
            secret: Arc::clone(secret),
            certificate,
            not_after,
            defect,
            covers: BTreeMap::new(),
        }
    }

    fn report(&self, object: &ObjectRef, findings: &mut Findings) {
        if let Some(Defect { code, why }) = &self.defect {
            let use_of_it = match self.certificate {
                Some(_) => "its last good certificate stays in use",
                None => "it is not used",
            };
            findings.add(object, *code, format!("{why}; {use_of_it}"));
        }
    }

    /// Whether the certificate has a name for a host; asked of the certificate once.
    fn covers(&mut self, host: &HostPattern, last: Option<&Self>) -> bool {
        let Some(certificate) = &self.certificate else {
            return true;
        };
        if let Some(known) = self.covers.get(host) {
            return *known;
        }
        let same = |it: &&Self| {
            let theirs = it.certificate.as_ref();
            theirs.is_some_and(|theirs| Arc::ptr_eq(theirs, certificate))
        };
        let known = last.filter(same).and_then(|it| it.covers.get(host));
        let covers = known.copied().unwrap_or_else(|| covers(certificate, host));
        self.covers.insert(host.clone(), covers);
        covers
    }
}

fn unread(namespace: &str) -> String {
    format!(
        "is not read: add '{namespace}' to --secret-namespaces (rbac.secretNamespaces in the chart), \
         which lists where Secrets are"
    )
}

fn same_contents(a: &Arc<Secret>, b: &Arc<Secret>) -> bool {
    Arc::ptr_eq(a, b) || (a.type_ == b.type_ && a.data == b.data && a.string_data == b.string_data)
}

fn read(secret: &Secret) -> Result<Certificate, Defect> {
    let Secret {
        data,
        immutable: _,
        metadata: _,
        string_data,
        type_,
    } = secret;
    let type_ = type_.as_deref().unwrap_or("Opaque");
    if type_ != TLS {
        return Err(Defect {
            code: Code::SecretType,
            why: format!("it is of type {type_}, not {TLS}: {RECREATE}"),
        });
    }
    let text = |name| contents(data.as_ref(), string_data.as_ref(), name);
    parse(text("tls.crt")?, text("tls.key")?).map_err(invalid)
}

/// One entry of a Secret; `stringData` goes over `data`, as the API server would have it.
fn contents<'a>(
    data: Option<&'a BTreeMap<String, ByteString>>,
    string_data: Option<&'a BTreeMap<String, String>>,
    name: &str,
) -> Result<&'a [u8], Defect> {
    let text = string_data.and_then(|it| it.get(name));
    let bytes = data.and_then(|it| it.get(name));
    text.map(String::as_bytes)
        .or(bytes.map(|it| it.0.as_slice()))
        .ok_or_else(|| invalid(format!("it has no {name}")))
}

fn parse(certificate: &[u8], key: &[u8]) -> Result<Certificate, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
    let chain = chain.map_err(|_| "tls.crt is not well-formed PEM".to_owned())?;
    if chain.is_empty() {
        return Err("tls.crt holds no certificate".to_owned());
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
        pem::Error::NoItemsFound => "tls.key holds no private key that is not encrypted".to_owned(),
        _ => "tls.key is not well-formed PEM".to_owned(),
    })?;
    let signing = any_supported_type(&key)
        .map_err(|_| "the private key in tls.key is of no supported kind".to_owned())?;
    match CertifiedKey::new(chain.clone(), signing).keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(Certificate {
            chain,
            key: Arc::new(key),
        }),
        Err(Error::InconsistentKeys(_)) => {
            Err("the private key in tls.key does not belong to the certificate".to_owned())
        }
        Err(error) => Err(format!(
            "the certificate in tls.crt cannot be used: {error}"
        )),
    }
}

fn invalid(why: String) -> Defect {
    let code = Code::InvalidCertificate;
    Defect { code, why }
}

/// When a certificate expires, in seconds since 1970; clients refuse it then.
fn expiry(certificate: &Certificate) -> Option<i64> {
    let (_, parsed) = X509Certificate::from_der(certificate.chain.first()?).ok()?;
    Some(parsed.validity().not_after.timestamp())
}

/// Whether a certificate has a name for a host.
fn covers(certificate: &Certificate, host: &HostPattern) -> bool {
    let name = match host {
        HostPattern::Any => return true,
        HostPattern::Exact(name) => name.as_str().to_owned(),
        HostPattern::Wildcard(parent) => format!("any.{parent}"),
    };
    let leaf = certificate.chain.first();
    let parsed = leaf.and_then(|leaf| ParsedCertificate::try_from(leaf).ok());
    let (Some(parsed), Ok(name)) = (parsed, ServerName::try_from(name)) else {
        return false;
    };
    verify_server_name(&parsed, &name).is_ok()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn the_expiry_of_a_secret_that_was_asked_for_is_known_and_stays_with_its_last_good_certificate()
    {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["shop.example".to_owned()]).unwrap();
        params.not_after = date_time_ymd(2031, 2, 3);
        let certificate = params.self_signed(&key).unwrap();
        let secret = |certificate: String| {
            let mut secret = Secret::default();
            secret.metadata.name = Some("shop-tls".to_owned());
            secret.metadata.namespace = Some("shop".to_owned());
            secret.type_ = Some(TLS.to_owned());
            let text = [("tls.crt", certificate), ("tls.key", key.serialize_pem())];
            secret.string_data = Some(text.map(|(name, text)| (name.to_owned(), text)).into());
            Objects {
                secrets: vec![Arc::new(secret)],
                ..Objects::default()
            }
        };
        let host = HostPattern::parse("shop.example").unwrap();
        let settings = Settings::default();
        let expiries = |objects: &Objects, last: &Parsed| {
            let mut certificates = Certificates::new(objects, &settings, last);
            certificates.load(("shop", "shop-tls"), &host, &mut Findings::default());
            (certificates.expiries(), certificates.finish())
        };
        let name = SecretName {
            namespace: "shop".into(),
            name: "shop-tls".into(),
        };
        let expected = BTreeMap::from([(name, 1_927_843_200)]);
        let (found, last) = expiries(&secret(certificate.pem()), &Parsed::default());
        assert_eq!(found, expected);
        let (found, _) = expiries(&secret("broken".to_owned()), &last);
        assert_eq!(found, expected);
        let untouched = secret(certificate.pem());
        let certificates = Certificates::new(&untouched, &settings, &last);
        assert!(certificates.expiries().is_empty());
    }
}
