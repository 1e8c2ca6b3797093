//! What is reported about objects and about requests, as plain data.
//!
//! A [`Finding`] is a defect in an object, made by translation. An [`Outcome`](outcome::Outcome) is how
//! a request ended, made by the data plane. Both are made once, where the defect or the failure is
//! decided, and read by everything that tells people about it. [`Facts`](facts::Facts) are what
//! Kubernetes says about an upstream, asked for when something fails.

pub mod facts;
pub mod hint;
pub mod json;
pub mod outcome;
pub mod policy;
pub mod traffic;
pub mod version;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// An object, by kind, namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; empty for cluster-scoped kinds.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

/// Objects that exist but could not be read, each with its `uid`.
pub type Unreadable = BTreeMap<ObjectRef, String>;

/// The kinds of objects that are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `networking.k8s.io/v1`.
    Ingress,
    /// `networking.k8s.io/v1`, cluster-scoped.
    IngressClass,
    /// `v1`.
    Service,
    /// `discovery.k8s.io/v1`.
    EndpointSlice,
    /// `v1`, of type `kubernetes.io/tls`.
    Secret,
    /// `v1`, with the label of those that hold certificates or error pages.
    ConfigMap,
    /// `bywash.dev/v1alpha1`.
    GatewayPolicy,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Ingress,
        Self::IngressClass,
        Self::Service,
        Self::EndpointSlice,
        Self::Secret,
        Self::ConfigMap,
        Self::GatewayPolicy,
    ];

    /// As Kubernetes spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "Ingress",
            Self::IngressClass => "IngressClass",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
            Self::GatewayPolicy => "GatewayPolicy",
        }
    }

    /// Group and version.
    pub fn api_version(self) -> &'static str {
        match self {
            Self::Ingress | Self::IngressClass => "networking.k8s.io/v1",
            Self::Service | Self::Secret | Self::ConfigMap => "v1",
            Self::EndpointSlice => "discovery.k8s.io/v1",
            Self::GatewayPolicy => "bywash.dev/v1alpha1",
        }
    }

    /// Reads a kind as Kubernetes spells it, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str().eq_ignore_ascii_case(text))
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.as_str();
        if self.namespace.is_empty() {
            write!(f, "{kind} {}", self.name)
        } else {
            write!(f, "{kind} {}/{}", self.namespace, self.name)
        }
    }
}

/// Where in a file an object stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePosition {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: u32,
}

impl fmt::Display for FilePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Part of the object is not served as written.
    Error,
    /// Served, but likely not as meant.
    Warning,
}

/// A defect in an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The object; absent where a file does not even hold one.
    pub object: Option<ObjectRef>,
    /// Where it stands, if it is from a file.
    pub position: Option<FilePosition>,
    /// What kind of defect.
    pub code: Code,
    /// What is wrong and what to do, in a sentence.
    pub message: String,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident $severity:ident,)+) => {
        /// The stable code of a kind of defect: a word for scripts, and the anchor in the docs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[$doc])* $name,)+ }

        impl Code {
            /// All codes.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The code; also the `reason` of Events.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

            /// How much it matters.
            pub fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)+ }
            }
        }
    };
}

codes! {
    /// The object could not be read.
    InvalidObject Error,
    /// The file could not be read.
    UnreadableFile Error,
    /// A kind of our own API that this version does not know.
    UnknownKind Warning,
    /// The same object stands twice.
    DuplicateObject Error,
    /// The host of a rule or of TLS is not a host name.
    InvalidHost Error,
    /// The path of a rule cannot be served.
    InvalidPath Error,
    /// The same host, path type and path belong to an older Ingress.
    PathConflict Error,
    /// The host belongs to another Ingress or namespace.
    HostConflict Error,
    /// The host's default backend belongs to an older Ingress.
    DefaultBackendConflict Error,
    /// The host's certificate belongs to an older Ingress.
    CertificateConflict Warning,
    /// The backend is not a Service.
    UnsupportedBackend Error,
    /// The Service does not exist.
    ServiceNotFound Error,
    /// The Service has no such port.
    PortNotFound Error,
    /// The Service asks for a protocol that is not spoken to upstreams.
    UnsupportedProtocol Error,
    /// `ExternalName` is not allowed.
    ExternalNameForbidden Error,
    /// The external name is not a DNS name.
    InvalidExternalName Error,
    /// An EndpointSlice of a kind that cannot be used.
    UnsupportedEndpoints Warning,
    /// The weight that an EndpointSlice gives its endpoints is none.
    InvalidWeight Warning,
    /// The Secret does not exist.
    SecretNotFound Error,
    /// The Secret is in a namespace whose Secrets are not read.
    SecretNotRead Error,
    /// The Secrets of a namespace cannot be read: a right is missing.
    SecretsUnavailable Warning,
    /// The Secret is not of type `kubernetes.io/tls`.
    SecretType Error,
    /// The Secret's certificate or key cannot be used.
    InvalidCertificate Error,
    /// The certificate has no name for the host.
    CertificateName Warning,
    /// The IngressClass that the Ingress names does not exist.
    ClassNotFound Error,
    /// The IngressClass that is to be served belongs to another controller.
    ClassController Warning,
    /// Several IngressClasses are the default.
    SeveralDefaultClasses Error,
    /// The annotation and the field name different classes.
    ClassMismatch Warning,
    /// The parameters of the IngressClass are of another kind.
    UnsupportedParameters Warning,
    /// GatewayPolicies cannot be read: the definition or a right is missing.
    PoliciesUnavailable Warning,
    /// ConfigMaps cannot be read: a right is missing.
    ConfigMapsUnavailable Warning,
    /// The ConfigMap with the certificates that verify endpoints does not exist.
    CaNotFound Error,
    /// The ConfigMap with the certificates that verify endpoints holds none that can be used.
    InvalidCa Error,
    /// The ConfigMap with error pages does not exist.
    PagesNotFound Error,
    /// A page of a ConfigMap with error pages cannot be used.
    InvalidPage Error,
    /// A section of a GatewayPolicy cannot be right.
    InvalidPolicy Error,
    /// A field is not known.
    UnknownField Warning,
    /// A field whose name other readers of YAML take for something else.
    AmbiguousKey Warning,
    /// Another GatewayPolicy has the same target.
    PolicyConflict Error,
    /// Two GatewayPolicies for the same requests set limits that cannot both be meant.
    PolicyContradiction Warning,
    /// A GatewayPolicy names a target that does not exist.
    PolicyTargetNotFound Error,
    /// A GatewayPolicy has no target and no IngressClass names it.
    PolicyWithoutTarget Warning,
    /// The GatewayPolicy that an IngressClass names does not exist.
    ParametersNotFound Error,
    /// An annotation of another controller that has no effect here.
    IgnoredAnnotation Warning,
}

impl Finding {
    /// How much it matters.
    pub fn severity(&self) -> Severity {
        self.code.severity()
    }
}

impl fmt::Display for Finding {
    /// `file:line: error[Code] Kind ns/name: message`, without what is absent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(position) = &self.position {
            write!(f, "{position}: ")?;
        }
        let severity = match self.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}[{}] ", self.code.as_str())?;
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        f.write_str(&self.message)
    }
}
