//! The two messages of `grpc.health.v1.Health/Check`, each in the length-prefixed frame of gRPC.
//!
//! ```text
//! message HealthCheckRequest  { string service = 1; }
//! message HealthCheckResponse { ServingStatus status = 1; }
//! ```
//!
//! Refused: a library for protocol buffers, with its code generator, for one field each way.

use bytes::{BufMut, Bytes, BytesMut};

/// The status of an endpoint that serves.
pub(super) const SERVING: u64 = 1;

/// Field 1, whose value has a length.
const SERVICE: u8 = 1 << 3 | 2;

/// The frame that asks for a service; for the whole server when that is empty.
pub(super) fn request(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(SERVICE);
        put_varint(&mut message, service.len() as u64);
        message.put_slice(service.as_bytes());
    }
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put(message);
    frame.freeze()
}

/// The status in a frame that answers; `None` if it is malformed or compressed, which was not offered.
pub(super) fn serving_status(frame: &[u8]) -> Option<u64> {
    let (prefix, mut message) = frame.split_at_checked(5)?;
    let [0, length @ ..] = prefix else {
        return None;
    };
    let length = u32::from_be_bytes(length.try_into().ok()?);
    if usize::try_from(length).ok()? != message.len() {
        return None;
    }
    // A field with its default is left out; of one that is repeated the last counts.
    let mut status = 0;
    while !message.is_empty() {
        let key = take_varint(&mut message)?;
        match (key >> 3, key & 7) {
            (1, 0) => status = take_varint(&mut message)?,
            (_, 0) => drop(take_varint(&mut message)?),
            (_, 1) => take(&mut message, 8)?,
            (_, 2) => {
                let length = take_varint(&mut message)?;
                take(&mut message, usize::try_from(length).ok()?)?;
            }
            (_, 5) => take(&mut message, 4)?,
            _ => return None,
        }
    }
    Some(status)
}

fn put_varint(into: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        into.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    into.put_u8(value as u8);
}

fn take_varint(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take(from: &mut &[u8], length: usize) -> Option<()> {
    (_, *from) = from.split_at_checked(length)?;
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_is_what_protoc_makes_of_it() {
        assert_eq!(&request("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&request("shop")[..], b"\0\0\0\0\x06\x0a\x04shop");
        let long = request(&"s".repeat(253));
        assert_eq!(long[..8], [0, 0, 0, 1, 0, 0x0a, 0xfd, 1]);
        assert_eq!(long.len(), 5 + 256);
    }

    #[test]
    fn a_status_is_found_among_fields_that_nobody_knows() {
        assert_eq!(serving_status(&[0, 0, 0, 0, 0]), Some(0));
        assert_eq!(serving_status(&[0, 0, 0, 0, 2, 8, 1]), Some(SERVING));
        let others = [
            0x12, 1, b'x', 0x19, 1, 2, 3, 4, 5, 6, 7, 8, 8, 2, 0x25, 1, 2, 3, 4, 0x28, 9,
        ];
        let mut frame = vec![0, 0, 0, 0, u8::try_from(others.len()).unwrap()];
        frame.extend(others);
        assert_eq!(serving_status(&frame), Some(2));
    }

    #[test]
    fn what_is_cut_compressed_or_too_long_is_no_answer() {
        for frame in [
            &[][..],
            &[0, 0, 0, 0],
            &[0, 0, 0, 0, 2, 8],
            &[0, 0, 0, 0, 1, 8],
            &[1, 0, 0, 0, 2, 8, 1],
            &[0, 0, 0, 0, 2, 8, 1, 0],
            &[0, 0, 0, 0, 2, 0x0b, 1],
        ] {
            assert_eq!(serving_status(frame), None, "{frame:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fail(frame in proptest::collection::vec(any::<u8>(), 0..40)) {
            serving_status(&frame);
        }

        #[test]
        fn every_status_comes_back(status: u64) {
            let mut message = BytesMut::new();
            message.put_u8(8);
            put_varint(&mut message, status);
            let mut frame = vec![0, 0, 0, 0, u8::try_from(message.len()).unwrap()];
            frame.extend(message);
            prop_assert_eq!(serving_status(&frame), Some(status));
        }
    }
}
