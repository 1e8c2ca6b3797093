//! The sections of a policy: from the written form to resolved values.
//!
//! One line of the table below makes a section: read from the spec, kept in its last good form when it
//! cannot be right, resolved by precedence, and shown in the status. Sections replace and never
//! merge, so that a field left out of one has its built-in value.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::api::policy::GatewayPolicy;
use crate::api::rules;
use crate::api::values::DurationText;
use crate::report::ObjectRef;
use crate::report::policy::{Defect, Instead, SectionReport};
use crate::routing::path::PathRule;
use crate::routing::policy::upstream::{
    CircuitBreaker, ConnectionPool, HealthCheck, LoadBalancing, OutlierDetection, SlowStart,
    StatusRange,
};
use crate::routing::policy::{
    Maintenance, Policy, ProxyStatus, ResponseValidation, Retry, Timeouts, TlsRedirect,
};

use super::section_values::Describe as _;

mod answers;
mod references;
mod request;
mod upstream;

pub(in crate::translate) use answers::PagesReference;
pub(in crate::translate) use references::{FallbackReference, TlsReference, UPSTREAM_TLS};
use request::{MAINTENANCE, TLS_REDIRECT};

/// All sections, resolved. What names another object is looked up where it is needed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::translate) struct Resolved {
    pub(in crate::translate) policy: Arc<Policy>,
    pub(in crate::translate) tls: Option<TlsReference>,
    /// TLS is asked for in a way that cannot be right: rather nothing than something else.
    pub(in crate::translate) tls_is_wrong: bool,
    pub(in crate::translate) fallback: Option<FallbackReference>,
    /// The error pages, which are not in the policy yet.
    pub(super) pages: Vec<PagesReference>,
}

/// The same while it is being put together.
#[derive(Default)]
struct Draft {
    policy: Policy,
    tls: Option<TlsReference>,
    fallback: Option<FallbackReference>,
    pages: Vec<PagesReference>,
}

impl Draft {
    fn of(policy: &Policy) -> Self {
        Self {
            policy: policy.clone(),
            ..Self::default()
        }
    }
}

macro_rules! sections {
    ($($field:ident: $type:ty, $name:expr, $read:path => |$draft:ident| $place:expr;)+) => {
        /// What one policy says; absent where it says nothing.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub(in crate::translate) struct Sections {
            $(pub(super) $field: Option<$type>,)+
        }

        impl Sections {
            /// The sections of a policy, and those that cannot be right, of which the last good form
            /// is kept.
            fn read_each(policy: &GatewayPolicy, last: Option<&Self>) -> (Self, Vec<Defect>) {
                let mut sections = Self::default();
                let mut defects = Vec::new();
                $(match of_its_form(policy, $name).and_then(|()| $read(policy)) {
                    Ok(section) => sections.$field = section,
                    Err(why) => {
                        sections.$field = last.and_then(|last| last.$field.clone());
                        let instead = match sections.$field {
                            Some(_) => Instead::LastGood,
                            None => Instead::LessSpecific,
                        };
                        defects.push(Defect { section: $name, why, instead });
                    }
                })+
                (sections, defects)
            }

            /// Each section from the first candidate that has it.
            pub(super) fn resolve(candidates: &[&Self], builtin: &Arc<Policy>) -> Resolved {
                let mut draft = Draft::of(builtin);
                $(if let Some(section) = candidates.iter().find_map(|it| it.$field.as_ref()) {
                    let $draft = &mut draft;
                    *$place = section.clone();
                })+
                let Draft { policy, tls, fallback, pages } = draft;
                let policy = if policy == **builtin {
                    Arc::clone(builtin)
                } else {
                    Arc::new(policy)
                };
                Resolved { policy, tls, tls_is_wrong: false, fallback, pages }
            }

            /// The same for people, with where each section is from.
            pub(super) fn in_force(
                candidates: &[(&ObjectRef, &Self)],
                builtin: &Policy,
            ) -> Vec<SectionReport> {
                let mut draft = Draft::of(builtin);
                vec![$({
                    let mut found = candidates.iter();
                    let found = found.find_map(|(origin, it)| Some((*origin, it.$field.as_ref()?)));
                    let $draft = &mut draft;
                    SectionReport {
                        name: $name,
                        origin: found.map(|(origin, _)| origin.clone()),
                        values: found.map_or(&*$place, |(_, section)| section).describe(),
                    }
                },)+]
            }
        }
    };
}

