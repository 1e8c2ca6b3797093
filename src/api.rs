//! The API of Bywash: the `GatewayPolicy`, as Kubernetes stores it.
//!
//! The types here are the written form and nothing more: a duration is the text that somebody wrote,
//! whatever is not written is absent, and no default is filled in, so that what the API server returns
//! is what was applied. Translation turns a policy into resolved values, section by section; because
//! the written form takes every text, a section that is wrong costs no other.
//!
//! What cannot be right is refused by the API server already. Each such rule stands once, in
//! [`rules`], as an expression for the server and as a function for everybody without one, with one
//! sentence that says what to do; [`validation`] asks all of them at once. What a server refuses of
//! Kubernetes' own kinds is told in [`builtin`]. [`crd`] makes the definition that is installed, [`mod@reference`] the
//! page that documents it; both are generated from the types and compared with the files in the
//! repository.

pub mod builtin;
pub mod crd;
pub mod metadata;
pub mod near;
pub mod policy;
pub mod reference;
pub mod rules;
mod schema;
pub mod status;
pub mod validation;
pub mod values;

/// The API group.
pub const GROUP: &str = "bywash.dev";
