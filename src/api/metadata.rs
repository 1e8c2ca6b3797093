//! The annotations and labels that are read or set, each with what it means.
//!
//! They stand here once, so that whoever reads one and the page that documents it cannot differ. There are few on
//! purpose: what a policy says is checked when it is written, an annotation is not.

/// On an Ingress: its class, from before there was the field.
pub const INGRESS_CLASS: &str = "kubernetes.io/ingress.class";

/// On an IngressClass: what makes it the default.
pub const DEFAULT_CLASS: &str = "ingressclass.kubernetes.io/is-default-class";

/// On an EndpointSlice: what each of its endpoints weighs. For slices that people write; the
/// controller of EndpointSlices keeps annotations of Services and Endpoints, not of slices.
pub const WEIGHT: &str = "bywash.dev/weight";

/// On an Ingress: what the annotations of ingress-nginx begin with.
pub const NGINX: &str = "nginx.ingress.kubernetes.io/";

/// On an EndpointSlice: the Service that it is of.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// On a ConfigMap: that it holds certificates. No other is watched.
pub const CA: &str = "bywash.dev/ca";

/// On a ConfigMap: that it holds error pages. No other is watched.
pub const ERROR_PAGES: &str = "bywash.dev/error-pages";

/// On a ConfigMap: the installation whose replica it is of.
pub const REPORT: &str = "bywash.dev/report";

/// What one of them means, for the page about them.
pub struct Mark {
    /// Its name; what ends in a slash is the beginning of several.
    pub name: &'static str,
    /// `annotation` or `label`.
    pub form: &'static str,
    /// The kind of object that carries it.
    pub on: &'static str,
    /// What follows from it.
    pub meaning: &'static str,
}

/// All of them.
pub const ALL: [Mark; 8] = [
    Mark {
        name: INGRESS_CLASS,
        form: "annotation",
        on: "Ingress",
        meaning: "Its class, as before there was `spec.ingressClassName`. Where both are there and differ, the \
                  annotation counts, and a warning says so.",
    },
    Mark {
        name: NGINX,
        form: "annotation",
        on: "Ingress",
        meaning: "Of ingress-nginx: no effect, and a warning.",
    },
    Mark {
        name: DEFAULT_CLASS,
        form: "annotation",
        on: "IngressClass",
        meaning: "With `\"true\"`, Ingresses without a class are of this one. Of several the newest counts, and an \
                  error says so.",
    },
    Mark {
        name: WEIGHT,
        form: "annotation",
        on: "EndpointSlice",
        meaning: "What each of its endpoints weighs, from 1 to 100; without it 1. For slices that you write yourself: \
                  Kubernetes does not copy it to those that it makes.",
    },
    Mark {
        name: SERVICE_NAME,
        form: "label",
        on: "EndpointSlice",
        meaning: "The Service whose endpoints it lists. Kubernetes sets it on the slices that it makes.",
    },
    Mark {
        name: CA,
        form: "label",
        on: "ConfigMap",
        meaning: "With `\"true\"`, its key `ca.crt` may be named by `upstreamTls.caConfigMap`. ConfigMaps without it are \
                  not read.",
    },
    Mark {
        name: ERROR_PAGES,
        form: "label",
        on: "ConfigMap",
        meaning: "With `\"true\"`, its pages may be named by `errorPages`. ConfigMaps without it are not read.",
    },
    Mark {
        name: REPORT,
        form: "label",
        on: "ConfigMap",
        meaning: "Set by Bywash on what each replica tells the others (`bywash-report-` and the name of its Pod). \
                  Leave these alone: they go with their Pod.",
    },
];