sections! {
    timeouts: Timeouts, "timeouts", request::timeouts => |draft| &mut draft.policy.timeouts;
    retry: Retry, "retry", request::retry => |draft| &mut draft.policy.retry;
    outlier_detection: OutlierDetection, "outlierDetection", upstream::outlier_detection
        => |draft| &mut draft.policy.upstream_mut().outlier_detection;
    panic_threshold: Option<u8>, "panicThreshold", upstream::panic_threshold
        => |draft| &mut draft.policy.upstream_mut().panic_threshold;
    slow_start: SlowStart, "slowStart", upstream::slow_start
        => |draft| &mut draft.policy.upstream_mut().slow_start;
    health_check: Option<HealthCheck>, "healthCheck", upstream::health_check
        => |draft| &mut draft.policy.upstream_mut().health_check;
    circuit_breaker: Option<CircuitBreaker>, "circuitBreaker", upstream::circuit_breaker
        => |draft| &mut draft.policy.upstream_mut().circuit_breaker;
    connection_pool: ConnectionPool, "connectionPool", upstream::connection_pool
        => |draft| &mut draft.policy.upstream_mut().connection_pool;
    load_balancing: LoadBalancing, "loadBalancing", upstream::load_balancing
        => |draft| &mut draft.policy.upstream_mut().load_balancing;
    fallback: Option<FallbackReference>, "fallback", references::fallback
        => |draft| &mut draft.fallback;
    tls: Option<TlsReference>, UPSTREAM_TLS, references::upstream_tls => |draft| &mut draft.tls;
    error_pages: Vec<PagesReference>, "errorPages", answers::error_pages => |draft| &mut draft.pages;
    response_validation: ResponseValidation, "responseValidation", answers::response_validation
        => |draft| &mut draft.policy.response_validation;
    bypass: Vec<PathRule>, "bypass", request::bypass => |draft| &mut draft.policy.bypass;
    maintenance: Option<Maintenance>, MAINTENANCE, request::maintenance
        => |draft| &mut draft.policy.maintenance;
    proxy_status: ProxyStatus, "proxyStatus", request::proxy_status
        => |draft| &mut draft.policy.proxy_status;
    tls_redirect: TlsRedirect, TLS_REDIRECT, request::tls_redirect
        => |draft| &mut draft.policy.tls_redirect;
}

/// A section; absent where the policy does not have it.
type Section<T> = Result<Option<T>, String>;

impl Sections {
    /// The sections of a policy, and those that cannot be right. Of these the last good form counts,
    /// else the policy does not have them, but for three that must not be taken for absent.
    pub(super) fn read(policy: &GatewayPolicy, last: Option<&Self>) -> (Self, Vec<Defect>) {
        let (mut sections, mut defects) = Self::read_each(policy, last);
        for defect in &mut defects {
            let without = defect.instead == Instead::LessSpecific;
            let off = sections.maintenance.as_ref().is_none_or(Option::is_none);
            let redirects = sections.tls_redirect == Some(TlsRedirect::On);
            match defect.section {
                UPSTREAM_TLS if without => defect.instead = Instead::NothingSent,
                // A last good form that is off is what somebody may just have meant to end.
                MAINTENANCE if off && request::may_be_in_maintenance(policy) => {
                    sections.maintenance = Some(Some(request::IN_DOUBT));
                    defect.instead = Instead::Maintenance;
                }
                TLS_REDIRECT if !redirects && request::may_be_redirected(policy) => {
                    sections.tls_redirect = Some(TlsRedirect::On);
                    defect.instead = Instead::Redirect;
                }
                _ => {}
            }
        }
        (sections, defects)
    }

    /// What is known of them later on: not what was assumed.
    pub(super) fn known(mut self, defects: &[Defect]) -> Self {
        for defect in defects {
            match defect.instead {
                Instead::Maintenance => self.maintenance = None,
                Instead::Redirect => self.tls_redirect = None,
                Instead::LastGood
                | Instead::LessSpecific
                | Instead::NothingSent
                | Instead::NoEffect => {}
            }
        }
        self
    }
}

fn of_its_form(policy: &GatewayPolicy, section: &str) -> Result<(), String> {
    match policy.spec.reading.misread(section) {
        Some(misread) => Err(misread.why.clone()),
        None => Ok(()),
    }
}

fn duration(
    field: &str,
    text: &Option<DurationText>,
    builtin: Duration,
) -> Result<Duration, String> {
    text.as_ref()
        .map_or(Ok(builtin), |text| named(field, text.read()))
}

fn named<T>(field: &str, read: Result<T, String>) -> Result<T, String> {
    read.map_err(|why| format!("{field}: {why}"))
}

/// The first rule that is broken.
fn obey<T>(rules: &'static [rules::Rule<T>], part: &T) -> Result<(), String> {
    match rules::broken(rules, part).next() {
        Some(message) => Err(message.to_owned()),
        None => Ok(()),
    }
}

/// A status, or a range of them.
fn status_range(text: &str) -> Option<StatusRange> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let code = |text: &str| {
        let code = text.parse::<u16>().ok();
        code.filter(|code| (100..600).contains(code))
    };
    let (first, last) = (code(first)?, code(last)?);
    Some(StatusRange { first, last })
}

/// A number that the schema bounds, or what it has to be.
fn number<T>(
    field: &str,
    value: Option<i32>,
    range: RangeInclusive<i32>,
    builtin: T,
) -> Result<T, String>
where
    T: TryFrom<i32>,
{
    let Some(value) = value else {
        return Ok(builtin);
    };
    let fitting = Some(value).filter(|value| range.contains(value));
    fitting
        .and_then(|value| T::try_from(value).ok())
        .ok_or_else(|| {
            let (first, last) = range.into_inner();
            format!("{field} is a number from {first} to {last}")
        })
}
