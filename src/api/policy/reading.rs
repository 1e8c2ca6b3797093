//! A policy is read section by section.
//!
//! An API server with the current definition lets nothing through that is not of its form; files have no
//! such server, and an older definition knows less. A section that is not of its form is a defect of that
//! section alone, and what stands there is kept: not every section may be taken for absent then. The
//! targets are no section: without knowing all that it is for, a policy is not read at all.

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::api::schema::section;

use super::GatewayPolicySpec;

/// What of a spec was not read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// The sections that are not of their form; absent from the spec.
    pub misread: Vec<Misread>,
    /// The fields that are not known: a sentence each.
    pub unknown: Vec<String>,
}

/// A section that is not of its form.
#[derive(Clone, Debug, PartialEq)]
pub struct Misread {
    /// As in the spec.
    pub section: &'static str,
    /// What stands there.
    pub written: Value,
    /// What is wrong and what to do.
    pub why: String,
}

impl Reading {
    /// The section, if it is not of its form.
    pub fn misread(&self, section: &str) -> Option<&Misread> {
        self.misread.iter().find(|it| it.section == section)
    }
}

/// A spec that is being read.
struct Reader {
    spec: Value,
    reading: Reading,
}

impl Reader {
    fn section<T: DeserializeOwned>(&mut self, section: &'static str) -> Option<T> {
        match self.read(section) {
            Ok(read) => read,
            Err((written, why)) => {
                self.reading.misread.push(Misread {
                    section,
                    written,
                    why,
                });
                None
            }
        }
    }

    /// Once only: what is read is taken out.
    fn read<T: DeserializeOwned>(&mut self, field: &str) -> Result<Option<T>, (Value, String)> {
        let written = self.spec.get_mut(field).map(Value::take);
        let Some(written) = written.filter(|it| !it.is_null()) else {
            return Ok(None);
        };
        let read = section::read(field, &written);
        let read = read.and_then(|it| T::deserialize(it).map_err(|error| error.to_string()));
        read.map(Some).map_err(|why| (written, why))
    }
}

impl<'de> Deserialize<'de> for GatewayPolicySpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spec = Value::Object(Map::deserialize(deserializer)?);
        let reading = Reading {
            misread: Vec::new(),
            unknown: section::unknown(&spec),
        };
        let mut spec = Reader { spec, reading };
        let targets = spec.read("targetRefs");
        Ok(Self {
            target_refs: targets
                .map_err(|(_, why)| D::Error::custom(format_args!("spec.targetRefs: {why}")))?,
            timeouts: spec.section("timeouts"),
            retry: spec.section("retry"),
            outlier_detection: spec.section("outlierDetection"),
            panic_threshold: spec.section("panicThreshold"),
            slow_start: spec.section("slowStart"),
            health_check: spec.section("healthCheck"),
            circuit_breaker: spec.section("circuitBreaker"),
            connection_pool: spec.section("connectionPool"),
            load_balancing: spec.section("loadBalancing"),
            fallback: spec.section("fallback"),
            upstream_tls: spec.section("upstreamTls"),
            error_pages: spec.section("errorPages"),
            response_validation: spec.section("responseValidation"),
            bypass: spec.section("bypass"),
            maintenance: spec.section("maintenance"),
            proxy_status: spec.section("proxyStatus"),
            tls_redirect: spec.section("tlsRedirect"),
            reading: spec.reading,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::api::crd;

    use super::*;

    fn read(spec: Value) -> Result<GatewayPolicySpec, serde_json::Error> {
        serde_json::from_value(spec)
    }

    /// The sections of the definition.
    fn sections() -> Map<String, Value> {
        let definition = crd::definition();
        let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
        let mut sections = definition
            .pointer(spec)
            .unwrap()
            .as_object()
            .unwrap()
            .clone();
        sections.remove("targetRefs");
        sections
    }

    #[test]
    fn each_section_of_the_definition_is_read_and_is_a_defect_of_its_own() {
        let sections = sections();
        let wrong = sections.iter().map(|(name, section)| {
            let wrong = match section["type"].as_str() {
                Some("array") => json!({}),
                _ => json!([]),
            };
            (name.clone(), wrong)
        });
        let spec = read(Value::Object(wrong.collect())).unwrap();
        let mut misread: Vec<&str> = spec.reading.misread.iter().map(|it| it.section).collect();
        misread.sort_unstable();
        let known: Vec<&str> = sections.keys().map(String::as_str).collect();
        assert_eq!(misread, known);
        assert_eq!(spec.reading.unknown, Vec::<String>::new());
    }

    #[test]
    fn a_struct_is_not_written_as_a_list_of_its_fields() {
        let spec = read(json!({"slowStart": ["5s"]})).unwrap();
        assert_eq!(spec.slow_start, None);
        assert!(spec.reading.misread("slowStart").is_some());
    }

    #[test]
    fn what_is_null_is_absent() {
        let spec = read(json!({"timeouts": null, "retry": {"attempts": null}})).unwrap();
        assert_eq!(spec.reading, Reading::default());
        assert_eq!(spec.timeouts, None);
        assert_eq!(spec.retry, Some(super::super::Retry::default()));
    }

    #[test]
    fn targets_that_are_not_of_their_form_are_an_error_of_the_whole_policy() {
        let error = read(json!({"targetRefs": [{"group": "", "kind": "Service"}]})).unwrap_err();
        let expected = "spec.targetRefs: [0].name is missing: write a text";
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}
