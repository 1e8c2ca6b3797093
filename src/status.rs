//! What objects are told about themselves: the addresses of Ingresses, and what is wrong with
//! anything.
//!
//! Two halves. What is wanted is computed purely, from objects and findings (`wanted`). A writer
//! compares it with what is there, and writes the difference: as leader only, through one bucket of
//! tokens, the newest need first, and again after a while when it did not work ([`cluster`]).
//! Without a cluster the same goes into files ([`directory`]).
//!
//! Nothing here ever changes what is served, and trouble never takes an address away: where there is
//! no answer to which addresses are published, Ingresses keep those that they have.

pub mod cluster;
pub mod directory;
mod policy;
mod queue;
mod wanted;

use std::net::IpAddr;

use crate::report::policy::PolicyReport;
use crate::report::{Finding, ObjectRef};

/// What there is to say, as of one reconciliation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The Ingresses of our class.
    pub ingresses: Vec<ObjectRef>,
    /// What became of each GatewayPolicy.
    pub policies: Vec<PolicyReport>,
    /// Defects of objects.
    pub findings: Vec<Finding>,
}

/// Which addresses Ingresses get.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Publish {
    /// None: their addresses are left alone.
    #[default]
    Nothing,
    /// These.
    Addresses(Vec<PublishAddress>),
    /// Those of a Service.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// Those of nodes, as they are found.
    Nodes,
}

/// An address as an operator writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishAddress {
    /// An IP address.
    Ip(IpAddr),
    /// A DNS name, in lower case.
    Name(String),
}
