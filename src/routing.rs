//! The routing snapshot: what the data plane serves, as plain data.
//!
//! A [`snapshot::Snapshot`] is what translation makes and what the data plane obeys. It is immutable
//! and comparable, knows no Kubernetes type and holds no handle to anything alive, so that two of
//! them can be compared to decide whether anything changed, printed to explain what is served, and
//! written by hand in a test. What lives (connections, statistics) is joined to it elsewhere.
//!
//! The rules by which a request finds its route are here too, since they are properties of the data:
//! [`host`] and [`path`] hold one precedence each as a derived order, [`table`] looks up with them,
//! [`canonical`] makes the path that is both matched and forwarded, and [`pages`] are found by status
//! and form.

pub mod canonical;
pub mod host;
pub mod pages;
pub mod path;
pub mod policy;
pub mod render;
pub mod snapshot;
pub mod table;
