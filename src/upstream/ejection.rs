//! When an endpoint is left out, and how it comes back: a pure state machine.
//!
//! Closed, open and half-open have the meaning they have for circuit breakers: closed takes requests,
//! open takes none, half-open is being tried. An endpoint that was left out is first tried by a
//! connection that nobody waits for, then by one request at a time; only then it is closed again.
//! The requests are such as can be repeated elsewhere; where none of these come, after a while any; and
//! where none comes at all, because every client has an endpoint of its own, the connection has to do.
//! Each time it fails anew it stays away twice as long; each minute in which it worked takes one
//! doubling back.
//!
//! Times are milliseconds since an epoch of the caller's. The machine fits one atomic word
//! ([`State::pack`]), so that no worker ever sees half a change.

use std::time::Duration;

use crate::routing::policy::upstream::{Ejection, OutlierDetection};

/// Successes in the half-open state that close it.
const SUCCESSES_TO_CLOSE: u8 = 2;

/// So long a half-open endpoint waits for a request that can be repeated. One request that fails now
/// and then is better than an endpoint that never comes back to an application of `POST` alone.
const UNREPEATABLE_AFTER_MS: u64 = 10_000;

/// So long it waits for any request at all, before it comes back without one.
const UNTRIED_AFTER_MS: u64 = 30_000;

/// So long an endpoint must work for one doubling to be forgotten.
const FORGIVEN_AFTER_MS: u64 = 60_000;

/// Jitter: the ejection is up to this part longer or shorter.
const JITTER: f64 = 0.2;

/// The largest time that fits: 38 bits, eight years.
pub(super) const LATEST_MS: u64 = (1 << 38) - 1;

/// How an endpoint failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No connection, or it vanished.
    Connectivity,
    /// It was connected, and did not give a valid answer.
    Answer,
}

/// The state of one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// In use.
    Closed {
        /// When it was last closed.
        since: u64,
        /// How often in a row it was ejected.
        ejections: u8,
        /// Failures in a row, of any kind.
        failures: u8,
        /// Failures to connect in a row.
        connect_failures: u8,
    },
    /// Left out.
    Open {
        /// When it may be tried again.
        until: u64,
        /// How often in a row it was ejected, this time included.
        ejections: u8,
    },
    /// Half-open: a connection is being opened, and no request is sent.
    Connecting {
        /// How often in a row it was ejected.
        ejections: u8,
    },
    /// Half-open: one request at a time.
    Trying {
        /// Since when.
        since: u64,
        /// How often in a row it was ejected.
        ejections: u8,
        /// Requests that succeeded since.
        successes: u8,
        /// Whether a request is on its way.
        busy: bool,
    },
}

impl State {
    /// One of which nothing is known is in use.
    pub const NEW: Self = Self::Closed {
        since: 0,
        ejections: 0,
        failures: 0,
        connect_failures: 0,
    };

    /// Whether it takes requests.
    pub fn is_closed(self) -> bool {
        matches!(self, Self::Closed { .. })
    }

    /// After a request that ended as it should; only those that are counted in a row are forgotten.
    pub fn succeeded(self) -> Self {
        match self {
            Self::Closed {
                since, ejections, ..
            } => Self::Closed {
                since,
                ejections,
                failures: 0,
                connect_failures: 0,
            },
            // An answer to a request that began before the ejection.
            late => late,
        }
    }

    /// After a failure; those of requests that began before an ejection no longer count.
    pub fn failed(self, fault: Fault) -> Self {
        match self {
            Self::Closed {
                since,
                ejections,
                failures,
                connect_failures,
            } => Self::Closed {
                since,
                ejections,
                failures: failures.saturating_add(1),
                connect_failures: match fault {
                    Fault::Connectivity => connect_failures.saturating_add(1),
                    Fault::Answer => 0,
                },
            },
            late => late,
        }
    }

    /// Whether it is being tried, and takes connections.
    pub fn is_trying(self) -> bool {
        matches!(self, Self::Trying { .. })
    }

    /// Whether it failed too often in a row.
    pub fn is_due(self, rules: &OutlierDetection) -> bool {
        match self {
            Self::Closed {
                failures,
                connect_failures,
                ..
            } => {
                failures >= rules.consecutive_failures
                    || connect_failures >= rules.consecutive_connect_failures
            }
            _ => false,
        }
    }

    /// Closed → open. `random` is from 0 to 1.
    pub fn eject(self, rules: &Ejection, now: u64, random: f64) -> Option<Self> {
        let Self::Closed {
            since, ejections, ..
        } = self
        else {
            return None;
        };
        let forgiven = now.saturating_sub(since) / FORGIVEN_AFTER_MS;
        let forgiven = u8::try_from(forgiven).unwrap_or(u8::MAX);
        Some(open(ejections.saturating_sub(forgiven), rules, now, random))
    }

    /// Open → half-open, when its time has come: a connection is to be opened.
    pub fn connect(self, now: u64) -> Option<Self> {
        match self {
            Self::Open { until, ejections } if until <= now => Some(Self::Connecting { ejections }),
            _ => None,
        }
    }

    /// Open → half-open before its time. Should that fail, it stays away no longer for it.
    pub fn connect_early(self) -> Option<Self> {
        match self {
            Self::Open { ejections, .. } => Some(Self::Connecting {
                ejections: ejections.saturating_sub(1),
            }),
            _ => None,
        }
    }

