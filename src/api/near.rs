//! Names that come close to one that is not there.

/// At most three of these, the closest first.
pub fn near<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let close = |name: &&str| {
        strsim::jaro_winkler(wanted, name) > 0.8
            || strsim::damerau_levenshtein(wanted, name) <= 2
            || name.contains(wanted)
    };
    let mut near: Vec<&str> = names.into_iter().filter(close).collect();
    near.sort_by(|a, b| {
        let distance = |name| strsim::damerau_levenshtein(wanted, name);
        distance(a).cmp(&distance(b)).then_with(|| a.cmp(b))
    });
    near.dedup();
    near.truncate(3);
    near
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_come_close_are_told_the_closest_first_and_no_others() {
        let names = ["web", "webs", "wbe", "cart", "shop-web"];
        assert_eq!(near("web", names), ["web", "wbe", "webs"]);
        assert_eq!(near("crat", names), ["cart"]);
        assert!(near("database", names).is_empty());
    }
}
