//! What failures count as on the resources: three conditions, told apart by the status of the answer.

use std::sync::LazyLock;

use super::Cause;

/// What failures of ours are to whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trouble {
    /// What came from the upstream was no valid answer.
    BadGateway,
    /// Its answer did not come in time.
    GatewayTimeout,
    /// There was nobody, or no room, to answer.
    Unavailable,
}

impl Trouble {
    /// All of them, worst first.
    pub const ALL: [Self; 3] = [Self::BadGateway, Self::GatewayTimeout, Self::Unavailable];

    /// The type of the condition that tells of it.
    pub fn condition(self) -> &'static str {
        match self {
            Self::BadGateway => "BadGateway",
            Self::GatewayTimeout => "GatewayTimeout",
            Self::Unavailable => "Unavailable",
        }
    }

    /// The `error` on the ports of an Ingress that tells of it.
    pub fn port_error(self) -> &'static str {
        match self {
            Self::BadGateway => "bywash.dev/BadGateway",
            Self::GatewayTimeout => "bywash.dev/GatewayTimeout",
            Self::Unavailable => "bywash.dev/Unavailable",
        }
    }

    /// With what requests are answered.
    pub fn status(self) -> u16 {
        match self {
            Self::BadGateway => 502,
            Self::GatewayTimeout => 504,
            Self::Unavailable => 503,
        }
    }
}

impl Cause {
    /// What it counts as on the resources. What is meant to be so (maintenance), the end of this
    /// process, its own faults and those of clients count as nothing.
    pub fn trouble(self) -> Option<Trouble> {
        match self {
            Self::Maintenance
            | Self::CutOff
            | Self::CallerDeadline
            | Self::RetriedStatus(_)
            | Self::BadRequest(_) => None,
            _ => {
                let status = self.status().as_u16();
                Trouble::ALL.into_iter().find(|it| it.status() == status)
            }
        }
    }

    /// Whether it ends the body of an answer whose head was good: its status was the application's own.
    pub fn ends_a_body(self) -> bool {
        matches!(
            self,
            Self::BodyTimeout
                | Self::BodyIncomplete
                | Self::BodyReset
                | Self::BodyBadChunk
                | Self::BodyTooLarge
                | Self::BodyStreamReset
        )
    }

    /// A cause of this [`label`](Self::label).
    pub fn labelled(label: &str) -> Option<Self> {
        Self::found(|cause| cause.label() == label)
    }

    /// A cause of this [`reason`](Self::reason).
    pub fn reasoned(reason: &str) -> Option<Self> {
        Self::found(|cause| cause.reason() == reason)
    }

    fn found(such: impl Fn(Self) -> bool) -> Option<Self> {
        static ALL: LazyLock<Vec<Cause>> = LazyLock::new(Cause::all);
        ALL.iter().copied().find(|cause| such(*cause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_counts_as_what_its_status_says() {
        assert_eq!(
            Cause::ConnectionRefused.trouble(),
            Some(Trouble::BadGateway)
        );
        assert_eq!(Cause::BodyIncomplete.trouble(), Some(Trouble::BadGateway));
        assert_eq!(
            Cause::ConnectTimeout.trouble(),
            Some(Trouble::GatewayTimeout)
        );
        assert_eq!(Cause::NoEndpoints.trouble(), Some(Trouble::Unavailable));
    }

    #[test]
    fn what_is_meant_so_or_is_not_the_upstreams_counts_as_nothing() {
        for cause in [
            Cause::Maintenance,
            Cause::CutOff,
            Cause::Internal,
            Cause::NoRoute,
            Cause::ClientAborted,
            Cause::CallerDeadline,
            Cause::RetriedStatus(502),
        ] {
            assert_eq!(cause.trouble(), None, "{cause:?}");
        }
    }

    #[test]
    fn every_label_leads_back_to_a_cause_with_it() {
        for cause in Cause::all() {
            let found = Cause::labelled(cause.label()).unwrap();
            assert_eq!(found.reason(), cause.reason());
            assert_eq!(found.trouble().is_some(), cause.trouble().is_some());
        }
        assert_eq!(Cause::labelled("none"), None);
    }
}