    /// Open: it may be tried then at the latest.
    pub fn hasten(self, latest: u64) -> Option<Self> {
        match self {
            Self::Open { until, ejections } if until > latest => Some(Self::Open {
                until: latest,
                ejections,
            }),
            _ => None,
        }
    }

    /// Half-open: the connection stands.
    pub fn connected(self, now: u64) -> Option<Self> {
        match self {
            Self::Connecting { ejections } => Some(Self::Trying {
                since: now.min(LATEST_MS),
                ejections,
                successes: 0,
                busy: false,
            }),
            _ => None,
        }
    }

    /// Half-open → open: it cannot be connected to.
    pub fn not_connected(self, rules: &Ejection, now: u64, random: f64) -> Option<Self> {
        match self {
            Self::Connecting { ejections } => Some(open(ejections, rules, now, random)),
            _ => None,
        }
    }

    /// Half-open: the next request, if none is on its way.
    pub fn start_trial(self, repeatable: bool, now: u64) -> Option<Self> {
        match self {
            Self::Trying {
                since,
                ejections,
                successes,
                busy: false,
            } if repeatable || now.saturating_sub(since) >= UNREPEATABLE_AFTER_MS => {
                Some(Self::Trying {
                    since,
                    ejections,
                    successes,
                    busy: true,
                })
            }
            _ => None,
        }
    }

    /// Half-open → closed, where no request has come to try it for long.
    pub fn untried(self, now: u64) -> Option<Self> {
        match self {
            Self::Trying {
                since,
                ejections,
                busy: false,
                ..
            } if now.saturating_sub(since) >= UNTRIED_AFTER_MS => Some(closed(ejections, now)),
            _ => None,
        }
    }

    /// Half-open: a request ended without saying anything of the endpoint. That one came counts.
    pub fn trial_abandoned(self, now: u64) -> Option<Self> {
        match self {
            Self::Trying {
                ejections,
                successes,
                busy: true,
                ..
            } => Some(Self::Trying {
                since: now.min(LATEST_MS),
                ejections,
                successes,
                busy: false,
            }),
            _ => None,
        }
    }

    /// Half-open → closed, after enough of them.
    pub fn trial_succeeded(self, now: u64) -> Option<Self> {
        match self {
            Self::Trying {
                since,
                ejections,
                successes,
                busy: true,
            } => Some(if successes + 1 >= SUCCESSES_TO_CLOSE {
                closed(ejections, now)
            } else {
                Self::Trying {
                    since,
                    ejections,
                    successes: successes + 1,
                    busy: false,
                }
            }),
            _ => None,
        }
    }

    /// Half-open → open.
    pub fn trial_failed(self, rules: &Ejection, now: u64, random: f64) -> Option<Self> {
        match self {
            Self::Trying {
                ejections,
                busy: true,
                ..
            } => Some(open(ejections, rules, now, random)),
            _ => None,
        }
    }

    /// As one word: phase, time, ejections, two small numbers. A new one is 0.
    pub fn pack(self) -> u64 {
        let (phase, at, ejections, a, b) = match self {
            Self::Closed {
                since,
                ejections,
                failures,
                connect_failures,
            } => (0, since, ejections, failures, connect_failures),
            Self::Open { until, ejections } => (1, until, ejections, 0, 0),
            Self::Connecting { ejections } => (2, 0, ejections, 0, 0),
            Self::Trying {
                since,
                ejections,
                successes,
                busy,
            } => (3, since, ejections, successes, u8::from(busy)),
        };
        let small = u64::from(ejections) << 16 | u64::from(a) << 8 | u64::from(b);
        phase << 62 | at.min(LATEST_MS) << 24 | small
    }

    /// The state that a word stands for.
    pub fn unpack(word: u64) -> Self {
        let [.., ejections, a, b] = word.to_be_bytes();
        let at = word >> 24 & LATEST_MS;
        match word >> 62 {
            0 => Self::Closed {
                since: at,
                ejections,
                failures: a,
                connect_failures: b,
            },
            1 => Self::Open {
                until: at,
                ejections,
            },
            2 => Self::Connecting { ejections },
            _ => Self::Trying {
                since: at,
                ejections,
                successes: a,
                busy: b != 0,
            },
        }
    }
}

fn closed(ejections: u8, now: u64) -> State {
    State::Closed {
        since: now.min(LATEST_MS),
        ejections,
        failures: 0,
        connect_failures: 0,
    }
}

fn open(ejections: u8, rules: &Ejection, now: u64, random: f64) -> State {
    let until = now.saturating_add(away(ejections, rules, random));
    State::Open {
        until: until.min(LATEST_MS),
        ejections: ejections.saturating_add(1),
    }
}

/// How long one that was ejected so often before stays away, in milliseconds.
pub(super) fn away(ejections: u8, rules: &Ejection, random: f64) -> u64 {
    let doubled = rules.base.saturating_mul(1 << ejections.min(16));
    let jitter = 1.0 - JITTER + 2.0 * JITTER * random.clamp(0.0, 1.0);
    let doubled = doubled.min(rules.max).min(Duration::from_millis(LATEST_MS));
    let away = doubled.mul_f64(jitter).min(rules.max);
    u64::try_from(away.as_millis()).unwrap_or(LATEST_MS)
}
