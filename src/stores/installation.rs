//! The name of an installation: what its Lease and its field manager are called, and as what it speaks in
//! the status of policies.
//!
//! Two installations in one cluster (a second class, a second controller name) must never take each
//! other's Lease or fields. The name holds both in readable form and ends in a hash of their exact
//! spelling, because what is not allowed in the name of a Lease is replaced and could collide.

/// The longest name: what a field manager may be called at most, and fewer than a Lease.
const LONGEST: usize = 128;

/// A name that no other pair of controller name and IngressClass has: letters, digits, `-` and `.`,
/// at most 128 of them.
pub fn name(controller: &str, class: &str) -> String {
    let hash = stable_hash([controller.as_bytes(), class.as_bytes()]);
    let suffix = format!("-{:08x}", hash as u32);
    let mut name: String = format!("{controller}-{class}")
        .chars()
        .map(|c| match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9' | '.' | '-') => c,
            _ => '-',
        })
        .take(LONGEST - suffix.len())
        .collect();
    let edges = ['-', '.'];
    name = name.trim_matches(edges).to_owned();
    if name.is_empty() {
        "bywash".clone_into(&mut name);
    }
    // A label of a DNS name neither begins nor ends with a hyphen.
    while name.contains("-.") || name.contains(".-") || name.contains("..") {
        name = name
            .replace("-.", ".")
            .replace(".-", ".")
            .replace("..", ".");
    }
    name + &suffix
}

/// The longest `controllerName` in the status of a policy.
const LONGEST_PATH: usize = 253;

/// As what an installation speaks in the status of a policy: a path below the domain of its controller,
/// as GEP-713 wants it, that no other pair has; a class has no `/` in its name. Names too long for that
/// become the short one.
pub fn path(controller: &str, class: &str) -> String {
    let path = format!("{controller}/{class}");
    match path.chars().count() <= LONGEST_PATH {
        true => path,
        false => name(controller, class),
    }
}

/// FNV-1a over the parts and their boundaries: the same in every release, unlike the hashers of the
/// standard library, so that names and versions made of it survive an upgrade.
pub fn stable_hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let byte = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(PRIME);
    parts.into_iter().fold(BASIS, |hash, part| {
        let hash = (part.len() as u64)
            .to_le_bytes()
            .into_iter()
            .fold(hash, byte);
        part.iter().copied().fold(hash, byte)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_installation_has_a_readable_name() {
        let name = name("bywash.dev/ingress-controller", "bywash");
        assert!(
            name.starts_with("bywash.dev-ingress-controller-bywash-"),
            "{name}"
        );
    }

    #[test]
    fn pairs_that_are_written_alike_have_different_names() {
        let names = [
            ("a/b", "c"),
            ("a-b", "c"),
            ("a", "b-c"),
            ("A/b", "c"),
            ("a/b-c", ""),
        ];
        let distinct: std::collections::BTreeSet<_> = names
            .iter()
            .map(|(controller, class)| name(controller, class))
            .collect();
        assert_eq!(distinct.len(), names.len());
    }

    #[test]
    fn an_installation_speaks_as_its_controller_and_its_class() {
        let path = path("bywash.dev/ingress-controller", "bywash");
        assert_eq!(path, "bywash.dev/ingress-controller/bywash");
        let long = "x".repeat(250);
        let [one, other] = ["one", "two"].map(|class| super::path(&long, class));
        assert!(one.len() <= LONGEST_PATH && one != other, "{one} {other}");
    }

    #[test]
    fn every_name_is_a_dns_subdomain_of_at_most_128_bytes() {
        let long = "x".repeat(300);
        for (controller, class) in [
            ("bywash.dev/ingress-controller", "bywash"),
            ("-./_", "Ä"),
            ("", ""),
            ("a.-b/.c", "d-."),
            (long.as_str(), "c"),
        ] {
            let name = name(controller, class);
            assert!(name.len() <= 128, "{name}");
            for label in name.split('.') {
                assert!(
                    !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'),
                    "{name}"
                );
                assert!(
                    label
                        .chars()
                        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'),
                    "{name}"
                );
            }
        }
    }
}
