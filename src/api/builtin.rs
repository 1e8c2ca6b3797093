//! What an API server would refuse of Kubernetes' own kinds, where there is none to ask.
//!
//! Such an object never reaches the controller, so that translation need not care; whoever checks
//! manifests before they are applied must. The rules are those of Kubernetes 1.36 for an object that is
//! created (`pkg/apis/{core,discovery,networking}/validation` in its repository), and a generated corpus
//! shows on a real server that both decide alike and name the same fields. What depends on a
//! cluster is left to it: ranges of node ports and of Service addresses, IP families, admission.

use std::fmt::Display;

use serde_json::Value;

use super::schema::words;
use super::validation::Violation;

mod addresses;
mod endpoint_slice;
mod ingress;
mod metadata;
mod names;
mod service;
mod service_addresses;
mod service_node_ports;

pub use endpoint_slice::endpoint_slice;
pub use ingress::ingress;
pub use metadata::policy_metadata;
pub use service::service;

/// What to write instead.
type Advice = &'static str;

/// Whether a text is of a form.
type Form = fn(&str) -> Result<(), Advice>;

/// Collects what is wrong; knows which field is looked at.
#[derive(Default)]
struct Faults {
    /// As a JSON pointer.
    pointer: String,
    found: Vec<Violation>,
}

impl Faults {
    /// Looks at a field of what is looked at.
    fn at(&mut self, field: impl Display, look: impl FnOnce(&mut Self)) {
        let before = self.pointer.len();
        self.pointer.push_str(&format!("/{field}"));
        look(self);
        self.pointer.truncate(before);
    }

    /// Looks at each item of a list.
    fn each<T>(&mut self, field: &str, items: &[T], mut look: impl FnMut(&mut Self, &T)) {
        self.at(field, |faults| {
            for (index, item) in items.iter().enumerate() {
                faults.at(index, |faults| look(faults, item));
            }
        });
    }

    /// What is looked at is refused.
    fn refuse(&mut self, message: impl Into<String>) {
        self.found.push(Violation {
            pointer: self.pointer.clone(),
            message: message.into(),
            is_unknown: false,
        });
    }

    /// A field is refused.
    fn refuse_at(&mut self, field: impl Display, message: impl Into<String>) {
        self.at(field, |faults| faults.refuse(message));
    }

    /// A field must be there and is not.
    fn missing(&mut self, field: &str, advice: Advice) {
        self.refuse_at(field, format!("this is missing: write {advice}"));
    }

    /// What is looked at holds something that it must not.
    fn wrong(&mut self, written: impl Into<Value>, advice: Advice) {
        let written = words::written(&written.into());
        self.refuse(format!("this is {written}: write {advice}"));
    }

    /// What is looked at is a text of a form.
    fn form(&mut self, text: &str, form: Form) {
        if let Err(advice) = form(text) {
            self.wrong(text, advice);
        }
    }

    /// A field that may be absent is a text of a form.
    fn text(&mut self, field: &str, text: Option<&str>, form: Form) {
        if let Some(text) = text {
            self.at(field, |faults| faults.form(text, form));
        }
    }

    /// A field that may be absent holds one of these words.
    fn one_of(&mut self, field: &str, text: Option<&str>, known: &[&str]) {
        if let Some(text) = text.filter(|text| !known.contains(text)) {
            let (written, known) = (words::written(&text.into()), known.join(", "));
            self.refuse_at(field, format!("this is {written}: write one of {known}"));
        }
    }

    /// What is looked at is the number of a port.
    fn port_number(&mut self, number: i32) {
        if !(1..=65_535).contains(&number) {
            self.wrong(number, "a number from 1 to 65535");
        }
    }
}

/// The items of a list that may be absent.
fn items<T>(list: Option<&Vec<T>>) -> &[T] {
    list.map(Vec::as_slice).unwrap_or_default()
}

/// A step of a JSON pointer.
fn step(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests;
