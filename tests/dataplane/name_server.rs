//! What a name server says, byte for byte (RFC 1035 section 4.1).

use std::net::Ipv4Addr;

/// What it says of every name.
#[derive(Clone, Copy)]
pub(crate) enum Says {
    /// It has this address, for a second.
    Address(Ipv4Addr),
    /// It does not exist (NXDOMAIN).
    Nothing,
    /// No word.
    Silence,
    /// Whatever it says next.
    Later,
}

/// The question comes back, with an address if it was asked for one.
pub(crate) fn answer(query: &[u8], says: Says) -> Option<Vec<u8>> {
    let name_ends = 12 + query[12..].iter().position(|byte| *byte == 0)?;
    let question = &query[12..name_ends + 5];
    let wants_ipv4 = question[question.len() - 4..] == [0, 1, 0, 1];
    let (code, address) = match says {
        Says::Address(address) => (0, Some(address).filter(|_| wants_ipv4)),
        Says::Nothing => (3, None),
        Says::Silence | Says::Later => return None,
    };
    let mut answer = query[..2].to_vec();
    answer.extend([
        0x81,
        0x80 | code,
        0,
        1,
        0,
        u8::from(address.is_some()),
        0,
        0,
        0,
        0,
    ]);
    answer.extend(question);
    if let Some(address) = address {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}
