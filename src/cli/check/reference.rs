//! What the documents say of a code, and where.

use crate::report::Code;

use super::problem::Level;

/// Where the documents are.
pub(super) const DOCUMENTS: &str = "https://bywash.dev/docs";

/// The page that explains the codes.
const FINDINGS: &str = include_str!("../../../docs/findings.md");

/// The heading of a code.
fn heading(code: Code) -> String {
    let level = Level::from(code.severity());
    format!("### {} ({})\n", code.as_str(), level.as_str())
}

/// What a code means and what to do, as the documents have it.
pub(super) fn meaning(code: Code) -> String {
    let after = FINDINGS.split_once(&heading(code)).map(|(_, after)| after);
    let text = after.map_or("", |after| after.split("\n\n").next().unwrap_or(after));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Where that stands.
pub(super) fn link(code: Code) -> String {
    let level = Level::from(code.severity());
    let anchor = code.as_str().to_lowercase();
    format!("{DOCUMENTS}/findings.html#{anchor}-{}", level.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_meaning_and_a_place_of_its_own() {
        let mut links = std::collections::BTreeSet::new();
        for code in Code::ALL {
            assert!(meaning(*code).len() > 20, "{code:?}");
            assert!(links.insert(link(*code)), "{code:?}");
        }
        assert!(meaning(Code::InvalidPath).starts_with("The path cannot be served"));
    }
}
