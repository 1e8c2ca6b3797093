//! What is shown, and what it should be.

use std::net::SocketAddr;
use std::pin::pin;

use futures::future::{Either, select};

use super::backends::BACKENDS;
use super::entries::{Entries, Entry};
use super::visit::{Ask, Visit, visit};

/// Requests before one of two endpoints is certain to have been tried: missing it has odds of 2⁻³².
const MOST: usize = 32;

/// Requests that show that an endpoint is not tried any more: were it, missing it has odds of 2⁻¹⁶.
const ENOUGH: usize = 16;

/// A request and what should come of it.
pub(super) struct Row {
    pub(super) ask: Ask,
    pub(super) path: &'static str,
    pub(super) occasion: Occasion,
    pub(super) expected: Expected,
}

/// Which request to a route is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occasion {
    /// The first.
    First,
    /// The first that met the bad endpoint.
    Healed,
    /// Those after the bad endpoint failed too often.
    Ejected,
    /// One beside another that is under way.
    Busy,
}

/// What should come of a request.
pub(super) struct Expected {
    pub(super) got: &'static str,
    pub(super) cause: &'static str,
    pub(super) attempts: usize,
}

/// What came of a request.
pub(super) struct Got {
    pub(super) got: String,
    pub(super) cause: String,
    pub(super) attempts: usize,
}

const fn row(
    (ask, path): (Ask, &'static str),
    got: &'static str,
    cause: &'static str,
    attempts: usize,
) -> Row {
    let expected = Expected {
        got,
        cause,
        attempts,
    };
    Row {
        ask,
        path,
        occasion: Occasion::First,
        expected,
    }
}

impl Row {
    const fn on(self, occasion: Occasion) -> Self {
        Self { occasion, ..self }
    }
}

use Ask::{Get, Post, Upload, WebSocket};

/// In the order of the tale: what works, what is healed, what cannot be, and why.
pub(super) const ROWS: &[Row] = &[
    row((Get, "/works"), "200", "", 1),
    row((WebSocket, "/works"), "101, then an echo", "", 1),
    row((Get, "/refuse-one"), "200", "connection_refused, healed", 2).on(Occasion::Healed),
    row((Get, "/ejected"), "200", "", 1).on(Occasion::Ejected),
    row((Get, "/covered"), "200", "connection_refused, healed", 4),
    row((Get, "/limited"), "503", "limit_reached", 0).on(Occasion::Busy),
    row((Get, "/reset-once"), "200", "connection_reset, healed", 2),
    row((Get, "/stall-once"), "200", "response_timeout, healed", 2),
    row(
        (Get, "/unavailable-once"),
        "200",
        "retried_status, healed",
        2,
    ),
    row((Post, "/reset-once"), "502", "connection_reset", 1),
    row((Get, "/refuse"), "502", "connection_refused", 3),
    row((Post, "/refuse"), "502", "connection_refused", 3),
    row((Get, "/reset"), "502", "connection_reset", 2),
    row((Get, "/close"), "502", "connection_closed", 2),
    row((Get, "/cut-head"), "502", "head_incomplete", 2),
    row((Get, "/garbage"), "502", "not_http", 2),
    row((Get, "/huge-head"), "502", "head_too_large", 1),
    row(
        (Get, "/truncate"),
        "200, then cut short",
        "body_incomplete",
        1,
    ),
    row(
        (Get, "/truncate-chunked"),
        "200, then cut short",
        "body_incomplete",
        1,
    ),
    row(
        (Get, "/stall-in-body"),
        "200, then cut short",
        "body_timeout",
        1,
    ),
    row((Get, "/stall"), "504", "response_timeout", 3),
    row((Get, "/unavailable"), "503", "the application's own", 3),
    row((Upload, "/reject"), "413", "the application's own", 1),
    row((Get, "/empty"), "503", "no_endpoints", 0),
    row((Get, "/nowhere"), "404", "no_route", 0),
];

impl Row {
    /// What the upstream does.
    pub(super) fn upstream(&self) -> String {
        let name = self.path.trim_start_matches('/');
        let backend = BACKENDS.iter().find(|backend| backend.name == name);
        let did = match (name, backend) {
            (_, Some(backend)) => backend.did(),
            ("empty", None) => "has no endpoints".to_owned(),
            _ => "does not exist".to_owned(),
        };
        match self.occasion {
            _ if name == "covered" => format!("{did}, has a fallback"),
            Occasion::First | Occasion::Healed => did,
            Occasion::Ejected => format!("{did}, ejected"),
            Occasion::Busy => format!("{did}, busy"),
        }
    }

    /// Sends requests until the one that is to be shown.
    pub(super) async fn visit(&self, address: SocketAddr, entries: &mut Entries) -> Got {
        match self.occasion {
            Occasion::First => self.visit_once(address, entries).await,
            Occasion::Healed => self.visit_until_healed(address, entries).await,
            Occasion::Ejected => {
                // Three refused connections in a row are too many.
                for _ in 0..3 {
                    self.visit_until_healed(address, entries).await;
                }
                let mut got = self.visit_once(address, entries).await;
                for _ in 1..ENOUGH {
                    if !self.expects(&got) {
                        break;
                    }
                    got = self.visit_once(address, entries).await;
                }
                got
            }
            Occasion::Busy => {
                // Whichever came first keeps the other one out, and leaves with its client.
                let (one, two) = (
                    visit(address, self.ask, self.path),
                    visit(address, self.ask, self.path),
                );
                let (one, two) = (pin!(one), pin!(two));
                match select(one, two).await {
                    Either::Left((visit, _)) | Either::Right((visit, _)) => {
                        got(visit, entries).await
                    }
                }
            }
        }
    }

    /// Where one of several endpoints is bad: until that one was tried.
    async fn visit_until_healed(&self, address: SocketAddr, entries: &mut Entries) -> Got {
        let mut got = self.visit_once(address, entries).await;
        for _ in 1..MOST {
            if got.got != "200" || got.attempts != 1 {
                break;
            }
            got = self.visit_once(address, entries).await;
        }
        got
    }

    async fn visit_once(&self, address: SocketAddr, entries: &mut Entries) -> Got {
        got(visit(address, self.ask, self.path).await, entries).await
    }

    /// Whether that is what should have come of it.
    pub(super) fn expects(&self, got: &Got) -> bool {
        let Expected {
            got: expected,
            cause,
            attempts,
        } = self.expected;
        got.got == expected && got.cause == cause && got.attempts == attempts
    }
}

/// What a client got, and what the log says of it.
async fn got(visit: Result<Visit, String>, entries: &mut Entries) -> Got {
    let nothing = |got: String| Got {
        got,
        cause: String::new(),
        attempts: 0,
    };
    let visit = match visit {
        Ok(visit) => visit,
        Err(error) => return nothing(error),
    };
    let Some(entry) = entries.of(&visit.request_id).await else {
        return nothing("no line in the log".to_owned());
    };
    Got {
        got: visit.got,
        cause: cause(&entry, visit.status.as_u16()),
        attempts: entry.attempts.len(),
    }
}

fn cause(entry: &Entry, status: u16) -> String {
    let mut failed = entry.attempts.iter().rev();
    let failed = failed.find_map(|attempt| attempt.cause.as_deref());
    match (entry.cause.as_deref(), failed) {
        (Some(cause), _) => cause.to_owned(),
        (None, _) if status >= 400 => "the application's own".to_owned(),
        (None, Some(cause)) => format!("{cause}, healed"),
        (None, None) => String::new(),
    }
}
