//! What an object says of who wrote its status: the evidence of what is ours.
//!
//! Of `managedFields`, which would be most of an object, only our own entry is kept, and of its content
//! only whether the words of a policy's conditions are ours: of two that say the same of a policy, the
//! server names both as owners of what is equal, but one as the owner of words that differ.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry, ObjectMeta};
use serde_json::json;

/// The condition that a policy has whenever anything is said of it.
const ALWAYS: &str = r#"k:{"type":"Accepted"}"#;

/// Drops everything but the entry for the addresses of an Ingress or the conditions of a policy.
pub(super) fn trim(meta: &mut ObjectMeta, manager: &str) {
    let Some(entries) = &mut meta.managed_fields else {
        return;
    };
    entries.retain(|entry| is_of(entry, manager) && owns_status(entry));
    for entry in entries {
        let words = has_words(entry);
        entry.fields_v1 = words
            .then(|| FieldsV1(json!({"f:status": {"f:conditions": {ALWAYS: {"f:message": {}}}}})));
    }
}

/// Whether addresses or conditions are of this manager.
pub fn has_status(meta: &ObjectMeta, manager: &str) -> bool {
    let mut entries = meta.managed_fields.iter().flatten();
    entries.any(|entry| is_of(entry, manager))
}

/// Whether the words of the conditions are of this manager.
pub fn has_the_words(meta: &ObjectMeta, manager: &str) -> bool {
    let mut entries = meta.managed_fields.iter().flatten();
    entries.any(|entry| is_of(entry, manager) && has_words(entry))
}

fn is_of(entry: &ManagedFieldsEntry, manager: &str) -> bool {
    entry.manager.as_deref() == Some(manager) && entry.subresource.as_deref() == Some("status")
}

fn owns_status(entry: &ManagedFieldsEntry) -> bool {
    has(entry, "/f:status/f:loadBalancer/f:ingress") || has(entry, "/f:status/f:conditions")
}

fn has_words(entry: &ManagedFieldsEntry) -> bool {
    has(entry, &format!("/f:status/f:conditions/{ALWAYS}/f:message"))
}

fn has(entry: &ManagedFieldsEntry, path: &str) -> bool {
    let fields = entry.fields_v1.as_ref();
    fields.is_some_and(|fields| fields.0.pointer(path).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn trimmed(fields: Value) -> ObjectMeta {
        let entry =
            |manager| json!({"manager": manager, "subresource": "status", "fieldsV1": fields});
        let entries = json!({"managedFields": [entry("theirs"), entry("ours")]});
        let mut meta: ObjectMeta = serde_json::from_value(entries).unwrap();
        trim(&mut meta, "ours");
        meta
    }

    #[test]
    fn the_evidence_that_we_wrote_the_addresses_is_kept_and_nothing_else() {
        let meta = trimmed(json!({"f:status": {"f:loadBalancer": {"f:ingress": {}}}}));
        assert!(has_status(&meta, "ours") && !has_the_words(&meta, "ours"));
        let left = meta.managed_fields.unwrap();
        assert_eq!(left.len(), 1);
        assert!(left[0].fields_v1.is_none());
    }

    #[test]
    fn owning_a_status_without_addresses_or_conditions_is_no_evidence() {
        let meta = trimmed(json!({"f:status": {}}));
        assert_eq!(meta.managed_fields, Some(Vec::new()));
    }

    #[test]
    fn conditions_may_be_ours_in_part_and_then_the_words_are_anothers() {
        let whole = json!({"f:type": {}, "f:status": {}, "f:message": {}});
        let part = json!({"f:type": {}, "f:status": {}});
        for (condition, words) in [(whole, true), (part, false)] {
            let meta = trimmed(json!({"f:status": {"f:conditions": {ALWAYS: condition}}}));
            assert!(has_status(&meta, "ours"));
            assert_eq!(has_the_words(&meta, "ours"), words);
        }
    }
}
