//! The hash by which the keys of requests meet endpoints.
//!
//! All replicas, releases and restarts must send a key to the same endpoint, so that it is fixed:
//! FNV-1a of 64 bits over the bytes, then the last step of SplitMix64, since FNV alone leaves the
//! high bits of similar texts alike. It need not withstand anybody: who can choose keys can as well
//! send one key again and again, and what bounds an endpoint's load is the bound. The maps of the
//! program are hashed otherwise, by a hasher whose values may change with each of its releases.

/// What a text amounts to.
pub fn hash(bytes: &[u8]) -> u64 {
    mix(fnv1a(bytes))
}

/// Spreads what differs in few bits over all of them; no two numbers become one.
pub fn mix(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change here sends every client of every installation elsewhere.
    #[test]
    fn it_is_what_it_always_was() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
        // The first number of SplitMix64 from 0.
        assert_eq!(mix(0x9e37_79b9_7f4a_7c15), 0xe220_a839_7b1d_cdaf);
        assert_eq!(hash(b"foobar"), mix(0x8594_4171_f739_67e8));
    }
}
